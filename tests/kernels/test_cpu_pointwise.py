"""Everything that is not a window, in float32 against the reference in float64, on drawn shapes."""

import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchnet.kernels import cpu, reference
from scratchnet.kernels.cpu import optim
from test_cpu_windows import agree, normal

EXAMPLES = settings(max_examples=40, deadline=None, derandomize=True)
SHAPES = st.one_of(st.tuples(st.integers(1, 70), st.integers(1, 40)),
                   st.tuples(st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.integers(1, 40)))
SEEDS = st.integers(0, 99)


def wide(*arrays):
    return [None if a is None else a.astype("f8") for a in arrays]


ACTIVATIONS = st.sampled_from([None, "relu", "tanh"])
ORDERS = st.sampled_from([np.ascontiguousarray, np.asfortranarray])


@EXAMPLES
@given(st.integers(1, 70), st.integers(1, 300), st.integers(1, 70), st.booleans(), ACTIVATIONS, ORDERS, SEEDS)
def test_dense_and_its_gradients(N, IN, OUT, with_bias, activation, order, seed):
    rng = np.random.default_rng(seed)
    x, w, dy = order(normal(rng, N, IN)), normal(rng, IN, OUT), normal(rng, N, OUT)
    b = normal(rng, OUT) if with_bias else None
    y = cpu.dense(x, w, b, activation)
    agree(y, reference.dense(*wide(x, w, b), activation), IN)
    gradients = cpu.dense_backward(dy, y, x, w, activation, (True, True, True))
    expected = reference.dense_backward(*wide(dy, y, x, w), activation, (True, True, True))
    for got, exact, terms in zip(gradients, expected, (OUT, N, N)):
        agree(got, exact, terms)
    agree(cpu.dense_backward_data(dy, w), reference.dense_backward_data(*wide(dy, w)), OUT)
    agree(cpu.dense_backward_weights(dy, x), reference.dense_backward_weights(*wide(dy, x)), N)


@pytest.mark.parametrize("kernels", [cpu, reference])
@pytest.mark.parametrize("order", [np.ascontiguousarray, np.asfortranarray])
@pytest.mark.parametrize("activation", [None, "tanh"])
def test_gradients_that_nobody_needs_are_not_made(kernels, order, activation):
    rng = np.random.default_rng(0)
    x, w, b, dy = order(normal(rng, 32, 20)), normal(rng, 20, 7), normal(rng, 7), normal(rng, 32, 7)
    y = kernels.dense(x, w, b, activation)
    every = kernels.dense_backward(dy, y, x, w, activation, (True, True, True))
    image, filters, gradient = normal(rng, 32, 5, 5, 3), normal(rng, 2, 2, 3, 4), normal(rng, 32, 4, 4, 4)
    window = (1, 1), ((0, 0), (0, 0)), (1, 1), 1
    z = kernels.conv2d(image, filters, None, *window, activation)
    of_conv = kernels.conv2d_backward(gradient, z, image, image.shape, filters, *window, activation, (True, True, True))
    for which in range(3):
        needs = tuple(number != which for number in range(3))
        kept = None if which == 1 else x         # a frozen layer keeps no input
        some = kernels.dense_backward(dy, y, kept, w, activation, needs)
        kept = None if which == 1 else image
        others = kernels.conv2d_backward(gradient, z, kept, image.shape, filters, *window, activation, needs)
        for number in range(3):
            assert (some[number] is None) == (others[number] is None) == (number == which)
            if number != which:
                np.testing.assert_allclose(some[number], every[number], rtol=1e-5, atol=1e-5)
                np.testing.assert_allclose(others[number], of_conv[number], rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("N, IN, OUT", [(1, 300, 130), (8, 200, 128), (3, 65, 257), (100, 7, 200), (5, 130, 140)])
def test_dense_of_weights_that_no_cache_holds(N, IN, OUT, monkeypatch):
    monkeypatch.setattr(sys.modules["scratchnet.kernels.cpu.dense"], "CACHED", 100)
    rng = np.random.default_rng(0)
    x, w, dy, b = normal(rng, N, IN), normal(rng, IN, OUT), normal(rng, N, OUT), normal(rng, OUT)
    agree(cpu.dense(x, w, b), reference.dense(*wide(x, w, b)), IN)
    agree(cpu.dense_backward_data(dy, w), reference.dense_backward_data(*wide(dy, w)), OUT)
    agree(cpu.dense_backward_weights(dy, x), reference.dense_backward_weights(*wide(dy, x)), N)


@pytest.mark.parametrize("N, IN, OUT", [(0, 12, 32), (1, 12, 32), (7, 24, 64), (128, 25, 65), (129, 59, 33), (300, 23, 70)])
def test_gradient_of_dense_weights_tile_by_tile(N, IN, OUT):
    rng = np.random.default_rng(0)
    x, dy = normal(rng, N, IN), normal(rng, N, OUT)
    for _ in range(9):
        np.full((IN, OUT), np.nan, np.float32)   # whose memory the result may get
    agree(cpu.dense_backward_weights(dy, x), reference.dense_backward_weights(*wide(dy, x)), max(N, 1))


@EXAMPLES
@given(SHAPES, SEEDS)
def test_bias_gradient(shape, seed):
    dy = normal(np.random.default_rng(seed), *shape)
    np.testing.assert_allclose(cpu.bias_backward(dy), reference.bias_backward(dy.astype("f8")),
                               rtol=1e-6, atol=1e-6 * np.sqrt(dy[..., 0].size))          # sums near 0 keep the terms' error


@pytest.mark.parametrize("shape", [(20_000, 3), (65, 300), (40, 16, 16, 5)])
def test_bias_gradient_of_many_rows(shape):
    dy = np.random.default_rng(0).random(shape, dtype=np.float32)        # none negative: a row that is lost shows
    np.testing.assert_allclose(cpu.bias_backward(dy), reference.bias_backward(dy.astype("f8")), rtol=1e-6)


@EXAMPLES
@given(SHAPES, st.sampled_from([(0, None, 0), (0.1, None, 0), (0, 6, 0), (0.2, 1, 0.3)]), SEEDS)
def test_relu_and_its_gradient(shape, pieces, seed):
    rng = np.random.default_rng(seed)
    x, dy = normal(rng, *shape), normal(rng, *shape)
    x[rng.random(shape) < 0.1] = 0                                        # the kink itself
    agree(cpu.relu(x, *pieces), reference.relu(x.astype("f8"), *pieces))
    np.testing.assert_allclose(cpu.relu_backward(dy, x, *pieces), reference.relu_backward(*wide(dy, x), *pieces), rtol=1e-6)


@EXAMPLES
@given(SHAPES, st.sampled_from(["tanh", "sigmoid", "softmax"]), st.sampled_from([0.01, 1, 30]), SEEDS)
def test_tanh_sigmoid_softmax_and_their_gradients(shape, name, scale, seed):
    rng = np.random.default_rng(seed)
    x, dy = np.float32(scale) * normal(rng, *shape), normal(rng, *shape)
    y = getattr(reference, name)(x.astype("f8"))
    np.testing.assert_allclose(getattr(cpu, name)(x), y, rtol=2e-6, atol=1e-12)        # the stated bound of exponential.py, twice over
    y = y.astype("f4")
    expected = getattr(reference, f"{name}_backward")(*wide(dy, y))
    np.testing.assert_allclose(getattr(cpu, f"{name}_backward")(dy, y), expected, rtol=1e-5,
                               atol=1e-6 * np.abs(dy).max())              # 1 - y² and dy - Σ cancel


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "softmax"])
def test_nan_and_infinity_are_not_lost(name):
    x = np.array([[np.nan, 1, 2], [np.inf, 0, 1], [-np.inf, 0, 1], [3e38, -3e38, 0]], np.float32)
    extra = (0, None, 0) if name == "relu" else ()
    with np.errstate(all="ignore"):
        np.testing.assert_allclose(getattr(cpu, name)(x, *extra), getattr(reference, name)(x, *extra), rtol=1e-6)


@EXAMPLES
@given(SHAPES, SEEDS)
def test_an_activation_and_a_bias_gradient_in_one_pass_are_the_two_one_after_the_other(shape, seed):
    rng = np.random.default_rng(seed)
    dy, z = normal(rng, *shape), normal(rng, *shape)
    for y, function, alone in ((cpu.relu(z, 0, None, 0), "relu_bias_backward", lambda y: cpu.relu_backward(dy, y, 0, None, 0)),
                               (cpu.tanh(z), "tanh_bias_backward", lambda y: cpu.tanh_backward(dy, y))):
        dz, db = getattr(cpu, function)(dy, y)
        np.testing.assert_allclose(dz, alone(y), rtol=1e-6, atol=1e-7)
        np.testing.assert_allclose(dz, getattr(reference, function)(dy, y)[0], rtol=1e-6, atol=1e-7)
        np.testing.assert_array_equal(db, cpu.bias_backward(dz))


@EXAMPLES
@given(st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.integers(1, 20)), st.integers(1, 7), SEEDS)
def test_local_response_norm_and_its_gradient(shape, size, seed):
    rng = np.random.default_rng(seed)
    x, dy = normal(rng, *shape), normal(rng, *shape)
    y, scale = cpu.local_response_norm(x, size, 0.3, 0.75, 1.5)
    wide_y, wide_scale = reference.local_response_norm(x.astype("f8"), size, 0.3, 0.75, 1.5)
    agree(y, wide_y, 4)
    agree(scale, wide_scale, 4)
    agree(cpu.local_response_norm_backward(dy, x, scale, size, 0.3, 0.75),
          reference.local_response_norm_backward(*wide(dy, x), wide_scale, size, 0.3, 0.75), 64)


@EXAMPLES
@given(st.integers(1, 70), st.integers(1, 40), st.sampled_from([0, 0.1]), st.booleans(), SEEDS)
def test_softmax_cross_entropy_and_its_gradient(N, K, smoothing, probabilities, seed):
    rng = np.random.default_rng(seed)
    logits = 3 * normal(rng, N, K)
    labels = rng.dirichlet(np.ones(K), N).astype("f4") if probabilities else rng.integers(0, K, N)
    got = cpu.softmax_cross_entropy(logits, labels, smoothing)
    expected = reference.softmax_cross_entropy(logits.astype("f8"), labels.astype("f8") if probabilities else labels, smoothing)
    assert got[0].shape == () and got[0].dtype == np.float32
    np.testing.assert_allclose(got[0], expected[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(got[1], expected[1], rtol=1e-5, atol=1e-6 / N)


@EXAMPLES
@given(SHAPES, st.booleans(), SEEDS)
def test_the_other_losses_and_their_gradients(shape, from_logits, seed):
    rng = np.random.default_rng(seed)
    targets = rng.random(shape, dtype=np.float32)
    predictions = 3 * normal(rng, *shape) if from_logits else rng.random(shape, dtype=np.float32)
    for got, expected in ((cpu.binary_cross_entropy(predictions, targets, from_logits),
                           reference.binary_cross_entropy(*wide(predictions, targets), from_logits)),
                          (cpu.mean_squared_error(predictions, targets),
                           reference.mean_squared_error(*wide(predictions, targets)))):
        np.testing.assert_allclose(got[0], expected[0], rtol=1e-5)
        # p near 0 or 1 makes 1/(p(1 - p)) as wrong as p's last bit
        np.testing.assert_allclose(got[1], expected[1], rtol=1e-4, atol=1e-6 / targets.size)


def test_binary_cross_entropy_is_finite_at_its_ends():
    p, t = np.array([[0, 1], [0, 1]], np.float32), np.array([[0, 1], [1, 0]], np.float32)
    for predictions, from_logits in ((p, False), (1e4 * (2 * p - 1), True)):
        got = cpu.binary_cross_entropy(predictions, t, from_logits)
        expected = reference.binary_cross_entropy(*wide(predictions, t), from_logits)
        np.testing.assert_allclose(got[0], expected[0], rtol=1e-6)
        np.testing.assert_allclose(got[1], expected[1], rtol=1e-6)


@EXAMPLES
@given(SHAPES, st.sampled_from([0.1, 0.5, 0.9]), st.integers(0, 2**63 - 1), st.integers(0, 2**32 - 1), st.integers(0, 2**32 - 1))
def test_dropout_draws_the_reference_bits(shape, rate, seed, layer, call):
    x = normal(np.random.default_rng(0), *shape)
    y, mask = cpu.dropout(x, rate, seed, layer, call)
    expected, expected_mask = reference.dropout(x, rate, seed, layer, call)
    np.testing.assert_array_equal(mask, expected_mask)
    np.testing.assert_allclose(y, expected, rtol=1e-6)
    np.testing.assert_allclose(cpu.dropout_backward(x, mask, rate), expected, rtol=1e-6)


@EXAMPLES
@given(SHAPES, st.lists(st.integers(1, 9), min_size=1, max_size=4), SEEDS)
def test_sums_and_concatenation(shape, sizes, seed):
    rng = np.random.default_rng(seed)
    x, y = normal(rng, *shape), normal(rng, *shape)
    agree(cpu.add(x, y, 0.3), reference.add(*wide(x, y), 0.3))
    total = x.copy()
    cpu.accumulate(total, y)
    np.testing.assert_array_equal(total, x + y)
    parts = [normal(rng, *shape[:-1], size) for size in sizes]
    whole = cpu.concat(parts)
    np.testing.assert_array_equal(whole, np.concatenate(parts, -1))
    for part, back in zip(parts, cpu.concat_backward(whole, sizes), strict=True):
        np.testing.assert_array_equal(part, back)
        assert back.flags.c_contiguous


UPDATES = {
    "sgd": lambda ops, w, g, s, step: ops.sgd(w, g, None, 0.1, 0.0, False, 0.0),
    "sgd momentum": lambda ops, w, g, s, step: ops.sgd(w, g, s[0], 0.1, 0.9, False, 0.01),
    "sgd nesterov": lambda ops, w, g, s, step: ops.sgd(w, g, s[0], 0.1, 0.9, True, 0.01),
    "rmsprop": lambda ops, w, g, s, step: ops.rmsprop(w, g, s[0], None, None, 0.01, 0.9, 1e-3, 0.0, 0.01),
    "rmsprop centered": lambda ops, w, g, s, step: ops.rmsprop(w, g, s[0], s[1], s[2], 0.01, 0.9, 1e-3, 0.9, 0.0),
    "adam": lambda ops, w, g, s, step: ops.adam(w, g, s[0], s[1], step, 0.01, 0.9, 0.999, 1e-3, 0.01),
    "adamw": lambda ops, w, g, s, step: ops.adamw(w, g, s[0], s[1], step, 0.01, 0.9, 0.999, 1e-3, 0.01),
}


@pytest.mark.parametrize("name", UPDATES)
@pytest.mark.parametrize("shape", [(1,), (5, 5, 3, 7), (333, 65)])
def test_optimiser_updates_over_five_steps(name, shape):
    rng = np.random.default_rng(0)
    fast = [normal(rng, *shape), *(np.zeros(shape, np.float32) for _ in range(3))]
    exact = [a.astype("f8") for a in fast]
    for step in range(1, 6):
        gradient = normal(rng, *shape)
        UPDATES[name](cpu, fast[0], gradient.copy(), fast[1:], step)
        UPDATES[name](reference, exact[0], gradient.astype("f8"), exact[1:], step)
    for got, expected in zip(fast, exact):
        np.testing.assert_allclose(got, expected, rtol=1e-5, atol=2e-6)      # five roundings of sums near 1


@pytest.mark.parametrize("kernels", [cpu, reference])
@pytest.mark.parametrize("name", UPDATES)
def test_lists_of_arrays_are_updated_as_each_of_them(name, kernels):
    rng = np.random.default_rng(0)
    shapes = (7,), (3, 3, 2, 5), (0, 4), (130, 150)                          # one of several tasks, one of none
    together = [[normal(rng, *shape) for shape in shapes], *([np.zeros(shape, np.float32) for shape in shapes] for _ in range(3))]
    alone = [[array.copy() for array in arrays] for arrays in together]
    for step in range(1, 3):
        gradients = [normal(rng, *shape) for shape in shapes]
        UPDATES[name](kernels, together[0], gradients, together[1:], step)
        for index, gradient in enumerate(gradients):
            UPDATES[name](kernels, alone[0][index], gradient, [arrays[index] for arrays in alone[1:]], step)
    for arrays, others in zip(together, alone):
        for array, other in zip(arrays, others):
            np.testing.assert_array_equal(array, other)


def test_updates_follow_arrays_wherever_they_are(monkeypatch):
    monkeypatch.setattr(optim, "id", lambda array: 1, raising=False)         # as if each array had the last one's identity
    for _ in range(3):
        value, gradient = np.ones(4, np.float32), np.ones(4, np.float32)
        cpu.sgd(value, gradient, None, 0.25, 0.0, False, 0.0)
        np.testing.assert_array_equal(value, 0.75)
    with pytest.raises(ValueError, match="C-contiguous"):
        cpu.sgd(np.ones((4, 4), np.float32).T[1:], np.ones((3, 4), np.float32), None, 0.1, 0.0, False, 0.0)


def test_a_variance_rounded_below_zero_is_zero():
    value, gradient, square, mean = (np.array([number], np.float32) for number in (1, 2, 4, 2.001))
    cpu.rmsprop(value, gradient, square, None, mean, 0.01, 0.9, 1e-3, 0.0, 0.0)          # 4 - 2.0009² < 0
    np.testing.assert_allclose(value, 1 - 0.01 * 2 / 1e-3, rtol=1e-6)
