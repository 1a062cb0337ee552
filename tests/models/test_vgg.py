"""VGG: the columns of table 1, with and without batch norms."""

import numpy as np
import pytest
from shrunken import check_gradients, shrunken

import scratchnet as sn
from scratchnet.layers import BatchNorm, Conv2D
from scratchnet.layers.geometry import TooSmall
from scratchnet.models import MODELS

# Convolutions and dense layers, as the paper counts its layers; parameters as torchvision's.
PARAMETERS = {
    "vgg11": (11, 132_863_336), "vgg11_bn": (11, 132_868_840), "vgg13": (13, 133_047_848),
    "vgg13_bn": (13, 133_053_736), "vgg16": (16, 138_357_544), "vgg16_bn": (16, 138_365_992),
    "vgg19": (19, 143_667_240), "vgg19_bn": (19, 143_678_248),
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_column_has_its_layers_and_the_published_number_of_parameters(name):
    layers, parameters = PARAMETERS[name]
    model = sn.models.blank(name)
    features = model.children()["features"].leaves()
    assert sum(isinstance(leaf, Conv2D) for leaf in features) == layers - 3
    assert sum(isinstance(leaf, BatchNorm) for leaf in features) == (layers - 3 if name.endswith("_bn") else 0)
    assert sum(parameter.value.size for parameter in model.parameters().values()) == parameters


@pytest.mark.parametrize("name", PARAMETERS)
def test_a_shrunken_copy_passes_the_gradient_check(name):
    check_gradients(shrunken(MODELS[name].builder(3), (32, 32, 3), divisor=32), batch=2, samples=1)


def test_any_image_from_the_least_size_on_and_any_number_of_classes():
    for shape in ((32, 32, 1), (33, 70, 3)):
        assert shrunken(MODELS["vgg11"].builder(7), shape)(np.zeros((2, *shape), np.float32)).shape == (2, 7)
    with pytest.raises(TooSmall, match=r"features\.34 \(MaxPool2D 2x2, stride 2.* at least 40x32\)"):
        sn.models.create("vgg13_bn", input_shape=(40, 31, 3))
