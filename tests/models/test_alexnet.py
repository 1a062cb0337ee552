"""AlexNet of 2012, and the tower of 2014 that torchvision publishes."""

import numpy as np
import pytest
from shrunken import check_gradients, shrunken

import scratchnet as sn
from scratchnet.layers.geometry import TooSmall
from scratchnet.models.alexnet import alexnet, alexnet_owt


def test_the_network_of_2012_has_the_papers_shapes():
    model = sn.models.blank("alexnet")
    assert sum(parameter.value.size for parameter in model.parameters().values()) == 60_965_224
    assert {name: p.value.shape for name, p in model.parameters().items() if name.endswith("weight")} == {
        "conv1.weight": (11, 11, 3, 96), "conv2.weight": (5, 5, 48, 256), "conv3.weight": (3, 3, 256, 384),
        "conv4.weight": (3, 3, 192, 384), "conv5.weight": (3, 3, 192, 256), "fc6.weight": (9216, 4096),
        "fc7.weight": (4096, 4096), "fc8.weight": (4096, 1000)}
    shape, maps = (227, 227, 3), {}
    for name, layer in model.children().items():
        maps[name] = shape = layer.output_shape(shape)
    assert [maps[f"pool{stage}"] for stage in (1, 2, 5)] == [(27, 27, 96), (13, 13, 256), (6, 6, 256)]


def test_its_response_norm_is_the_papers():
    norm, x = alexnet().children()["norm1"], np.random.default_rng(0).standard_normal((1, 1, 1, 9)) * 50
    norm.init(0, (1, 1, 9))
    padded = np.pad(x[0, 0, 0] ** 2, 2)                                  # section 3.3: α is not divided by n
    expected = x[0, 0, 0] / (2 + 1e-4 * np.array([padded[i:i + 5].sum() for i in range(9)])) ** 0.75
    np.testing.assert_allclose(norm(x)[0, 0, 0], expected, rtol=1e-12)


@pytest.mark.parametrize("network", [alexnet, alexnet_owt])
def test_a_shrunken_copy_passes_the_gradient_check(network):
    check_gradients(shrunken(network(classes=3), (99, 99, 3)), batch=2)


@pytest.mark.parametrize("network, least", [(alexnet, 67), (alexnet_owt, 63)])
def test_any_image_from_the_least_size_on_and_any_number_of_classes(network, least):
    for shape in ((least, least, 1), (least + 40, least + 9, 3)):
        assert shrunken(network(classes=7), shape)(np.zeros((2, *shape), np.float32)).shape == (2, 7)
    with pytest.raises(TooSmall, match=rf"MaxPool2D 3x3, stride 2.* at least {least}x{least}\)"):
        sn.models.create(network.__name__, input_shape=(least - 1, least - 1, 3))
