"""Whole networks in bfloat16: beside the float64 reference, and what their users get to see."""

import sys

import numpy as np
import pytest

import scratchnet as sn
from scratchnet import backend
from scratchnet.kernels import reference
from scratchnet.kernels.cuda import launch
from test_cuda_models import NETWORKS, OPTIMIZERS, made, steps


def rounded(x):
    return x.astype(launch.bfloat16()).astype("f8")


class Rounding:
    """The reference in float64, rounding to bfloat16 what the engine stores in it, and the factors of products."""

    WIDE = {"bias_backward", "softmax_cross_entropy"}                  # none of whose results is an activation

    def __getattr__(self, name):
        operation = getattr(reference, name)

        def with_rounding(*arguments):
            results = operation(*arguments)
            if name in self.WIDE or results is None:
                return results
            if isinstance(results, list):                              # of concat_backward
                return [rounded(result) for result in results]
            return (rounded(results[0]), *results[1:]) if isinstance(results, tuple) else rounded(results)
        return with_rounding

    def conv2d(self, x, w, *rest):
        return rounded(reference.conv2d(rounded(x), rounded(w), *rest))

    def dense(self, x, w, b, activation=None):
        y = rounded(rounded(x) @ rounded(w)) + b                       # cuBLAS rounds, then the bias is added
        return rounded(y if activation is None else {"relu": lambda y: np.maximum(y, 0), "tanh": np.tanh}[activation](y))

    def depthwise_conv2d(self, x, w, *rest):                           # it has few weights, which stay float32
        return rounded(reference.depthwise_conv2d(rounded(x), w, *rest))

    def depthwise_conv2d_backward_weights(self, dy, x, *rest):
        return reference.depthwise_conv2d_backward_weights(dy, rounded(x), *rest)

    def conv2d_backward(self, dy, y, x, x_shape, w, *rest):
        *window, activation, needs, init, gate = rest
        dz, db = self.of_activation(dy, y, activation)
        dx = rounded(reference.conv2d_backward_data(dz, rounded(w), x_shape, *window)) if needs[0] else None
        dx = dx if init is None else self.add(init, dx, 1.0)
        dx = dx if gate is None else self.relu_backward(dx, gate, 0.0, None, 0.0)
        return dx, reference.conv2d_backward_weights(dz, rounded(x), w.shape, *window), db if needs[2] else None

    def dense_backward(self, dy, y, x, w, activation, needs):
        dz, db = self.of_activation(dy, y, activation)
        return rounded(dz @ rounded(w).T) if needs[0] else None, rounded(x).T @ dz, db if needs[2] else None

    def of_activation(self, dy, y, activation):
        dy = rounded(dy)
        return getattr(self, f"{activation}_bias_backward")(dy, y) if activation else (dy, self.bias_backward(dy))


def on_the_device(name):
    model, images, labels = made(name)
    asarray = sys.modules["cupy"].asarray
    return sn.to_device(model, "cuda"), asarray(images), asarray(labels)


def distances(one, other):
    return [np.linalg.norm(one[key] - other[key]) / np.linalg.norm(other[key]) for key in other]


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_is_trained_in_bfloat16_as_float64_with_the_same_roundings_is(name, cupy, monkeypatch):
    model, images, labels = made(name)
    optimizer = OPTIMIZERS[name](model.astype("float64").parameters())
    with monkeypatch.context() as patch:
        patch.setattr(backend._choice, "forced", Rounding())
        patch.setattr("scratchnet.layers.fusion.one_pass", lambda x: True)
        losses, gradients, state, _ = steps(model, images.astype("f8"), labels, optimizer, 3)
    model, images, labels = on_the_device(name)
    with sn.use_precision("bf16"):
        got = steps(model, images, labels, OPTIMIZERS[name](model.parameters()), 3)
    # Nearly always the same number is stored; where float32 sums fall on the other side of a tie the next one is.
    np.testing.assert_allclose(got[0], losses, rtol=2e-3)
    assert max(distances(got[1], gradients)) < 2e-3
    for arrays in got[1:3]:
        assert all(array.dtype.name in ("float32", "int64") for array in arrays.values())


def test_in_bfloat16_are_the_activations_and_their_gradients_and_nothing_else(cupy):
    model, images, labels = on_the_device("branches")
    seen = {"forward": set(), "backward": set()}
    with sn.use_precision("bf16"), sn.watch(lambda path, when, y, *_: seen[when].add(y.dtype)):
        loss, logits, backward = model.loss(images, labels)
        backward()
    assert seen == {"forward": {launch.bfloat16()}, "backward": {launch.bfloat16()}}
    assert loss.dtype == logits.dtype == np.float32
    assert {p.grad.dtype for p in model.parameters().values()} == {np.dtype("float32")}


class Seeing(sn.Layer):
    """y = x, and what comes back is kept."""

    def forward(self, x, training=True):
        def backward(dy, need_dx=True):
            self.seen = dy
            return dy
        return x, backward


def test_the_scale_of_a_residual_is_not_rounded_either_way(cupy):
    asarray, seeing = sys.modules["cupy"].asarray, Seeing()
    residual, scale = sn.Residual(seeing, scale=0.17), np.float32(0.17)
    residual.init(0, (40,))
    x, dy = (np.random.default_rng(seed).standard_normal((9, 40)).astype(launch.bfloat16()) for seed in (0, 1))
    y, backward = residual.forward(asarray(x))
    backward(asarray(dy))
    wide = x.astype("f4")
    assert y.get().tobytes() == (wide + scale * wide).astype(launch.bfloat16()).tobytes()
    assert seeing.seen.dtype == launch.bfloat16()
    assert seeing.seen.get().tobytes() == (scale * dy.astype("f4")).astype(launch.bfloat16()).tobytes()


def test_a_backward_outside_of_the_block_is_of_bfloat16_activations_still(cupy):
    model, images, labels = on_the_device("LeNet-5")
    with sn.use_precision("bf16"):
        _, _, backward = model.loss(images, labels)
    backward()
    inside = {name: p.grad.get() for name, p in model.parameters().items()}
    model, images, labels = on_the_device("LeNet-5")
    with sn.use_precision("bf16"):
        model.loss(images, labels)[2]()
    for name, parameter in model.parameters().items():
        assert parameter.grad.get().tobytes() == inside[name].tobytes()


def test_on_the_cpu_bf16_changes_nothing():
    model, images, labels = made("LeNet-5")
    expected = model(images)
    with sn.use_precision("bf16"):
        y = model(images)
    assert y.dtype == np.float32 and y.tobytes() == expected.tobytes()


def test_a_bfloat16_array_of_numpy_is_refused_with_what_to_do():
    model, images, _ = made("LeNet-5")
    with pytest.raises(TypeError, match="bfloat16, which arrays on a GPU may be but NumPy's may not; write x.astype"):
        model(images.astype(launch.bfloat16()))


def test_bfloat16_goes_with_parameters_of_float32_only(cupy):
    model, images, _ = on_the_device("LeNet-5")
    narrow = sys.modules["cupy"].asarray(images.get().astype(launch.bfloat16()))
    assert model(narrow).dtype == launch.bfloat16()
    with pytest.raises(TypeError, match="the input is bfloat16 but the parameters are float64"):
        model.astype("float64")(narrow)
