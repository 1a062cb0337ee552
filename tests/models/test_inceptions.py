"""GoogLeNet, Inception-v3, -v4, Inception-ResNet-v2, Xception: the published architectures, and their gradients."""

import warnings

import golden
import numpy as np
import pytest
from shrunken import check_gradients, shrunken

import scratchnet as sn
from scratchnet.heads import auxiliaries
from scratchnet.layers import BatchNorm
from scratchnet.layers.geometry import TooSmall
from scratchnet.models import MODELS
from scratchnet.models.googlenet import TABLE_1, googlenet, googlenet_bn
from scratchnet.models.inception_resnet_v2 import inception_resnet_v2
from scratchnet.models.inception_v3 import inception_v3
from scratchnet.models.inception_v4 import inception_v4
from scratchnet.models.xception import xception

# name: (parameters without and with auxiliary classifiers, the weights of these)
NETWORKS = {
    "googlenet": (6_998_552, 13_378_280, [0.3, 0.3]),
    "googlenet_bn": (6_624_904, 13_004_888, [0.3, 0.3]),
    "inception_v3": (23_834_568, 27_161_264, [0.4]),
    "inception_v4": (42_679_816, 42_679_816, []),
    "inception_resnet_v2": (55_843_464, 55_843_464, []),
    "xception": (22_855_952, 22_855_952, []),
}


def size(layer):
    return sum(parameter.value.size for parameter in layer.parameters().values())


@pytest.mark.parametrize("name", NETWORKS)
def test_numbers_of_parameters_are_the_published_ones(name):
    without, with_auxiliaries, weights = NETWORKS[name]
    model = sn.models.blank(name)
    found = auxiliaries(model)
    assert size(model) == with_auxiliaries
    assert size(model) - sum(map(size, found)) == without
    assert [auxiliary.weight for auxiliary in found] == weights


def test_the_papers_googlenet_has_the_shapes_of_table_1_and_the_norms_of_figure_3():
    shape, shapes = (224, 224, 3), {}
    for name, layer in googlenet().children().items():
        shape = shapes[name] = layer.checked_output_shape(shape)
    assert list(shapes)[:7] == ["conv1", "maxpool1", "norm1", "conv2", "conv3", "norm2", "maxpool2"]
    sides = {"conv1": 112, "maxpool1": 56, "conv3": 56, "maxpool2": 28, "maxpool3": 14, "maxpool4": 7}
    assert {name: shapes[name][:2] for name in sides} == {name: (side, side) for name, side in sides.items()}
    channels = {"3a": 256, "3b": 480, "4a": 512, "4b": 512, "4c": 512, "4d": 528, "4e": 832, "5a": 832, "5b": 1024}
    assert {name: shapes[f"inception{name}"][2] for name in channels} == channels


SHORT = {block: TABLE_1[block] for block in ("3a", "4a", "4d", "5b")}


def googlenet_for_small_images():
    """The auxiliary classifiers are made for a grid of 14x14, here are 2x2: a window of 2, not 5."""
    model = googlenet(5, SHORT)
    for auxiliary in auxiliaries(model):
        auxiliary.head["pool"].pool_size, auxiliary.head["pool"].strides = (2, 2), (1, 1)
    return model


def inception_v3_for_small_images():
    """The auxiliary classifier is made for a grid of 17x17, here are 3x3: windows of 2, not 5."""
    model = inception_v3(5, pooled=(32,), factored=(128,), expanded=1)
    head = model["AuxLogits"].head
    head["pool"].pool_size, head["pool"].strides, head["conv1"]["conv"].kernel_size = (2, 2), (1, 1), (2, 2)
    return model


# (builder of a network with fewer blocks, the least side of an image with room for all, arrays compared)
SHRUNKEN = {
    "googlenet": (googlenet_for_small_images, 33, 68),
    "googlenet_bn": (lambda: googlenet_bn(5, SHORT), 33, 39),
    "inception_v3": (inception_v3_for_small_images, 75, 47),
    "inception_v4": (lambda: inception_v4(5, (1, 1, 1)), 75, 50),
    "inception_resnet_v2": (lambda: inception_resnet_v2(5, (1, 1, 1)), 75, 52),
    "xception": (lambda: xception(5, middle=1), 33, 34),
}


# Five images: the last grids have one pixel, and the fewer values a batch norm sees the faster its slope changes, so
# that the differences, not the gradients, would be wrong. The norms' own parameters are left out: that would take three
# times as long, and a gradient that comes to the wrong place is seen in the weights of the convolution before the norm.
@pytest.mark.parametrize("name", SHRUNKEN)
def test_a_shrunken_copy_passes_the_gradient_check_with_its_auxiliary_classifiers(name):
    build, side, arrays = SHRUNKEN[name]
    with warnings.catch_warnings():
        warnings.simplefilter("error")                              # every auxiliary classifier is there
        model = shrunken(build(), (side, side, 3), seed=1)         # with 0, GoogLeNet has a kink within ε
    for leaf in model.leaves():
        if isinstance(leaf, BatchNorm):
            for parameter in leaf.parameters().values():
                parameter.trainable = False
    report = check_gradients(model, batch=5, samples=1, labels=np.arange(5))
    assert len(report.compared) == arrays


@pytest.mark.parametrize("name", SHRUNKEN)
def test_it_takes_any_image_that_is_large_enough(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                             # auxiliary classifiers that are left out
        model = shrunken(MODELS[name].builder(7), (118, 83, 1))
    x = np.random.default_rng(0).standard_normal((2, 118, 83, 1)).astype("float32")
    assert model(x).shape == (2, 7)
    loss, logits, backward = model.loss(x, np.array([3, 6]))
    backward()
    assert np.isfinite(loss) and all(np.isfinite(p.grad).all() for p in model.parameters().values())


@pytest.mark.parametrize("name, layer, least", [
    ("googlenet", r"maxpool2 \(MaxPool2D 3x3, stride 2", 31), ("googlenet_bn", r"maxpool2 \(MaxPool2D 3x3", 15),
    ("inception_v3", r"Conv2d_2a_3x3.conv \(Conv2D 3x3", 75), ("inception_v4", r"features.1.conv \(Conv2D 3x3", 75),
    ("inception_resnet_v2", r"conv2d_2a.conv \(Conv2D 3x3", 75), ("xception", r"conv2 \(Conv2D 3x3", 7)])
def test_too_small_an_image_names_the_layer_and_the_least_size(name, layer, least):
    with pytest.raises(TooSmall, match=layer + rf".*\({name} takes images of at least {least}x90\)"):
        sn.models.create(name, input_shape=(4, 90, 3))
    builder = MODELS[name].builder
    assert builder(5).checked_output_shape((least, least, 3)) == (5,)
    with pytest.raises(TooSmall):
        builder(5).checked_output_shape((least - 1, least, 3))


@pytest.mark.parametrize("name, side, heads", [("googlenet", 78, r"aux1.*left out: aux1.head.pool"),
                                               ("inception_v3", 298, "AuxLogits.*left out: AuxLogits.head.conv1")])
def test_images_too_small_for_an_auxiliary_classifier_leave_it_out_with_a_warning(name, side, heads):
    with pytest.warns(UserWarning, match=heads), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "aux2")
        model = shrunken(MODELS[name].builder(4), (side, side, 3))
    assert not any("aux" in array.lower() for array in model.state_dict())
    x = golden.images(side)
    loss, logits, _ = model.loss(x, np.array([0, 1]))
    assert logits.shape == (2, 4) and loss == sn.softmax_cross_entropy(logits, np.array([0, 1]))[0]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        shrunken(MODELS[name].builder(4), (side + 1, side + 1, 3))
