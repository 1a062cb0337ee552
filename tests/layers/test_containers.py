"""Containers: names, shapes, and the one observation point."""

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.layers import Concat, Conv2D, Dense, Flatten, Residual, Sequential, Tanh

X = np.random.default_rng(0).standard_normal((2, 6, 6, 4)).astype("float32")


def nested():
    model = Sequential(
        stem=Conv2D(4, 3, padding=1),
        block=Residual(Sequential(Conv2D(4, 3, padding=1), Tanh()), activation="relu"),
        both=Concat(left=Conv2D(2, 1), right=Tanh()),
        flat=Flatten(), out=Dense(3))
    model.init(0, (6, 6, 4))
    return model


def test_names_make_the_dotted_keys():
    assert list(nested().parameters()) == ["stem.weight", "stem.bias", "block.main.0.weight", "block.main.0.bias",
                                           "both.left.weight", "both.left.bias", "out.weight", "out.bias"]


def test_children_are_reached_by_name_and_position():
    model = nested()
    assert model["stem"] is model[0] and len(model) == 5 and [layer.path for layer in model][-1] == "out"


def test_residual_adds_and_concat_puts_side_by_side():
    main = Conv2D(4, 1)
    block = Residual(main, scale=0.5, activation="relu")
    block.init(0, (6, 6, 4))
    np.testing.assert_allclose(block(X), np.maximum(X + 0.5 * main(X), 0), rtol=1e-6, atol=1e-7)
    both = Concat(Tanh(), main)
    both.init(0, (6, 6, 4))
    assert np.array_equal(both(X), np.concatenate([Tanh().run(X)[0], main(X)], -1))


@pytest.mark.parametrize("build, words", [
    (lambda: Residual(Conv2D(5, 1)), r"main gives \(6, 6, 5\) but the shortcut gives \(6, 6, 4\)"),
    (lambda: Concat(a=Conv2D(2, 3), b=Conv2D(2, 1)), r"a \(4, 4, 2\), b \(6, 6, 2\)"),
    (lambda: Sequential(Conv2D(2, 3), inner=Sequential(deep=Dense(3))), r"inner.deep \(Dense 3\): expected rows"),
    (lambda: Conv2D(6, 3, groups=4), "4 groups must divide the 4 input channels and the 6 filters"),
    (lambda: sn.MaxPool2D(2, strides=1, padding=2), "holds padding only"),
    (lambda: sn.Pad2D(6, mode="reflect"), "at most 5"),
])
def test_shapes_that_do_not_fit_are_refused_by_init(build, words):
    with pytest.raises(ValueError, match=words):
        build().init(0, (6, 6, 4))


@pytest.mark.parametrize("build, error, words", [
    (lambda: Sequential(), ValueError, "at least one layer"),
    (lambda: Sequential(Tanh), TypeError, "write Tanh"),
    (lambda: Sequential(**{"a.b": Tanh()}), ValueError, "separate the names"),
    (lambda: Conv2D(0, 3), ValueError, "filters must be a positive int"),
    (lambda: Conv2D(3, (3, 3, 3)), ValueError, "kernel_size"),
    (lambda: Conv2D(3, 3, strides=0), ValueError, "strides"),
    (lambda: Conv2D(3, 3, padding="full"), ValueError, "padding must be 'valid', 'same'"),
    (lambda: Conv2D(3, 3, padding=-1), ValueError, "padding"),
    (lambda: Conv2D(3, 3, activation="gelu"), ValueError, "activation"),
    (lambda: Conv2D(3, 3, kernel_initializer="best"), ValueError, "initializer"),
    (lambda: sn.Dropout(1), ValueError, "0 <= rate < 1"),
    (lambda: sn.BatchNorm(epsilon=0), ValueError, "epsilon"),
    (lambda: sn.ReLU(negative_slope=-1), ValueError, "negative_slope"),
    (lambda: sn.Pad2D(1, mode="wrap"), ValueError, "mode must be one of"),
])
def test_bad_arguments_are_refused_when_a_layer_is_made(build, error, words):
    with pytest.raises(error, match=words):
        build()


def test_watch_sees_every_leaf_forward_and_backward_in_order():
    model, seen = nested(), []
    with sn.watch(lambda path, which, *arrays: seen.append((path, which, [getattr(a, "shape", None) for a in arrays]))):
        y, backward = model.forward(X)
        backward(y, need_dx=False)
    leaves = ["stem", "block.main.0", "block.main.1", "both.left", "both.right", "flat", "out"]
    assert [path for path, which, _ in seen if which == "forward"] == leaves
    assert sorted(path for path, which, _ in seen if which == "backward") == sorted(leaves)
    assert seen[0] == ("stem", "forward", [(2, 6, 6, 4)])
    assert seen[-1] == ("stem", "backward", [(2, 6, 6, 4), None])
    model.forward(X)
    assert len(seen) == 14                                       # nothing after the with block


def test_watch_changes_no_result():
    model = nested()
    plain = model(X)
    with sn.watch(lambda *_: None):
        assert np.array_equal(model(X), plain)


def test_use_kernels_reference_agrees_with_the_fast_kernels():
    model, twin = nested(), nested()
    y, backward = model.forward(X)
    dx = backward(y)
    with sn.use_kernels("reference"):
        twin_y, twin_backward = twin.forward(X)
        twin_dx = twin_backward(twin_y)
    np.testing.assert_allclose(y, twin_y, rtol=1e-4, atol=1e-5)          # float32, sums of 144 terms
    np.testing.assert_allclose(dx, twin_dx, rtol=1e-4, atol=1e-5)
    assert not np.array_equal(y, twin_y), "the two sums have another order, so equal bits mean one kernel ran twice"
