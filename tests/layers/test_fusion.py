"""Neighbours run as one pass: the same numbers as one by one, and all rules of the engine as if they had not been."""

import contextlib
import gc

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.kernels import cpu
from scratchnet.kernels.cpu import memory
from scratchnet.layers import (BatchNorm, Conv2D, Dense, GlobalAvgPool2D, ReLU, Residual, Sequential, watch)

X = np.random.default_rng(0).standard_normal((4, 8, 8, 6)).astype("float32")


def nothing(*seen):
    """A watcher for whose sake layers run one by one."""


MODELS = {
    "batch norm, relu": lambda: Sequential(BatchNorm(), ReLU(), Conv2D(3, 3)),
    "batch norm, relu at the end": lambda: Sequential(Conv2D(3, 3), BatchNorm(), ReLU()),
    "batch norm, leaky relu": lambda: Sequential(BatchNorm(), ReLU(0.1)),
    "batch norm with relu": lambda: BatchNorm(activation="relu"),
    "identity shortcut": lambda: Residual(Sequential(Conv2D(6, 3, padding=1), BatchNorm()), activation="relu"),
    "no activation": lambda: Residual(Sequential(Conv2D(6, 3, padding=1), BatchNorm())),
    "batch norm alone": lambda: Residual(BatchNorm(), Conv2D(6, 1), activation="relu"),
    "projection": lambda: Residual(Sequential(Conv2D(5, 3, 2, 1), BatchNorm(activation="relu"), Conv2D(5, 1), BatchNorm()),
                                   Sequential(Conv2D(5, 1, 2), BatchNorm()), activation="relu"),
    "scaled": lambda: Residual(Sequential(Conv2D(6, 1), BatchNorm()), activation="relu", scale=0.3),
    "tanh": lambda: Residual(Sequential(Conv2D(6, 1), BatchNorm()), activation="tanh"),
    "batch norm with its own activation": lambda: Residual(Sequential(Conv2D(6, 1), BatchNorm(activation="relu"))),
    "batch norm and relu as main": lambda: Residual(Sequential(Conv2D(6, 1), BatchNorm(), ReLU()), activation="relu"),
    "two blocks": lambda: Sequential(*(Residual(Sequential(Conv2D(6, 1), BatchNorm(), ReLU(), Conv2D(6, 1), BatchNorm()),
                                                activation="relu") for _ in range(2)), GlobalAvgPool2D(), Dense(3)),
    "four blocks of whole vectors": lambda: Sequential(Conv2D(64, 1), *(
        Residual(Sequential(Conv2D(64, 1, strides), BatchNorm(activation="relu"), Conv2D(64, 1), BatchNorm()), shortcut,
                 activation="relu") for strides, shortcut in ((1, None), (2, Conv2D(64, 1, 2)), (1, None), (1, None)))),
}


def made(name):
    """The model, with parameters away from the zeros and ones of a start."""
    model = MODELS[name]()
    model.init(0, X.shape[1:])
    rng = np.random.default_rng(1)
    for parameter in model.parameters().values():
        parameter.value = parameter.value + 0.3 * rng.standard_normal(parameter.value.shape).astype("f4")
    return model


def step(model, training=True, need_dx=True):
    """y, dL/dx, gradients and state of a forward and its backward, by name."""
    y, backward = model.forward(X, training)
    dx = backward(np.random.default_rng(2).standard_normal(y.shape).astype("f4"), need_dx)
    gradients = {f"d {name}": p.grad.copy() for name, p in model.parameters().items() if p.grad is not None}
    return {"y": y, "dx": dx, **gradients, **model.state_dict()}


def assert_same(got, expected, **tolerance):
    assert got.keys() == expected.keys()
    for name in got:
        np.testing.assert_allclose(got[name], expected[name], err_msg=name, **tolerance)


@pytest.mark.parametrize("training", [True, False], ids=["training", "inference"])
@pytest.mark.parametrize("name", MODELS)
def test_one_pass_gives_the_bits_of_one_by_one(name, training):
    with watch(nothing):
        expected = step(made(name), training)
    assert_same(step(made(name), training), expected, rtol=0, atol=0)
    assert np.array_equal(made(name)(X), made(name).forward(X, training=False)[0])


@pytest.mark.parametrize("name", MODELS)
def test_one_pass_gives_what_the_reference_does(name):
    with sn.use_kernels("reference"):
        expected = step(made(name))
    assert_same(step(made(name)), expected, rtol=1e-3, atol=1e-4)    # float32 twice, through up to eight layers


@pytest.mark.parametrize("name", ["batch norm, relu at the end", "projection", "two blocks", "four blocks of whole vectors"])
def test_a_watch_sees_every_leaf_also_when_it_comes_after_the_forward(name):
    model, both, late = made(name), [], []
    with watch(lambda path, which, *arrays: both.append((path, which))):
        step(model)
    y, backward = model.forward(X)
    with watch(lambda path, which, *arrays: late.append((path, which))):
        backward(y)
    assert late == [seen for seen in both if seen[1] == "backward"]
    leaves = {leaf.path for leaf in model.leaves()}
    assert {path for path, _ in late} == leaves and {path for path, which in both if which == "forward"} == leaves


@pytest.mark.parametrize("name", ["two blocks", "four blocks of whole vectors"])
def test_a_late_watch_sees_each_layers_own_gradient(name):
    """Not the sum with a shortcut's, nor what a ReLU made of it."""
    seen = [], []
    for early, list_ in zip((True, False), seen):
        model = made(name)
        with watch(nothing) if early else contextlib.nullcontext():
            y, backward = model.forward(X)
        with watch(lambda path, which, dy, dx: list_.extend((dy, dx))):
            backward(y)
    for late, expected in zip(*seen[::-1]):
        np.testing.assert_array_equal(late, expected)


def test_a_late_watch_sees_a_relu_turn_gradients_to_zero():
    model, seen = made("batch norm, relu at the end"), {}
    y, backward = model.forward(X)
    with watch(lambda path, which, dy, dx: seen.update({path: (dy, dx)})):
        backward(np.ones_like(y))
    dy, dx = seen["2"]
    assert (dy == 1).all() and np.array_equal(dx, y > 0) and np.array_equal(seen["1"][0], dx)


class Counted:
    """The operations of the fast kernels, noting which are called."""

    def __init__(self, monkeypatch, *names):
        self.calls = []
        for name in names:
            monkeypatch.setattr(cpu, name, lambda *a, name=name, run=getattr(cpu, name): self.calls.append(name) or run(*a))


@pytest.mark.parametrize("name, calls", [
    ("batch norm, relu", ["batch_norm", "batch_norm_backward"]),
    ("batch norm, relu at the end", ["batch_norm", "batch_norm_backward"]),
    ("batch norm with relu", ["batch_norm", "batch_norm_backward"]),
    ("identity shortcut", ["batch_norm", "relu_backward", "batch_norm_backward", "add"]),
    ("no activation", ["batch_norm", "batch_norm_backward", "add"]),
    ("scaled", ["batch_norm", "add", "relu", "relu_backward", "batch_norm_backward", "add"]),
    ("two blocks", ["batch_norm"] * 4 + ["relu_backward"] + ["batch_norm_backward"] * 4 + ["add"]),
    ("four blocks of whole vectors", ["batch_norm"] * 8 + ["relu_backward"] + ["batch_norm_backward"] * 8),
    ("batch norm, leaky relu", ["batch_norm", "relu", "relu_backward", "batch_norm_backward"]),
])
def test_no_pass_is_made_that_another_could_do(name, calls, monkeypatch):
    counted = Counted(monkeypatch, "batch_norm", "batch_norm_backward", "relu", "relu_backward", "add")
    step(made(name))
    assert counted.calls == calls


@pytest.mark.parametrize("name", ["batch norm, relu", "batch norm, relu at the end", "identity shortcut", "projection",
                                  "two blocks"])
def test_one_pass_keeps_no_more_alive_than_one_by_one(name):
    big = np.random.default_rng(0).standard_normal((4, 64, 64, 6)).astype("float32")

    def kept(model):
        gc.collect()
        before = memory.live_bytes()
        y, backward = model.forward(big)
        return memory.live_bytes() - before, backward, y
    with watch(nothing):
        one_by_one = kept(made(name))[0]
    assert kept(made(name))[0] <= one_by_one


@pytest.mark.parametrize("frozen", ["main", "main.1", "shortcut"])
def test_frozen_parts_of_a_residual_run_on_running_statistics_and_learn_nothing(frozen):
    results = []
    for look in (True, False):
        model = made("projection")
        part = model
        for key in frozen.split("."):
            part = part.children()[key]
        part.trainable = False
        if look:
            with watch(nothing):
                results.append(step(model))
        else:
            results.append(step(model))
    assert_same(*results, rtol=0, atol=0)
    assert not any(name.startswith(f"d {frozen}.") for name in results[0])


def test_below_the_lowest_trained_layer_no_gradient_is_asked_for():
    model = Sequential(Conv2D(6, 1), BatchNorm(), ReLU(), Conv2D(2, 1))
    model.init(0, X.shape[1:])
    for layer in list(model)[:3]:
        layer.trainable = False
    y, backward = model.forward(X)
    assert backward(y, need_dx=False) is None
    y, backward = model.forward(X)
    assert backward(y).shape == X.shape
    assert all(p.grad is None for p in list(model)[1].parameters().values())



@pytest.mark.parametrize("name", ["batch norm, relu at the end", "identity shortcut"])
def test_single_use_and_versions_hold(name):
    model = made(name)
    y, first = model.forward(X)
    first(y)
    with pytest.raises(RuntimeError, match="already run"):
        first(y)
    y, second = model.forward(X)
    norm = next(leaf for leaf in model.leaves() if isinstance(leaf, BatchNorm))
    norm.weight.value = norm.weight.value * 2
    with pytest.raises(RuntimeError, match="parameters were changed"):
        second(y)


def test_a_subclass_of_a_layer_keeps_its_own_forward():
    class Shifted(BatchNorm):
        def forward(self, x, training=True):
            y, backward = BatchNorm.run(self, x, training)
            return y + 1, backward

    class Half(ReLU):
        def forward(self, x, training=True):
            y, backward = ReLU.run(self, x, training)
            return y / 2, lambda dy, need_dx=True: backward(dy / 2)

    for model in (Sequential(Shifted(), ReLU()), Sequential(BatchNorm(), Half()), Residual(Shifted(), activation="relu"),
                  Residual(BatchNorm(), activation=Half())):
        model.init(0, X.shape[1:])
        with watch(nothing):
            expected = step(model)
        model.init(0, X.shape[1:])
        assert_same(step(model), expected, rtol=0, atol=0)
