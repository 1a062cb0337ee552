"""Activations, losses and normalisations: known values, and the ends of the number range."""
import math

import numpy as np
import pytest

from scratchnet.kernels import reference as ref

HUGE = np.array([[-np.inf, -1e4, -50, 0, 50, 1e4]], "float32")


def overflow_is_an_error():
    return np.errstate(over="raise", invalid="raise", divide="raise")


@pytest.mark.parametrize("settings, expected", [
    ((0.0, None, 0.0), [-0.0, 0.0, 0.0, 0.5, 7.0]),
    ((0.1, None, 0.0), [-0.7, -0.05, 0.0, 0.5, 7.0]),
    ((0.0, 6.0, 0.0), [0.0, 0.0, 0.0, 0.5, 6.0]),
    ((0.1, 6.0, 1.0), [-0.8, -0.15, -0.1, -0.05, 6.0])])
def test_relu_follows_keras(settings, expected):
    x = np.array([-7.0, -0.5, 0.0, 0.5, 7.0])
    np.testing.assert_allclose(ref.relu(x, *settings), expected, rtol=1e-12)


def test_relu_takes_the_left_slope_at_its_kinks():
    x, dy = np.array([0.0, 6.0, 1.0]), np.full(3, 2.0)
    np.testing.assert_array_equal(ref.relu_backward(dy, x, 0.0, 6.0, 0.0), [0, 0, 2])
    np.testing.assert_array_equal(ref.relu_backward(dy, x, 0.5, None, 0.0), [1, 2, 2])


def test_relu_keeps_nan_and_makes_none_of_infinity():
    y = ref.relu(np.array([np.nan, np.inf, -np.inf], "float32"), 0.0, None, 0.0)
    np.testing.assert_array_equal(y, np.array([np.nan, np.inf, 0], "float32"))
    assert np.isnan(ref.relu(np.array([np.nan]), 0.1, 6.0, 0.0)).all()


def test_sigmoid_and_softmax_do_not_overflow():
    with overflow_is_an_error():
        np.testing.assert_allclose(ref.sigmoid(HUGE), [[0, 0, np.exp(-50.0), 0.5, 1, 1]], rtol=1e-6)
        np.testing.assert_array_equal(ref.softmax(HUGE), [[0, 0, 0, 0, 0, 1]])


def test_softmax_is_its_definition():
    x = np.random.default_rng(0).standard_normal((2, 3, 4))
    for i in np.ndindex(2, 3):
        total = sum(math.exp(value) for value in x[i])
        np.testing.assert_allclose(ref.softmax(x)[i], [math.exp(value) / total for value in x[i]], rtol=1e-12)


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
def test_cross_entropy_is_its_definition(smoothing):
    rng = np.random.default_rng(0)
    logits, labels = rng.standard_normal((4, 3)), np.array([2, 0, 1, 2])
    expected = 0.0
    for n in range(4):
        total = sum(math.exp(z) for z in logits[n])
        for k in range(3):
            target = (1 - smoothing) * (labels[n] == k) + smoothing / 3
            expected -= target * math.log(math.exp(logits[n, k]) / total) / 4
    for dtype in ("int64", "uint8"):
        loss, _ = ref.softmax_cross_entropy(logits, labels.astype(dtype), smoothing)
        np.testing.assert_allclose(loss, expected, rtol=1e-12)
    loss, _ = ref.softmax_cross_entropy(logits, np.eye(3)[labels], smoothing)
    np.testing.assert_allclose(loss, expected, rtol=1e-12)


def test_cross_entropy_survives_large_and_excluded_classes():
    logits = np.array([[1e4, -1e4, -np.inf], [0, 0, -np.inf]], "float32")
    with overflow_is_an_error():
        loss, gradient = ref.softmax_cross_entropy(logits, np.array([1, 0]), 0.0)
    np.testing.assert_allclose(loss, (2e4 + math.log(2)) / 2, rtol=1e-6)
    np.testing.assert_allclose(gradient, [[0.5, -0.5, 0], [-0.25, 0.25, 0]], rtol=1e-6)


def test_binary_cross_entropy_of_logits_and_of_their_sigmoid_agree():
    rng = np.random.default_rng(0)
    z, t = rng.standard_normal((4, 3)), rng.random((4, 3))
    p = 1 / (1 + np.exp(-z))
    expected = -np.mean(t * np.log(p) + (1 - t) * np.log(1 - p))
    from_logits, dz = ref.binary_cross_entropy(z, t, True)
    from_probabilities, dp = ref.binary_cross_entropy(p, t, False)
    np.testing.assert_allclose([from_logits, from_probabilities], expected, rtol=1e-12)
    np.testing.assert_allclose(dz, dp * p * (1 - p), rtol=1e-9)


def test_binary_cross_entropy_is_finite_at_its_ends():
    p, t = np.array([0.0, 1.0, 0.0, 1.0], "float32"), np.array([0, 1, 1, 0], "float32")
    with overflow_is_an_error():
        loss, gradient = ref.binary_cross_entropy(p, t, False)
        from_logits, dz = ref.binary_cross_entropy(1e4 * (2 * p - 1), t, True)
    assert loss == 50 and np.isfinite(gradient).all()            # two of four logarithms stop at -100
    assert from_logits == 5000
    np.testing.assert_array_equal(dz, [0, 0, -0.25, 0.25])


def test_mean_squared_error_is_its_definition():
    loss, gradient = ref.mean_squared_error(np.array([[1.0, 2.0]]), np.array([[3.0, 5.0]]))
    assert loss == 6.5
    np.testing.assert_array_equal(gradient, [[-2, -3]])


def test_losses_are_zero_dimensional_arrays():
    logits = np.ones((2, 3), "float32")
    for loss, _ in (ref.softmax_cross_entropy(logits, np.array([0, 1]), 0.0),
                    ref.binary_cross_entropy(logits, logits, True), ref.mean_squared_error(logits, logits)):
        assert isinstance(loss, np.ndarray) and loss.shape == () and loss.dtype == np.float32


@pytest.mark.parametrize("shape", [(6, 3), (2, 3, 4, 3)])
def test_batch_norm_is_its_definition_in_each_channel(shape):
    rng = np.random.default_rng(0)
    x, gamma, beta = rng.standard_normal(shape), rng.standard_normal(3), rng.standard_normal(3)
    y, mean, var = ref.batch_norm(x, gamma, beta, 1e-3)
    for c in range(3):
        values = [float(value) for value in x[..., c].ravel()]
        mu = sum(values) / len(values)
        variance = sum((value - mu) ** 2 for value in values) / len(values)
        expected = [gamma[c] * (value - mu) / math.sqrt(variance + 1e-3) + beta[c] for value in values]
        np.testing.assert_allclose(y[..., c].ravel(), expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose([mean[c], var[c]], [mu, variance], rtol=1e-12)
    np.testing.assert_allclose(ref.batch_norm_inference(x, gamma, beta, mean, var, 1e-3), y, rtol=1e-12)


def test_batch_norm_finds_a_small_variance_beside_a_large_mean():
    x = 1e4 + np.array([[-1.0], [1.0]] * 8, "float32")          # mean(x²) - mean(x)² is 0 or 8 in float32
    y, mean, var = ref.batch_norm(x, np.ones(1, "float32"), np.zeros(1, "float32"), 1e-5)
    assert mean == 1e4 and var == 1
    np.testing.assert_allclose(y, x - 1e4, rtol=1e-5)


@pytest.mark.parametrize("size", [1, 2, 4, 5, 9])
def test_local_response_norm_is_its_definition(size):
    x = np.random.default_rng(0).standard_normal((2, 3, 6))
    y, scale = ref.local_response_norm(x, size, 0.5, 0.75, 2.0)
    for i in np.ndindex(2, 3):
        for c in range(6):
            window = [j for j in range(c - size // 2, c + (size - 1) // 2 + 1) if 0 <= j < 6]
            expected = 2 + 0.5 / size * sum(x[i][j] ** 2 for j in window)
            np.testing.assert_allclose(scale[i][c], expected, rtol=1e-12)
            np.testing.assert_allclose(y[i][c], x[i][c] / expected ** 0.75, rtol=1e-12)
