"""ResNet, its first form and ResNeXt."""

from functools import partial

import numpy as np
import pytest
from shrunken import check_gradients, shrunken

import scratchnet as sn
from scratchnet.models import MODELS
from scratchnet.models.resnet import basic, bottleneck, resnet

PARAMETERS = {
    "resnet18": 11_689_512, "resnet34": 21_797_672, "resnet50": 25_557_032, "resnet50_v1": 25_557_032,
    "resnet101": 44_549_160, "resnet152": 60_192_808, "resnext50_32x4d": 25_028_904, "resnext101_32x4d": 44_177_704,
    "resnext101_32x8d": 88_791_336,
}
# One of each kind of block that these are made of, and a second one where the shortcut is the input.
KINDS = {
    "18, 34": partial(resnet, basic, expansion=1),
    "50, 101, 152": partial(resnet, bottleneck),
    "50 v1": partial(resnet, partial(bottleneck, v1=True)),
    "32x4d": partial(resnet, partial(bottleneck, groups=32, group_width=4)),
    "32x8d": partial(resnet, partial(bottleneck, groups=32, group_width=8)),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_the_published_number_of_parameters(name):
    model = sn.models.blank(name)
    assert sum(parameter.value.size for parameter in model.parameters().values()) == PARAMETERS[name]


def test_multiply_adds_are_counted_as_published():
    assert MODELS["resnet50"].builder(1000).multiply_adds((224, 224, 3)) == 4_089_184_256


def test_the_first_form_strides_in_the_first_1x1_and_the_published_one_in_the_3x3():
    strides = {}
    for name in ("resnet50_v1", "resnet50"):
        block = MODELS[name].builder(10).children()["layer2"][0]
        strides[name] = [block.children()["main"][f"conv{i}"].strides for i in (1, 2, 3)]
        assert block.children()["shortcut"][0].strides == (2, 2)
    assert strides == {"resnet50_v1": [(2, 2), (1, 1), (1, 1)], "resnet50": [(1, 1), (2, 2), (1, 1)]}


@pytest.mark.parametrize("kind", KINDS)
def test_a_shrunken_copy_passes_the_gradient_check(kind):
    check_gradients(shrunken(KINDS[kind]((2, 1, 1, 1), 3), (33, 33, 3)), batch=2, samples=1)


@pytest.mark.parametrize("shape", [(1, 1, 3), (40, 57, 1)])
def test_any_image_and_any_number_of_classes(shape):
    model = shrunken(KINDS["50, 101, 152"]((1, 1, 1, 1), 7), shape)
    assert model(np.zeros((2, *shape), np.float32)).shape == (2, 7)
