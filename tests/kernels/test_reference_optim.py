"""Optimisers against closed forms: a constant gradient makes every moving average a geometric series."""
import numpy as np
import pytest

from scratchnet.kernels import reference as ref

START = np.array([[1.5, -2.0], [0.25, 4.0]])
G = np.array([[0.5, -3.0], [1e-3, 7.0]])
LR, EPS, STEPS = 0.1, 1e-3, 6
TOLERANCE = dict(rtol=1e-12, atol=1e-13)


def zeros():
    return np.zeros_like(START)


def test_plain_sgd_steps_against_the_gradient():
    value = START.copy()
    ref.sgd(value, G, None, LR, 0.0, False, 0.0)
    np.testing.assert_allclose(value, START - 0.1 * G, **TOLERANCE)


def test_sgd_momentum_sums_a_geometric_series():
    value, velocity, expected = START.copy(), zeros(), START.copy()
    for k in range(1, STEPS):
        ref.sgd(value, G, velocity, LR, 0.9, False, 0.0)
        expected -= LR * G * (1 - 0.9**k) / (1 - 0.9)
        np.testing.assert_allclose(value, expected, **TOLERANCE)


def test_sgd_nesterov_looks_one_step_ahead():
    value, velocity, expected = START.copy(), zeros(), START.copy()
    for k in range(1, STEPS):
        ref.sgd(value, G, velocity, LR, 0.9, True, 0.0)
        expected -= LR * G * (1 - 0.9**(k + 1)) / (1 - 0.9)          # μ v_k + g = v_(k+1) if g is constant
        np.testing.assert_allclose(value, expected, **TOLERANCE)


def test_rmsprop_with_a_constant_gradient():
    value, square, expected = START.copy(), zeros(), START.copy()
    for k in range(1, STEPS):
        ref.rmsprop(value, G, square, None, None, LR, 0.9, EPS, 0.0, 0.0)
        expected -= LR * G / (np.abs(G) * np.sqrt(1 - 0.9**k) + EPS)
        np.testing.assert_allclose(value, expected, **TOLERANCE)


def test_centred_rmsprop_divides_by_the_deviation_and_momentum_sums_the_quotients():
    value, square, velocity, mean, expected = START.copy(), zeros(), zeros(), zeros(), START.copy()
    quotients = []
    for k in range(1, STEPS):
        ref.rmsprop(value, G, square, velocity, mean, LR, 0.9, EPS, 0.5, 0.0)
        weight = 1 - 0.9**k
        quotients.append(G / (np.abs(G) * np.sqrt(weight - weight**2) + EPS))
        expected -= LR * sum(0.5**(k - 1 - i) * quotient for i, quotient in enumerate(quotients))
        np.testing.assert_allclose(value, expected, **TOLERANCE)


def test_a_variance_rounded_below_zero_is_zero():
    value, square, mean = np.array([1.0]), np.array([4.0]), np.array([2.0 + 1e-15])
    ref.rmsprop(value, np.array([2.0]), square, None, mean, LR, 0.9, EPS, 0.0, 0.0)
    np.testing.assert_allclose(value, 1 - LR * 2 / EPS)


def test_adam_steps_by_lr_whatever_the_size_of_a_constant_gradient():
    value, m, v = START.copy(), zeros(), zeros()
    for k in range(1, STEPS):
        ref.adam(value, G, m, v, k, LR, 0.9, 0.99, EPS, 0.0)
        np.testing.assert_allclose(value, START - k * LR * G / (np.abs(G) + EPS), **TOLERANCE)


def test_adam_averages_an_alternating_gradient_away():
    value, m, v = START.copy(), zeros(), zeros()
    ref.adam(value, G, m, v, 1, LR, 0.9, 0.99, 0.0, 0.0)
    ref.adam(value, -G, m, v, 2, LR, 0.9, 0.99, 0.0, 0.0)
    # The second m̂ is -(1 - β₁)² g / (1 - β₁²) = -g (1 - β₁)/(1 + β₁), and v̂ is g² both times.
    np.testing.assert_allclose(value, START - LR * np.sign(G) * (1 - 0.1 / 1.9), **TOLERANCE)


def test_adamw_shrinks_the_value_beside_the_adam_step():
    value, m, v, expected = START.copy(), zeros(), zeros(), START.copy()
    for k in range(1, STEPS):
        ref.adamw(value, G, m, v, k, LR, 0.9, 0.99, EPS, 0.3)
        expected = (1 - LR * 0.3) * expected - LR * G / (np.abs(G) + EPS)
        np.testing.assert_allclose(value, expected, **TOLERANCE)


def updates(decay, lr=LR, step=1):
    """Each optimiser's first step with all its state, as update(value, grad)."""
    rates = lr, 0.9, 0.99, EPS, decay
    return {
        "sgd": lambda value, grad: ref.sgd(value, grad, zeros(), lr, 0.9, True, decay),
        "rmsprop": lambda value, grad: ref.rmsprop(value, grad, zeros(), zeros(), zeros(), lr, 0.9, EPS, 0.9,
                                                   decay),
        "adam": lambda value, grad: ref.adam(value, grad, zeros(), zeros(), step, *rates),
        "adamw": lambda value, grad: ref.adamw(value, grad, zeros(), zeros(), step, *rates),
    }


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "adam"])
def test_weight_decay_is_part_of_the_gradient(name):
    decayed, plain = START.copy(), START.copy()
    updates(0.3)[name](decayed, G)
    updates(0.0)[name](plain, G + 0.3 * START)
    np.testing.assert_allclose(decayed, plain, **TOLERANCE)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", updates(0))
def test_lr_and_step_may_be_arrays_and_only_value_and_state_change(name, dtype):
    by_number, by_array, grad = START.astype(dtype), START.astype(dtype), G.astype(dtype)
    grad.flags.writeable = False
    updates(0.1)[name](by_number, grad)
    updates(0.1, np.array(LR), np.array(1, "int64"))[name](by_array, grad)
    np.testing.assert_array_equal(by_number, by_array)
    assert by_number.dtype == dtype and (by_number != START.astype(dtype)).all()


def test_parameters_of_any_shape_are_updated():
    for shape in ((), (3,), (2, 1, 2, 2)):
        value = np.ones(shape)
        ref.sgd(value, np.ones(shape), np.zeros(shape), 0.5, 0.9, False, 0.0)
        np.testing.assert_array_equal(value, np.full(shape, 0.5))
