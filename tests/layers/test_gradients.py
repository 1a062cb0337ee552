"""Every layer, every option: backward against central differences, in float64 through `reference`, float32 through `cpu`."""

import numpy as np
import pytest

import scratchnet as sn
from scratchnet import layers
from scratchnet.layers import (AdaptiveAvgPool2D, Auxiliary, AvgPool2D, BatchNorm, Concat, Conv2D, Dense,
                               DepthwiseConv2D, Dropout, Flatten, GlobalAvgPool2D, Identity, LocalResponseNorm, MaxPool2D,
                               Pad2D, ReLU, Residual, SeparableConv2D, Sequential, Sigmoid, Softmax, Tanh)

IMAGES = (3, 7, 6, 4)


def distinct(shape, seed=0):
    """Values from -2 to 2 in random order, no two closer than 4/(size - 1), none within 1e-3 of a kink at 0, 0.3, -0.5 or 1."""
    values = np.linspace(-2, 2, int(np.prod(shape)))
    for kink in (0.0, 0.3, -0.5, 1.0):
        values[np.abs(values - kink) < 1e-3] += 2e-3
    return np.random.default_rng(seed).permutation(values).reshape(shape)


CASES = {
    "conv": Conv2D(5, 3),
    "conv one by one": Conv2D(5, 1),
    "conv rectangular, same, strided": Conv2D(5, (2, 3), strides=(2, 1), padding="same"),
    "conv stride above window": Conv2D(3, 2, strides=3),
    "conv dilated, padded on one side": Conv2D(5, (2, 3), dilation=(2, 1), padding=((1, 0), (0, 2))),
    "conv pair of paddings": Conv2D(2, 3, padding=(2, 1)),
    "conv grouped, without bias": Conv2D(6, 3, groups=2, use_bias=False),
    "conv with tanh": Conv2D(3, 3, activation="tanh", bias_initializer="ones"),
    "conv with relu": Conv2D(3, 3, activation="relu", kernel_initializer="he_normal"),
    "conv with a layer as activation": Conv2D(3, 3, activation=ReLU(negative_slope=0.2)),
    "depthwise": DepthwiseConv2D(3),
    "depthwise multiplied, strided, same": DepthwiseConv2D(3, strides=2, padding="same", depth_multiplier=3),
    "depthwise dilated, without bias": DepthwiseConv2D((3, 2), dilation=(2, 1), padding=1, use_bias=False),
    "depthwise with sigmoid": DepthwiseConv2D(2, activation="sigmoid"),
    "separable": SeparableConv2D(5, 3, strides=2, padding="same", depth_multiplier=2),
    "separable dilated, no bias, relu": SeparableConv2D(3, 2, dilation=2, use_bias=False, activation="relu"),
    "dense": (Dense(5), (4, 7)),
    "dense without bias, softmax": (Dense(5, use_bias=False, activation="softmax"), (4, 7)),
    "flatten": Flatten(),
    "max pool": MaxPool2D(2),
    "max pool overlapping, padded": MaxPool2D(3, strides=2, padding=1),
    "max pool same": MaxPool2D((3, 2), strides=(2, 2), padding="same"),
    "max pool ceil mode": MaxPool2D(2, strides=2, ceil_mode=True),
    "max pool dilated": MaxPool2D(2, strides=1, dilation=2),
    "average pool": AvgPool2D(2),
    "average pool overlapping, padding not counted": AvgPool2D(3, strides=2, padding=1),
    "average pool padding counted, ceil mode": AvgPool2D(3, strides=2, padding=1, ceil_mode=True, count_include_pad=True),
    "average pool ceil mode": AvgPool2D((2, 3), ceil_mode=True),
    "average pool same": AvgPool2D(3, strides=2, padding="same"),
    "adaptive average pool": AdaptiveAvgPool2D((3, 4)),
    "adaptive average pool to more": AdaptiveAvgPool2D(8),
    "global average pool": GlobalAvgPool2D(),
    "batch norm": BatchNorm(),
    "batch norm, own momentum and epsilon, relu": BatchNorm(momentum=0.5, epsilon=0.1, activation="relu"),
    "batch norm of rows": (BatchNorm(), (9, 5)),
    "local response norm": LocalResponseNorm(),
    "local response norm, even size": LocalResponseNorm(size=2, alpha=0.3, beta=0.5, k=2),
    "relu": ReLU(),
    "relu leaky, capped, with threshold": ReLU(negative_slope=0.2, max_value=1, threshold=0.3),
    "relu with a threshold below 0": ReLU(threshold=-0.5),
    "tanh": Tanh(),
    "sigmoid": Sigmoid(),
    "softmax": Softmax(),
    "softmax of rows": (Softmax(), (4, 7)),
    "dropout": Dropout(0.4),
    "dropout of nothing": Dropout(0),
    "pad zeros": Pad2D(((1, 2), (0, 3))),
    "pad reflect": Pad2D((2, 1), mode="reflect"),
    "pad replicate": Pad2D(((0, 2), (9, 1)), mode="replicate"),
    "pad circular": Pad2D(((2, 0), (1, 6)), mode="circular"),
    "identity": Identity(),
    "sequential": Sequential(Conv2D(3, 3), Tanh(), flat=Flatten(), out=Dense(4)),
    "residual": Residual(Conv2D(4, 3, padding="same")),
    "residual with shortcut, activation, scale": Residual(
        main=Sequential(Conv2D(5, 3, strides=2, padding=1), BatchNorm(), Tanh()),
        shortcut=Conv2D(5, 1, strides=2), activation="relu", scale=0.3),
    "batch norm before relu": Sequential(BatchNorm(epsilon=0.1), ReLU()),
    "residual after a batch norm, relu": Residual(
        main=Sequential(Conv2D(4, 3, padding=1), BatchNorm(epsilon=0.1)), activation="relu"),
    "residual of a batch norm, with shortcut": Residual(BatchNorm(epsilon=0.1), shortcut=Conv2D(4, 1)),
    "residual of nothing trainable": Residual(Tanh(), scale=0.5),
    "auxiliary outside of a loss": Auxiliary(Sequential(Flatten(), Dense(3)), 0.3),      # inside: test_auxiliary.py
    "concat": Concat(Conv2D(2, 1), Identity(), pooled=MaxPool2D(3, 1, padding=1)),
}


def layer_and_input(case):
    layer, shape = case if isinstance(case, tuple) else (case, IMAGES)
    return layer, distinct(shape)


def test_every_layer_has_a_row():
    public = {getattr(layers, name) for name in layers.__all__}
    final = {cls for cls in public if isinstance(cls, type) and issubclass(cls, layers.Layer)} - {layers.Layer}
    rows = {type(layer_and_input(case)[0]) for case in CASES.values()}
    assert final == rows


@pytest.mark.filterwarnings("ignore:gradcheck.*no gradient")     # of a bias before a batch norm: zero, and compared as such
@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("name", CASES)
def test_gradient_in_float64_through_reference(name, training):
    layer, x = layer_and_input(CASES[name])
    sn.gradcheck(layer, x, samples=40, training=training)


# float32 rounds at 6e-8; sums of a hundred terms and a division by a small deviation leave 1e-4.
@pytest.mark.filterwarnings("ignore:gradcheck.*no gradient")
@pytest.mark.parametrize("name", CASES)
def test_gradient_in_float32_through_cpu(name):
    layer, x = layer_and_input(CASES[name])
    sn.gradcheck(layer, x, dtype="float32", samples=25, rtol=2e-4, atol=1e-4)


@pytest.mark.filterwarnings("ignore:gradcheck.*no gradient")
@pytest.mark.parametrize("name", [name for name in CASES if "norm" in name or "dropout" in name or "residual with" in name])
def test_gradcheck_leaves_the_layer_as_it_was(name):
    layer, x = layer_and_input(CASES[name])
    layer.init(0, x.shape[1:])
    before = layer.state_dict()
    sn.gradcheck(layer, x, samples=2)
    after = layer.state_dict()
    assert all(np.array_equal(before[key], after[key]) for key in before)
    assert all(p.grad is None for p in layer.parameters().values())


LOSSES = {
    "softmax cross entropy": lambda z: sn.softmax_cross_entropy(z, np.arange(6) % 4),
    "softmax cross entropy, smoothed": lambda z: sn.softmax_cross_entropy(z, np.arange(6) % 4, label_smoothing=0.1),
    "softmax cross entropy, probabilities": lambda z: sn.softmax_cross_entropy(
        z, np.random.default_rng(1).dirichlet(np.ones(4), 6)),
    "binary cross entropy of logits": lambda z: sn.binary_cross_entropy(z, np.eye(6, 4) * 0.9, from_logits=True),
    "binary cross entropy": lambda z: sn.binary_cross_entropy(z / 5 + 0.5, np.eye(6, 4) * 0.9),
    "mean squared error": lambda z: sn.mean_squared_error(z, np.eye(6, 4)),
}


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize("name", LOSSES)
def test_gradient_of_every_loss(name, dtype):
    loss, inner = LOSSES[name], 1 / 5 if name == "binary cross entropy" else 1
    sn.gradcheck(lambda z: (loss(z)[0], loss(z)[1] * inner), distinct((6, 4)), dtype=dtype)
