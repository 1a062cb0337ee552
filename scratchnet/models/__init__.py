"""The model zoo: `create` a network by name. The table below is the whole registry."""

import difflib
import itertools
import numbers
from functools import partial
from typing import Callable, NamedTuple

from scratchnet.layers.blank import init_with_zeros
from scratchnet.layers.geometry import TooSmall
from scratchnet.models.alexnet import alexnet, alexnet_owt
from scratchnet.models.googlenet import googlenet, googlenet_bn
from scratchnet.models.inception_resnet_v2 import inception_resnet_v2
from scratchnet.models.inception_v3 import inception_v3
from scratchnet.models.inception_v4 import inception_v4
from scratchnet.models.lenet import lenet5
from scratchnet.models.lenet_1998 import lenet5_1998
from scratchnet.models.resnet import (resnet18, resnet34, resnet50, resnet50_v1, resnet101, resnet152, resnext50_32x4d,
                                      resnext101_32x4d, resnext101_32x8d)
from scratchnet.models.vgg import vgg11, vgg13, vgg16, vgg19
from scratchnet.models.xception import xception


class Model(NamedTuple):
    """builder(classes) -> Layer, not yet initialised; the paper's images (H, W, C) and number of classes."""

    builder: Callable
    input_shape: tuple
    classes: int
    paper: str


MODELS = {
    "lenet5": Model(lenet5, (32, 32, 1), 10, "LeCun, Bottou, Bengio, Haffner 1998"),
    "lenet5_1998": Model(lenet5_1998, (32, 32, 1), 10, "LeCun, Bottou, Bengio, Haffner 1998"),
    "alexnet": Model(alexnet, (227, 227, 3), 1000, "Krizhevsky, Sutskever, Hinton 2012"),
    "alexnet_owt": Model(alexnet_owt, (224, 224, 3), 1000, "Krizhevsky 2014"),
    "vgg11": Model(vgg11, (224, 224, 3), 1000, "Simonyan, Zisserman 2014"),
    "vgg11_bn": Model(partial(vgg11, batch_norm=True), (224, 224, 3), 1000, "Simonyan, Zisserman 2014"),
    "vgg13": Model(vgg13, (224, 224, 3), 1000, "Simonyan, Zisserman 2014"),
    "vgg13_bn": Model(partial(vgg13, batch_norm=True), (224, 224, 3), 1000, "Simonyan, Zisserman 2014"),
    "vgg16": Model(vgg16, (224, 224, 3), 1000, "Simonyan, Zisserman 2014"),
    "vgg16_bn": Model(partial(vgg16, batch_norm=True), (224, 224, 3), 1000, "Simonyan, Zisserman 2014"),
    "vgg19": Model(vgg19, (224, 224, 3), 1000, "Simonyan, Zisserman 2014"),
    "vgg19_bn": Model(partial(vgg19, batch_norm=True), (224, 224, 3), 1000, "Simonyan, Zisserman 2014"),
    "googlenet": Model(googlenet, (224, 224, 3), 1000, "Szegedy et al. 2014"),
    "googlenet_bn": Model(googlenet_bn, (224, 224, 3), 1000, "Szegedy et al. 2014; Ioffe, Szegedy 2015"),
    "inception_v3": Model(inception_v3, (299, 299, 3), 1000, "Szegedy, Vanhoucke, Ioffe, Shlens, Wojna 2015"),
    "inception_v4": Model(inception_v4, (299, 299, 3), 1000, "Szegedy, Ioffe, Vanhoucke, Alemi 2016"),
    "inception_resnet_v2": Model(inception_resnet_v2, (299, 299, 3), 1000, "Szegedy, Ioffe, Vanhoucke, Alemi 2016"),
    "xception": Model(xception, (299, 299, 3), 1000, "Chollet 2016"),
    "resnet18": Model(resnet18, (224, 224, 3), 1000, "He, Zhang, Ren, Sun 2015"),
    "resnet34": Model(resnet34, (224, 224, 3), 1000, "He, Zhang, Ren, Sun 2015"),
    "resnet50": Model(resnet50, (224, 224, 3), 1000, "He, Zhang, Ren, Sun 2015"),
    "resnet50_v1": Model(resnet50_v1, (224, 224, 3), 1000, "He, Zhang, Ren, Sun 2015"),
    "resnet101": Model(resnet101, (224, 224, 3), 1000, "He, Zhang, Ren, Sun 2015"),
    "resnet152": Model(resnet152, (224, 224, 3), 1000, "He, Zhang, Ren, Sun 2015"),
    "resnext50_32x4d": Model(resnext50_32x4d, (224, 224, 3), 1000, "Xie, Girshick, Dollár, Tu, He 2016"),
    "resnext101_32x4d": Model(resnext101_32x4d, (224, 224, 3), 1000, "Xie, Girshick, Dollár, Tu, He 2016"),
    "resnext101_32x8d": Model(resnext101_32x8d, (224, 224, 3), 1000, "Xie, Girshick, Dollár, Tu, He 2016"),
}


def names():
    """The names that `create` knows."""
    return list(MODELS)


def input_shape(name):
    """(H, W, C) of the paper's images."""
    return MODELS[name].input_shape


def create(name, input_shape=None, classes=None, seed=0, weights=None):
    """The network `name`, initialised from `seed`: parameters exist, and every shape has been checked.

    input_shape (H, W, C) and classes default to the paper's. weights: a file, or hub:OWNER/REPO, for load_weights,
    which may leave the head as it is initialised, and says so. ValueError for an unknown name, with the nearest one,
    and for an image that is too small, with the layer and the least size that works.
    """
    model = _made(name, input_shape, classes, lambda model, shape: model.init(seed, shape))
    if weights is not None:
        from scratchnet.weights import load_weights         # the table of models itself reads no files
        load_weights(model, weights)
    return model


def blank(name, input_shape=None, classes=None):
    """The same with all parameters zero (running variances are 1), to be filled or only counted, which takes hardly any
    time or memory."""
    return _made(name, input_shape, classes, init_with_zeros)


def _made(name, input_shape, classes, init):
    if name not in MODELS:
        near = difflib.get_close_matches(str(name).lower(), MODELS, n=1)
        raise ValueError(f"unknown model {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
                         + f" Known: {', '.join(MODELS)}")
    builder, default_shape, default_classes, _ = MODELS[name]
    classes = default_classes if classes is None else classes
    if isinstance(classes, bool) or not isinstance(classes, numbers.Integral) or classes < 1:
        raise ValueError(f"{name}: classes must be a positive int, got {classes!r}")
    classes = int(classes)
    input_shape = default_shape if input_shape is None else input_shape
    if len(input_shape) == 3 and input_shape[0] <= 4 < min(input_shape[1:]):
        raise ValueError(f"{name}: input_shape {tuple(input_shape)} looks like (C, H, W), and scratchnet takes (H, W, C): "
                         f"{(*input_shape[1:], input_shape[0])}")
    model = builder(classes)
    model.name = name
    try:
        init(model, input_shape)
    except TooSmall as error:
        height, width = least_size(builder(classes), input_shape)
        raise TooSmall(f"{error} ({name} takes images of at least {height}x{width})") from None
    return model


def least_size(model, input_shape):
    """(H, W) of the least image that contains this one (H, W, C) and is large enough. model: without parameters yet."""
    for side in itertools.count(1):
        height, width = max(side, input_shape[0]), max(side, input_shape[1])
        try:
            model.checked_output_shape((height, width, *input_shape[2:]))
        except TooSmall:
            continue
        return height, width
