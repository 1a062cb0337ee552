"""The rules around forward and backward: what may enter, single use, values stay values, inference keeps nothing."""

import gc
import weakref

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.layers import (BatchNorm, Conv2D, Dense, Dropout, Flatten, Layer, ReLU, Residual, Sequential, Tanh)

IMAGES = np.random.default_rng(0).standard_normal((4, 8, 8, 3)).astype("float32")


def small():
    model = Sequential(conv=Conv2D(4, 3, activation="relu"), norm=BatchNorm(), flat=Flatten(), out=Dense(5))
    model.init(0, (8, 8, 3))
    return model


def test_backward_adds_to_the_gradients():
    model = small()
    y, backward = model.forward(IMAGES)
    backward(np.ones_like(y))
    once = {name: p.grad.copy() for name, p in model.parameters().items()}
    y, backward = model.forward(IMAGES)
    backward(np.ones_like(y))
    for name, p in model.parameters().items():
        np.testing.assert_allclose(p.grad, 2 * once[name], rtol=1e-6, atol=1e-6)


def test_a_second_call_of_backward_raises():
    model = small()
    y, backward = model.forward(IMAGES)
    backward(y)
    with pytest.raises(RuntimeError, match="already run"):
        backward(y)


def test_backward_after_a_step_raises_instead_of_mixing_old_and_new_weights():
    model = small()
    optimizer = sn.SGD(model.parameters())
    y, first = model.forward(IMAGES)
    _, second = model.forward(IMAGES)
    first(y)
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"out \(Dense 5\): its parameters were changed"):
        second(y)


@pytest.mark.parametrize("bad", [lambda y: y[:2], lambda y: y.astype("float64"), lambda y: y.T])
def test_a_dy_unlike_y_is_refused(bad):
    model = small()
    y, backward = model.forward(IMAGES)
    with pytest.raises(ValueError, match="dy must be like y"):
        backward(bad(y))


def test_nothing_is_written_into_x_y_or_dy():
    layers = [Conv2D(4, 3), BatchNorm(activation="tanh"), Dropout(0.5), ReLU(), Residual(Tanh(), activation="relu")]
    for layer in layers:
        layer.init(0, (8, 8, 3))
        x = IMAGES.copy()
        y, backward = layer.forward(x)
        dy = np.random.default_rng(1).standard_normal(y.shape).astype("float32")
        kept = y.copy(), dy.copy()
        dx = backward(dy)
        assert np.array_equal(x, IMAGES) and np.array_equal(y, kept[0]) and np.array_equal(dy, kept[1]), layer
        assert not any(np.shares_memory(dx, other) for other in (x, y)), layer


def test_read_only_strided_and_foreign_endian_arrays_are_taken():
    model, expected = small(), small()(IMAGES)
    frozen = IMAGES.copy()
    frozen.flags.writeable = False
    strided = np.repeat(IMAGES, 2, axis=2)[:, :, ::2]
    for x in (frozen, strided, IMAGES.astype(">f4"), np.asfortranarray(IMAGES)):
        assert np.array_equal(model(x), expected)


@pytest.mark.parametrize("x, error, words", [
    (IMAGES.tolist(), TypeError, "must be a NumPy or CuPy array, got list"),
    ((IMAGES * 255).astype("uint8"), TypeError, "uint8.*/ 255"),
    (IMAGES.astype("float64"), TypeError, r"float64 but the parameters are float32.*astype"),
    (np.ma.array(IMAGES), TypeError, "plain NumPy array"),
    (IMAGES.transpose(0, 3, 1, 2), ValueError, r"looks like \(N, C, H, W\)"),
    (IMAGES[0], ValueError, "batch axis is missing"),
    (IMAGES[..., :2], ValueError, r"expected an input of shape \(N, 8, 8, 3\), got \(4, 8, 8, 2\)"),
    (IMAGES[:, :6], ValueError, r"out \(Dense 5\).*made for"),
    (IMAGES[:, :2, :2], ValueError, r"conv \(Conv2D 3x3, valid\).*smaller than the window"),
], ids=["list", "uint8", "float64", "masked", "channels first", "no batch", "channels", "another height", "too small"])
def test_what_does_not_fit_is_refused_with_what_to_do(x, error, words):
    with pytest.raises(error, match=words):
        small().forward(x)


def test_a_layer_without_init_says_so():
    with pytest.raises(RuntimeError, match="not initialised; call init"):
        Dense(3)(np.zeros((2, 4), np.float32))


def test_a_convolution_takes_other_image_sizes_after_init():
    layer = Conv2D(4, 3)
    layer.init(0, (8, 8, 3))
    assert layer(np.zeros((2, 11, 5, 3), np.float32)).shape == (2, 9, 3, 4)


def test_inference_equals_forward_and_keeps_no_closure():
    model = small()
    kept = []

    class Keeps(Layer):
        def forward(self, x, training=True):
            y = x * 1
            kept.append(weakref.ref(y))
            return y, lambda dy, need_dx=True: dy * y

    chain = Sequential(Keeps(), Keeps(), Keeps())
    chain.init(0, (8, 8, 3))
    y = chain(IMAGES)
    gc.collect()
    assert [ref() is not None for ref in kept] == [False, False, True] and kept[2]() is y
    assert np.array_equal(model(IMAGES), model.forward(IMAGES, training=False)[0])


def test_the_backward_of_inference_is_valid_too():
    model = small().astype("float64")
    sn.gradcheck(model, IMAGES.astype("float64"), samples=10, training=False)


def test_need_dx_false_gives_none_and_the_same_parameter_gradients():
    gradients = []
    for need_dx in (True, False):
        model = small()
        y, backward = model.forward(IMAGES)
        dx = backward(y, need_dx)
        assert (dx is not None) == need_dx
        gradients.append({name: p.grad for name, p in model.parameters().items()})
    assert all(np.array_equal(gradients[0][name], gradients[1][name]) for name in gradients[0])


def test_loss_is_forward_criterion_and_backward_in_one():
    labels = np.array([0, 1, 2, 3])
    model, twin = small(), small()
    value, logits, backward = model.loss(IMAGES, labels)
    assert backward() is None
    twin_logits, twin_backward = twin.forward(IMAGES)
    twin_value, dlogits = sn.softmax_cross_entropy(twin_logits, labels)
    twin_backward(dlogits)
    assert value == twin_value and np.array_equal(logits, twin_logits)
    for name, p in model.parameters().items():
        assert np.array_equal(p.grad, twin.parameters()[name].grad)


def test_a_shared_layer_is_initialised_once_listed_once_and_sums_its_gradients():
    shared = Dense(6, activation="tanh")
    model = Sequential(shared, shared)
    model.init(0, (6,))
    assert list(model.parameters()) == ["0.weight", "0.bias"] and shared.path == "0"
    sn.gradcheck(model, np.random.default_rng(0).standard_normal((3, 6)))


def test_a_shared_layer_that_does_not_fit_its_second_place_is_refused():
    shared = Dense(6)
    with pytest.raises(ValueError, match="made for that many channels"):
        Sequential(shared, Dense(5), shared).init(0, (6,))


def test_init_again_draws_again():
    model = small()
    first = model.state_dict()
    model.init(1, (8, 8, 3))
    assert not np.array_equal(first["conv.weight"], model.state_dict()["conv.weight"])
    model.init(0, (10, 10, 2))
    assert model(np.zeros((1, 10, 10, 2), np.float32)).shape == (1, 5)


@pytest.mark.parametrize("shape", [(), (8, 8, 0), (8, -1, 3), None, "abc"])
def test_an_impossible_input_shape_is_refused_by_init(shape):
    with pytest.raises(ValueError, match="positive sizes"):
        Conv2D(2, 3).init(0, shape)


def test_a_user_layer_needs_no_super_init_and_no_more_than_its_three_methods():
    class Scale(Layer):
        def __init__(self, start):
            self.start = start

        def build(self, rng, input_shape):
            self.s = self.add_parameter("s", np.full(input_shape[-1], self.start))

        def forward(self, x, training=True):
            s = self.s.value

            def backward(dy, need_dx=True):
                self.s.add_grad((dy * x).sum((0, 1, 2)))
                return dy * s
            return x * s, backward

    sn.gradcheck(Sequential(Scale(2.0), Conv2D(2, 3), Scale(0.5)), IMAGES.astype("float64"), samples=20)
