"""Receptive fields: by hand, by what a gradient reaches, and those that were published."""

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.receptive_field import fields

# Araujo, Norris, Sim 2019, table 1: of the last feature map. Their networks are those of the papers.
PUBLISHED = {"alexnet_owt": 195, "vgg16": 212, "inception_v3": 1311, "inception_v4": 2071, "inception_resnet_v2": 3039,
             "resnet50_v1": 483}


SHARED = sn.Conv2D(1, 3, padding=1)


def of_output(model, input_shape):
    model.init(0, input_shape)
    return str(fields(model)[id(model)])


@pytest.mark.parametrize("layers, expected", [
    ([sn.Conv2D(1, 3)], "3"),
    ([sn.Conv2D(1, (3, 5), strides=(2, 1)), sn.MaxPool2D(2)], "5 x 6"),
    ([sn.Conv2D(1, 3, dilation=2), sn.Conv2D(1, 3, strides=2), sn.AvgPool2D(3, 1)], "11"),
    ([sn.MaxPool2D(2, strides=3), sn.DepthwiseConv2D(3), sn.BatchNorm(), sn.ReLU()], "8"),
    ([sn.Pad2D(2), sn.SeparableConv2D(2, 3), sn.Dropout(0.5)], "3"),
    ([sn.Conv2D(1, 1, strides=2), sn.Residual(sn.Conv2D(1, 3, padding=1))], "5"),
    ([sn.Residual(sn.Conv2D(1, 3, padding=1), sn.Conv2D(1, 7, padding=3)), sn.Conv2D(1, 2)], "8"),
    ([sn.Concat(sn.Conv2D(1, (1, 7), padding=(0, 3)), sn.Conv2D(1, (5, 1), padding=(2, 0)))], "5 x 7"),
    ([SHARED, SHARED, sn.Conv2D(1, 3)], "7"),
    ([sn.GlobalAvgPool2D(), sn.Dense(2)], "all"),
    ([sn.AdaptiveAvgPool2D(2), sn.Conv2D(1, 2)], "all"),
    ([sn.Flatten()], "all"),
])
def test_fields_by_hand(layers, expected):
    assert of_output(sn.Sequential(*layers), (23, 23, 1)) == expected


@pytest.mark.parametrize("seed", range(6))
def test_the_field_is_what_the_gradient_of_one_output_reaches(seed):
    """Random chains, branches among them: all weights positive, so that nothing cancels."""
    rng = np.random.default_rng(seed)

    def window():
        size, strides, dilation = (tuple(int(n) for n in rng.integers(1, 1 + most, 2)) for most in (4, 2, 2))
        return sn.Conv2D(1, size, strides=strides, dilation=dilation)

    branches = sn.Concat(sn.Conv2D(1, (3, 1), padding=(1, 0)), sn.AvgPool2D((1, 5), strides=1, padding=(0, 2)))
    block = sn.Residual(sn.Conv2D(1, 3, padding=1), sn.Conv2D(1, 1))
    model = sn.Sequential(window(), branches, window(), block, window())
    x = np.ones((1, 90, 90, 1))
    model.init(0, x.shape[1:])
    model.astype("float64")
    for parameter in model.parameters().values():
        parameter.value = np.ones(parameter.value.shape)
    y, backward = model.forward(x)
    dy = np.zeros_like(y)
    dy[0, y.shape[1] // 2, y.shape[2] // 2] = 1         # in the middle, where no edge is seen
    reached = backward(dy)[0, ..., 0] != 0
    extent = tuple(np.ptp(np.flatnonzero(reached.any(axis=axis))) + 1 for axis in (1, 0))
    assert fields(model)[id(model)].size == extent


@pytest.mark.parametrize("name, expected", PUBLISHED.items())
def test_published_fields(name, expected):
    model = sn.models.blank(name)
    found = fields(model)
    images = [found[id(layer)] for layer in model.leaves() if id(layer) in found and found[id(layer)].size]
    assert max(max(field.size) for field in images) == expected and all(field.known for field in images)


class Twice(sn.Layer):
    def forward(self, x, training=True):
        return 2 * x, lambda dy, need_dx=True: 2 * dy


class Blur(Twice):
    kernel_size, strides = (3, 3), (1, 1)


class Chain(sn.Layer):
    def __init__(self, layer):
        self.add_child("layer", layer)

    def build(self, rng, input_shape):
        self.children()["layer"].init(rng, input_shape)


def test_layers_of_ones_own_that_do_not_say_what_they_see_make_the_field_doubtful_until_it_is_the_whole_image():
    assert of_output(sn.Sequential(sn.Conv2D(1, 3), Twice(), sn.Conv2D(1, 3)), (9, 9, 1)) == "5?"
    assert of_output(sn.Sequential(sn.Conv2D(1, 3), Blur(), sn.Conv2D(1, 3)), (9, 9, 1)) == "7"
    assert of_output(sn.Sequential(Chain(sn.ReLU()), sn.Conv2D(1, 3)), (9, 9, 1)) == "3?"
    assert of_output(sn.Sequential(Twice(), sn.Flatten()), (9, 9, 1)) == "all"


def test_an_auxiliary_classifier_sees_what_it_sees_and_changes_nothing_behind_it():
    head = sn.Sequential(sn.Conv2D(1, 5), sn.GlobalAvgPool2D(), sn.Dense(2))
    model = sn.Sequential(sn.Conv2D(1, 3), sn.Auxiliary(head, 0.3), sn.Conv2D(1, 3))
    assert of_output(model, (9, 9, 1)) == "5"
    assert str(fields(model)[id(head[0])]) == "7"


def test_without_images_there_are_no_fields():
    model = sn.Sequential(sn.Dense(3))
    model.init(0, (4,))
    assert fields(model) == {}
