"""Every layer, with every option, against PyTorch: output, dL/dx and the gradient of every parameter.

A row is a layer, the shape of its input without the batch, and the same function made of PyTorch's.
"""

import copy

import numpy as np
import pytest

import scratchnet as sn

torch = pytest.importorskip("torch")
from as_pytorch import (F, avg_pool, avg_pool_of_pixels, batch_norm, chain, conv, dense,  # noqa: E402
                        flatten_then_dense, images, max_pool, plain, relu, sigmoid, softmax, tanh,
                        three_piece_relu)

torch.set_num_threads(2)
ROWS = []


def row(name, layer, shape, function, draw=np.random.Generator.standard_normal, batch=3, training=True):
    ROWS.append(pytest.param(layer, shape, function, draw, batch, training, id=name.replace(" ", "-")))


def negative(rng, shape):
    """All below zero, so that a padded zero would win a maximum."""
    return -5 - rng.random(shape)


def integers(rng, shape):
    """Ties under a maximum, and points exactly on the kinks 0 and 6 of ReLU and ReLU6."""
    return rng.integers(-3, 8, shape)


def far(rng, shape):
    """The first of the batch lies so far out that e^x overflows, in float64 too; the others do not."""
    x = rng.standard_normal(shape)
    x[0] *= 1000
    return x


row("conv", sn.Conv2D(4, 3), (7, 6, 3), conv())
row("conv on one image with one channel", sn.Conv2D(1, 3), (5, 4, 1), conv(), batch=1)
row("conv 1x1", sn.Conv2D(5, 1), (4, 3, 3), conv())
row("conv 1x1 of one pixel", sn.Conv2D(5, 1), (1, 1, 3), conv())
row("conv 2x5 window", sn.Conv2D(4, (2, 5)), (7, 8, 3), conv())
row("conv as large as the image", sn.Conv2D(4, (5, 6)), (5, 6, 3), conv())
row("conv like LeNet-5's first", sn.Conv2D(6, 5), (14, 15, 1), conv())
row("conv with many channels", sn.Conv2D(24, 3, padding=1), (6, 6, 17), conv(padding=1))
row("conv in several blocks", sn.Conv2D(12, 3, padding=1), (40, 37, 20), conv(padding=1), batch=2)
row("conv without bias", sn.Conv2D(4, 3, use_bias=False), (7, 6, 3), conv())
row("conv stride 2", sn.Conv2D(4, 3, strides=2), (8, 7, 3), conv(stride=2))
row("conv strides 3 and 1", sn.Conv2D(4, 3, strides=(3, 1)), (9, 7, 3), conv(stride=(3, 1)))
row("conv stride above its window", sn.Conv2D(4, 2, strides=3), (8, 9, 3), conv(stride=3))
row("conv padding 2", sn.Conv2D(4, 3, padding=2), (5, 6, 3), conv(padding=2))
row("conv padding 2 and 1", sn.Conv2D(4, 3, padding=(2, 1)), (5, 6, 3), conv(padding=(2, 1)))
row("conv padding above its window", sn.Conv2D(2, 2, padding=3), (3, 4, 3), conv(padding=3))
row("conv asymmetric padding", sn.Conv2D(4, 3, padding=((0, 2), (3, 1))), (5, 6, 3), conv((3, 1, 0, 2)))
row("conv dilation 2", sn.Conv2D(4, 3, dilation=2), (8, 9, 3), conv(dilation=2))
row("conv dilation 1 and 3", sn.Conv2D(4, 3, dilation=(1, 3)), (8, 9, 3), conv(dilation=(1, 3)))
row("conv groups 2", sn.Conv2D(6, 3, groups=2), (6, 7, 4), conv(groups=2))
row("conv groups of one channel", sn.Conv2D(8, 3, groups=4), (6, 7, 4), conv(groups=4))
row("conv with every option", sn.Conv2D(6, (3, 2), (2, 1), ((1, 2), (0, 1)), (2, 3), groups=3, use_bias=False,
                                        activation="sigmoid"), (9, 8, 6),
    chain(conv((0, 1, 1, 2), stride=(2, 1), dilation=(2, 3), groups=3), sigmoid))
row("conv same", sn.Conv2D(4, 3, padding="same"), (5, 6, 3), conv(padding="same"))
row("conv same, even window", sn.Conv2D(4, 4, padding="same"), (5, 6, 3), conv((1, 2, 1, 2)))
row("conv same, dilation 3", sn.Conv2D(4, (3, 2), padding="same", dilation=3), (7, 6, 3),
    conv((1, 2, 3, 3), dilation=3))
row("conv same, stride 2", sn.Conv2D(4, 3, strides=2, padding="same"), (8, 7, 3),
    conv((1, 1, 0, 1), stride=2))              # 4 windows need 9 rows: one more than 8, and two more than 7
row("conv same, stride above its window", sn.Conv2D(4, 1, 3, "same"), (7, 8, 3), conv(stride=3))
row("conv tanh", sn.Conv2D(4, 3, activation="tanh"), (7, 6, 3), chain(conv(), tanh))
row("conv leaky relu", sn.Conv2D(4, 3, activation=sn.ReLU(0.1)), (7, 6, 3),
    chain(conv(), plain(lambda x: F.leaky_relu(x, 0.1))))

row("depthwise", sn.DepthwiseConv2D(3), (7, 6, 4), conv(groups=4))
row("depthwise multiplier 3", sn.DepthwiseConv2D(3, depth_multiplier=3), (7, 6, 4), conv(groups=4))
row("depthwise without bias", sn.DepthwiseConv2D((2, 3), use_bias=False), (7, 6, 4), conv(groups=4))
row("depthwise with every option", sn.DepthwiseConv2D((3, 2), (2, 1), ((1, 2), (0, 1)), (2, 3), 2), (9, 8, 3),
    conv((0, 1, 1, 2), stride=(2, 1), dilation=(2, 3), groups=3))
row("depthwise same, stride 2, relu", sn.DepthwiseConv2D(3, 2, "same", activation="relu"), (8, 7, 3),
    chain(conv((1, 1, 0, 1), stride=2, groups=3), relu))
row("depthwise with many channels", sn.DepthwiseConv2D(3, 2), (9, 8, 150), conv(stride=2, groups=150))
row("separable", sn.SeparableConv2D(5, 3), (7, 6, 4),
    chain(conv(at="depthwise.", groups=4), conv(at="pointwise.")))
row("separable with every option", sn.SeparableConv2D(5, (3, 2), (2, 1), ((1, 2), (0, 1)), (2, 3), 2, False,
                                                      "relu"), (9, 8, 3),
    chain(conv((0, 1, 1, 2), "depthwise.", stride=(2, 1), dilation=(2, 3), groups=3), conv(at="pointwise."),
          relu))

row("dense", sn.Dense(5), (7,), dense())
row("dense without bias", sn.Dense(5, use_bias=False), (7,), dense())
row("dense on one row", sn.Dense(9), (4,), dense(), batch=1)
row("dense in several blocks", sn.Dense(260), (300,), dense(), batch=70)
row("dense softmax", sn.Dense(5, activation="softmax"), (7,), chain(dense(), softmax))
row("flatten", sn.Flatten(), (3, 4, 5), plain(lambda x: x.reshape(3, 60)))
row("flatten then dense", sn.Sequential(sn.Flatten(), sn.Dense(4)), (2, 3, 5), flatten_then_dense)

row("max pool", sn.MaxPool2D(2), (6, 8, 3), max_pool(2))
row("max pool leaves a rest", sn.MaxPool2D((2, 3)), (7, 8, 3), max_pool((2, 3)))
row("max pool with many channels", sn.MaxPool2D(3, 2), (9, 8, 150), max_pool(3, 2), batch=1)
row("max pool with ties", sn.MaxPool2D(3, 2), (9, 9, 4), max_pool(3, 2), integers)
row("max pool overlapping", sn.MaxPool2D(3, (1, 2)), (6, 7, 3), max_pool(3, (1, 2)))
row("max pool strides above its window", sn.MaxPool2D(2, 3), (8, 9, 3), max_pool(2, 3))
row("max pool padded", sn.MaxPool2D(3, 2, 1), (7, 8, 3), max_pool(3, 2, 1), negative)
row("max pool asymmetric padding", sn.MaxPool2D(3, 2, ((0, 1), (2, 1))), (6, 7, 3),
    max_pool(3, 2, pad=(2, 1, 0, 1)), negative)
row("max pool dilated", sn.MaxPool2D(2, 1, dilation=(2, 3)), (7, 8, 3), max_pool(2, 1, 0, (2, 3)))
row("max pool same", sn.MaxPool2D(3, 2, "same"), (8, 7, 3), max_pool(3, 2, pad=(1, 1, 0, 1)), negative)
row("max pool ceil", sn.MaxPool2D(3, 2, ceil_mode=True), (6, 8, 3), max_pool(3, 2, 0, 1, True), negative)
row("max pool ceil, padded", sn.MaxPool2D(2, 2, 1, ceil_mode=True), (5, 6, 3),  # none starts beyond the image
    max_pool(2, 2, 1, 1, True), negative)
row("max pool with every option", sn.MaxPool2D(3, (3, 2), 1, 2, True), (9, 10, 3),
    max_pool(3, (3, 2), 1, 2, True), negative)

row("average pool", sn.AvgPool2D(2), (6, 8, 3), avg_pool(2))
row("average pool leaves a rest", sn.AvgPool2D((2, 3)), (7, 8, 3), avg_pool((2, 3)))
row("average pool with many channels", sn.AvgPool2D(3, 2), (9, 8, 150), avg_pool(3, 2), batch=1)
row("average pool overlapping", sn.AvgPool2D(3, (1, 2)), (6, 7, 3), avg_pool(3, (1, 2)))
row("average pool strides above its window", sn.AvgPool2D(2, 3), (8, 9, 3), avg_pool(2, 3))
for counted, words in ((False, "padding not counted"), (True, "padding counted")):
    row(f"average pool {words}", sn.AvgPool2D(3, 2, 1, count_include_pad=counted), (7, 8, 3),
        avg_pool(3, 2, 1, False, counted))
    row(f"average pool ceil, {words}", sn.AvgPool2D(3, 2, 0, True, counted), (6, 8, 3),
        avg_pool(3, 2, 0, True, counted))
    row(f"average pool ceil, padded, {words}", sn.AvgPool2D((3, 4), (2, 3), (1, 2), True, counted), (6, 7, 3),
        avg_pool((3, 4), (2, 3), (1, 2), True, counted))
row("average pool asymmetric padding not counted", sn.AvgPool2D(3, 2, ((0, 1), (2, 1))), (6, 7, 3),
    avg_pool_of_pixels((2, 1, 0, 1), 3, 2))
row("average pool asymmetric padding counted", sn.AvgPool2D(3, 2, ((0, 1), (2, 1)), count_include_pad=True),
    (6, 7, 3), images(lambda x: F.avg_pool2d(F.pad(x, (2, 1, 0, 1)), 3, 2)))
row("average pool same", sn.AvgPool2D(3, 2, "same"), (8, 7, 3), avg_pool_of_pixels((1, 1, 0, 1), 3, 2))
row("global average pool", sn.GlobalAvgPool2D(), (5, 7, 3), plain(lambda x: x.mean((1, 2))))
for shape, (OH, OW) in (((6, 8, 3), (3, 2)), ((7, 5, 3), (3, 3)), ((3, 4, 3), (5, 7)), ((5, 6, 3), (1, 1))):
    row(f"adaptive average pool {shape[0]}x{shape[1]} to {OH}x{OW}", sn.AdaptiveAvgPool2D((OH, OW)), shape,
        images(lambda x, size=(OH, OW): F.adaptive_avg_pool2d(x, size)))

row("batch norm", sn.BatchNorm(), (5, 4, 3), batch_norm())
row("batch norm of rows", sn.BatchNorm(), (6,), batch_norm(), batch=9)
row("batch norm of sequences", sn.BatchNorm(), (5, 4), batch_norm())
row("batch norm of one channel", sn.BatchNorm(), (5, 4, 1), batch_norm())
row("batch norm of many channels", sn.BatchNorm(), (5, 4, 150), batch_norm())
row("batch norm, epsilon 0.3, relu", sn.BatchNorm(epsilon=0.3, activation="relu"), (5, 4, 3),
    chain(batch_norm(epsilon=0.3), relu))
row("batch norm inference", sn.BatchNorm(epsilon=0.3), (5, 4, 3), batch_norm("", False, 0.3), training=False)
row("batch norm inference of rows", sn.BatchNorm(activation="tanh"), (6,), chain(batch_norm("", False), tanh),
    training=False)
for setting in ((5, 1e-4, 0.75, 1), (5, 0.7, 0.75, 2), (4, 0.7, 0.5, 1), (1, 2, 1, 0.5), (9, 0.7, 0.75, 1)):
    row("local response norm, size {}, alpha {}, beta {}, k {}".format(*setting),
        sn.LocalResponseNorm(*setting), (4, 3, 7),
        images(lambda x, setting=setting: F.local_response_norm(x, *setting)))

row("relu", sn.ReLU(), (5, 4, 3), relu)
row("relu at its kink", sn.ReLU(), (5, 4, 3), relu, integers)
row("leaky relu at its kink", sn.ReLU(0.2), (5, 4, 3), plain(lambda x: F.leaky_relu(x, 0.2)), integers)
row("relu6 at its kinks", sn.ReLU(max_value=6), (5, 4, 3), plain(F.relu6), integers)
row("relu from 0.5", sn.ReLU(threshold=0.5), (5, 4, 3), plain(lambda x: F.threshold(x, 0.5, 0)))
row("relu from -1", sn.ReLU(threshold=-1), (5, 4, 3), plain(lambda x: F.threshold(x, -1, 0)))
row("relu with all its pieces", sn.ReLU(0.2, 1.1, 0.4), (5, 4, 3), three_piece_relu(0.2, 1.1, 0.4))
row("identity", sn.Identity(), (5, 4, 3), plain(torch.clone))
for layer, function in ((sn.Tanh(), tanh), (sn.Sigmoid(), sigmoid), (sn.Softmax(), softmax)):
    name = str(layer).lower()
    row(name, layer, (6,), function)
    row(f"{name} of images", layer, (5, 4, 3), function)
    row(f"{name} far out", layer, (6,), function, far)

row("pad 2", sn.Pad2D(2), (4, 5, 3), images(lambda x: F.pad(x, (2, 2, 2, 2))))
row("pad zeros", sn.Pad2D(((3, 1), (0, 2))), (4, 5, 3), images(lambda x: F.pad(x, (0, 2, 3, 1))))
row("pad reflect", sn.Pad2D(((3, 1), (4, 2)), "reflect"), (4, 5, 3),
    images(lambda x: F.pad(x, (4, 2, 3, 1), "reflect")))
row("pad replicate", sn.Pad2D(((3, 1), (7, 0)), "replicate"), (4, 5, 3),
    images(lambda x: F.pad(x, (7, 0, 3, 1), "replicate")))
row("pad circular", sn.Pad2D(((0, 4), (5, 2)), "circular"), (4, 5, 3),
    images(lambda x: F.pad(x, (5, 2, 0, 4), "circular")))

shared = sn.Conv2D(3, 3, padding=1)
row("sequential", sn.Sequential(sn.Conv2D(4, 3), sn.Tanh(), sn.AvgPool2D(2), sn.Flatten(), sn.Dense(3)),
    (6, 6, 2), chain(conv(at="0."), tanh, avg_pool(2), plain(lambda x: x.flatten(1)), dense("4.")))
row("sequential with one layer in two places", sn.Sequential(a=shared, b=sn.Tanh(), c=shared), (5, 4, 3),
    chain(conv(at="a.", padding=1), tanh, conv(at="a.", padding=1)))
row("residual", sn.Residual(sn.Conv2D(3, 3, padding=1)), (5, 4, 3),
    lambda x, p: x + conv(at="main.", padding=1)(x, p))
row("residual scaled, tanh", sn.Residual(sn.Conv2D(3, 3, padding=1), None, "tanh", 0.17), (5, 4, 3),
    lambda x, p: torch.tanh(x + 0.17 * conv(at="main.", padding=1)(x, p)))
row("batch norm, then relu", sn.Sequential(sn.BatchNorm(epsilon=0.3), sn.ReLU()), (5, 4, 3),
    chain(batch_norm("0.", epsilon=0.3), relu))
row("batch norm, then relu, inference", sn.Sequential(sn.BatchNorm(epsilon=0.3), sn.ReLU()), (5, 4, 3),
    chain(batch_norm("0.", False, 0.3), relu), training=False)
for training in (True, False):
    row(f"residual behind a batch norm, relu, {'training' if training else 'inference'}", sn.Residual(
        sn.Sequential(sn.Conv2D(3, 3, padding=1, use_bias=False), sn.BatchNorm(epsilon=0.3)), activation="relu"),
        (5, 4, 3),
        lambda x, p, training=training: torch.relu(
            x + batch_norm("main.1.", training, 0.3)(conv(at="main.0.", padding=1)(x, p), p)), training=training)
row("residual scaled, with shortcut, relu", sn.Residual(
        sn.Sequential(sn.Conv2D(4, 3, 2, 1, use_bias=False), sn.BatchNorm(activation="relu")),
        sn.Conv2D(4, 1, 2), activation="relu", scale=0.5), (7, 6, 3),
    lambda x, p: torch.relu(conv(at="shortcut.", stride=2)(x, p) + 0.5 * torch.relu(
        batch_norm("main.1.")(conv(at="main.0.", stride=2, padding=1)(x, p), p))))
row("concat", sn.Concat(sn.Conv2D(4, 1), p=sn.MaxPool2D(3, 1, 1), w=sn.Conv2D(2, 3, padding=1)), (5, 4, 3),
    lambda x, p: torch.cat([conv(at="0.")(x, p), max_pool(3, 1, 1)(x), conv(at="w.", padding=1)(x, p)], -1))
row("concat of rows", sn.Concat(sn.Dense(4), sn.Identity(), sn.Dense(2)), (5,),
    lambda x, p: torch.cat([dense("0.")(x, p), x, dense("2.")(x, p)], -1))


def initialised(layer, shape, rng, dtype):
    """A copy of `layer` with parameters and running statistics that are random, none left at 0 or 1."""
    layer = copy.deepcopy(layer)
    layer.init(0, shape)
    state = {name: 0.3 * rng.standard_normal(a.shape) for name, a in layer.astype(dtype).state_dict().items()}
    layer.load_state_dict({name: 0.5 + np.abs(a) if name.endswith("running_var") else a
                           for name, a in state.items()})
    return layer


def tensors(layer):
    """{name: float64 tensor in our layout}; those of parameters gather gradients."""
    return {name: torch.tensor(a, dtype=torch.float64, requires_grad=name in layer.parameters())
            for name, a in layer.state_dict().items()}


@pytest.mark.parametrize("layer, shape, function, draw, batch, training", ROWS)
def test_a_layer_computes_what_pytorch_computes(engine, layer, shape, function, draw, batch, training):
    rng = np.random.default_rng(0)
    layer = initialised(layer, shape, rng, engine.dtype)
    x, p = draw(rng, (batch, *shape)).astype(engine.dtype), tensors(layer)
    theirs_x = torch.tensor(x, dtype=torch.float64, requires_grad=True)

    y, backward = layer.forward(x, training)
    dy = rng.standard_normal(y.shape).astype(engine.dtype)
    dx = backward(dy)
    theirs = function(theirs_x, p)
    theirs.backward(torch.tensor(dy, dtype=torch.float64))

    engine.agree("y", y, theirs)
    engine.agree("dx", dx, theirs_x.grad)
    for name, parameter in layer.parameters().items():
        engine.agree(f"the gradient of {name}", parameter.grad, p[name].grad)


@pytest.mark.parametrize("kind, shape", [("BatchNorm2d", (5, 4, 3)), ("BatchNorm1d", (6,))])
@pytest.mark.parametrize("momentum", [0.1, 0.35, 0.0, 1.0])
def test_running_statistics_follow_pytorchs_step_after_step(engine, momentum, kind, shape):
    rng = np.random.default_rng(0)
    layer = initialised(sn.BatchNorm(momentum, epsilon=0.1), shape, rng, engine.dtype)
    theirs = getattr(torch.nn, kind)(shape[-1], eps=0.1, momentum=momentum, dtype=torch.float64)
    theirs.load_state_dict(tensors(layer), strict=False)         # theirs has a counter of batches too
    for batch in (4, 2, 7, 3, 5):            # of different sizes, as n/(n - 1) makes a variance unbiased
        x = (1.5 + 2 * rng.standard_normal((batch, *shape))).astype(engine.dtype)
        theirs_x = torch.tensor(x, dtype=torch.float64).movedim(-1, 1)
        layer.forward(x, training=True)
        theirs.train()(theirs_x)
        engine.agree("running mean", layer.state_dict()["running_mean"], theirs.running_mean)
        engine.agree("running variance", layer.state_dict()["running_var"], theirs.running_var)
        engine.agree("inference", layer(x), theirs.eval()(theirs_x).movedim(1, -1))


def test_a_batch_far_from_zero_keeps_the_digits_that_its_numbers_have(engine):
    rng = np.random.default_rng(0)
    layer = initialised(sn.BatchNorm(), (5, 4, 3), rng, engine.dtype)
    x = (1000 + rng.standard_normal((3, 5, 4, 3))).astype(engine.dtype)
    y, _ = layer.forward(x, training=True)
    theirs = batch_norm()(torch.tensor(x, dtype=torch.float64), tensors(layer))
    # x - mean is near 1, and takes over the rounding of a mean near 1000: 1160 units were measured.
    engine.agree("y", y, theirs, slack=64)


def test_every_layer_has_a_row():
    def kinds(layer):
        return {type(layer).__name__}.union(*(kinds(child) for child in layer.children().values()))
    covered = set().union(*(kinds(parameters.values[0]) for parameters in ROWS))
    exported = {name for name in sn.layers.__all__ if isinstance(getattr(sn.layers, name), type)}
    # Layer is abstract, Parameter is no layer, Dropout draws other masks than PyTorch's, and Auxiliary acts on the loss
    # (test_whole_gradients.py).
    assert exported - covered == {"Layer", "Parameter", "Dropout", "Auxiliary"}
