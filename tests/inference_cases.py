"""Small networks for the tests of sn.for_inference, and the steps that should be left of each."""

import numpy as np

import scratchnet as sn

SHAPE = (7, 6, 4)


def initialised(*layers, shape=SHAPE, **named):
    """A Sequential whose batch norms have statistics, scales and shifts that show."""
    model = sn.Sequential(*layers, **named)
    model.init(0, shape)
    rng = np.random.default_rng(1)
    for leaf in model.leaves():
        for name in leaf._buffers:
            if name.startswith("running"):
                leaf.buffer(name)[...] = rng.uniform(0.5, 2, leaf.buffer(name).shape)
    for parameter in model.parameters().values():
        parameter.value = parameter.value + (0.3 * rng.standard_normal(parameter.value.shape)).astype("float32")
    return model


def images(batch=3, shape=SHAPE, dtype="float32"):
    return np.random.default_rng(2).standard_normal((batch, *shape)).astype(dtype)


def steps(predict):
    return [line.strip() for line in repr(predict).splitlines()[1:]]


def conv(filters=4, **options):
    return sn.Conv2D(filters, 3, padding=1, **options)


class Halved(sn.Layer):
    """Not a layer that the compiler knows."""

    def forward(self, x, training=True):
        return x * x.dtype.type(0.5), lambda dy, need_dx=True: dy * dy.dtype.type(0.5)


class Same(sn.Layer):
    """Returns its input, as a layer may."""

    def forward(self, x, training=True):
        return x, lambda dy, need_dx=True: dy


class FirstChannels(sn.Layer):
    """Returns a view of its input that is not contiguous."""

    def output_shape(self, input_shape):
        return (*input_shape[:-1], 2)

    def forward(self, x, training=True):
        return x[..., :2], None


class Doubled(sn.Conv2D):
    """A convolution of someone's own, with another forward."""

    def forward(self, x, training=True):
        y, backward = sn.Conv2D.run(self, x, training)
        return 2 * y, lambda dy, need_dx=True: backward(2 * dy, need_dx)


CASES = {
    "in nested containers": (lambda: initialised(
        a=sn.Sequential(sn.Sequential(conv=conv(use_bias=False))), b=sn.Sequential(bn=sn.BatchNorm(activation="relu"))),
        ["a.0.conv + b.bn + ReLU"]),
    "with a bias": (lambda: initialised(conv=conv(), bn=sn.BatchNorm(epsilon=0.1), relu=sn.ReLU()),
                    ["conv + bn + relu"]),
    "into a dense layer": (lambda: initialised(
        pool=sn.GlobalAvgPool2D(), fc=sn.Dense(5), bn=sn.BatchNorm(), relu=sn.ReLU()), ["pool", "fc + bn + relu"]),
    "through dropout": (lambda: initialised(conv=conv(), drop=sn.Dropout(0.5), bn=sn.BatchNorm()), ["conv + bn"]),
    "into groups": (lambda: initialised(conv=conv(6, groups=2), bn=sn.BatchNorm()), ["conv + bn"]),
    "into a depthwise convolution": (lambda: initialised(
        conv=sn.DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=3), bn=sn.BatchNorm(activation="relu")),
        ["conv + bn + ReLU"]),
    "into the second half of a separable one": (lambda: initialised(
        conv=sn.SeparableConv2D(5, 3, dilation=2), bn=sn.BatchNorm()), ["conv.depthwise", "conv.pointwise + bn"]),
    "two": (lambda: initialised(conv=conv(), bn=sn.BatchNorm(), bn2=sn.BatchNorm()), ["conv + bn + bn2"]),
    "not into a convolution behind it": (lambda: initialised(bn=sn.BatchNorm(), conv=conv()), ["bn", "conv"]),
    "not through a pool": (lambda: initialised(conv=conv(), pool=sn.MaxPool2D(2), bn=sn.BatchNorm(activation="tanh")),
                           ["conv", "pool", "bn", "Tanh"]),
    "not through a ReLU": (lambda: initialised(conv=conv(activation="relu"), bn=sn.BatchNorm()), ["conv + ReLU", "bn"]),
    "other ReLUs stay": (lambda: initialised(a=conv(activation=sn.ReLU(0.1)), b=conv(activation=sn.ReLU(max_value=1))),
                         ["a", "ReLU", "b", "ReLU"]),
    "not where a shortcut looks": (lambda: initialised(
        conv=conv(), block=sn.Residual(sn.Sequential(bn=sn.BatchNorm(), conv=conv()))),
        ["conv", "block.main.bn", "block.main.conv + block"]),
    "not where a branch looks": (lambda: initialised(
        conv=conv(), block=sn.Concat(a=sn.BatchNorm(), b=conv(), c=sn.BatchNorm())),
        ["conv", "block.a", "block.b", "block.c", "block"]),
    "in branches": (lambda: initialised(block=sn.Concat(
        a=sn.Sequential(conv=conv(3), bn=sn.BatchNorm(activation="relu")),
        b=sn.Sequential(conv=conv(5), bn=sn.BatchNorm()))),
        ["block.a.conv + block.a.bn + ReLU", "block.b.conv + block.b.bn", "block"]),
    "not through branches": (lambda: initialised(block=sn.Concat(a=conv(3), b=conv(5)), bn=sn.BatchNorm()),
                             ["block.a", "block.b", "block", "bn"]),
    "a residual": (lambda: initialised(block=sn.Residual(
        sn.Sequential(conv=conv(), bn=sn.BatchNorm()), activation="relu")),
        ["block.main.conv + block.main.bn + block + ReLU"]),
    "a scaled residual": (lambda: initialised(block=sn.Residual(
        sn.Sequential(conv=conv(use_bias=False), bn=sn.BatchNorm()), activation="relu", scale=0.3)),
        ["block.main.conv + block.main.bn + block + ReLU"]),
    "a scaled residual without a norm or bias": (lambda: initialised(
        block=sn.Residual(conv(use_bias=False), scale=0.3)), ["block.main + block"]),
    "a residual with a projection": (lambda: initialised(block=sn.Residual(
        sn.Sequential(conv=conv(6), bn=sn.BatchNorm()), sn.Sequential(conv=conv(6), bn=sn.BatchNorm()),
        activation="relu")),
        ["block.shortcut.conv + block.shortcut.bn", "block.main.conv + block.main.bn + block + ReLU"]),
    "a residual whose shortcut alone is a convolution": (lambda: initialised(block=sn.Residual(
        sn.MaxPool2D(2, padding=1), sn.Conv2D(4, 2, strides=2, padding=1), activation="relu")),
        ["block.main", "block.shortcut + block + ReLU"]),
    "the same, scaled": (lambda: initialised(block=sn.Residual(
        sn.MaxPool2D(2, padding=1), sn.Conv2D(4, 2, strides=2, padding=1), scale=0.5)),
        ["block.shortcut", "block.main", "block"]),
    "a residual whose main ends in a ReLU": (lambda: initialised(block=sn.Residual(conv(activation="relu"))),
                                             ["block.main + ReLU", "block"]),
    "a residual with another activation": (lambda: initialised(block=sn.Residual(conv(), activation="tanh")),
                                           ["block.main + block", "Tanh"]),
    "a norm behind a sum stays": (lambda: initialised(block=sn.Residual(conv()), bn=sn.BatchNorm()),
                                  ["block.main + block", "bn"]),
    "two sums": (lambda: initialised(block=sn.Residual(sn.Residual(conv()))),
                 ["block.main.main + block.main", "block"]),
    "a dense residual": (lambda: initialised(flat=sn.Flatten(), block=sn.Residual(sn.Dense(168), activation="relu")),
                         ["flat", "block.main", "block", "ReLU"]),
    "a sum of the images with themselves": (lambda: initialised(block=sn.Residual(sn.Dropout(0.5), scale=2)),
                                            ["block"]),
    "layers without a step of their own": (lambda: initialised(
        conv=conv(), lrn=sn.LocalResponseNorm(), pad=sn.Pad2D(1, "reflect"), pool=sn.AvgPool2D(2), half=Halved(),
        flat=sn.Flatten(), fc=sn.Dense(5, activation="sigmoid"), softmax=sn.Softmax()),
        ["conv", "lrn", "pad", "pool", "half", "flat", "fc", "Sigmoid", "softmax"]),
    "a convolution with a forward of its own": (lambda: initialised(conv=Doubled(4, 3), bn=sn.BatchNorm()),
                                                ["conv", "bn"]),
    "views": (lambda: initialised(a=conv(), b=sn.Concat(same=Same(), c=sn.Sequential(x=conv(), y=conv(), z=conv())),
                                  view=FirstChannels(), d=conv(), same=Same()),
              ["a", "b.same", "b.c.x", "b.c.y", "b.c.z", "b", "view", "d", "same"]),
    "all of it one layer": (lambda: initialised(view=FirstChannels()), ["view"]),
}
