"""CUDA kernels of all but windows against the reference in float64, on the host and, if there is one, a GPU."""

import numpy as np
import pytest
from engines import agree, normal, run, updated, wide

from scratchnet.kernels import cuda, reference

# Less than a block, just over one, several blocks and a bit; rows of few and of many channels.
SHAPES = [(1, 1), (37, 71), (3, 5, 7, 11), (1030, 3)]
CHANNELS = [(6, 1), (67, 33), (5, 9, 7, 40), (700, 3), (40, 300), (70, 128)]


def check(engine, name, *arguments, terms=1):
    """Every result of an operation near the reference's, integers equal."""
    got = run(engine, getattr(cuda, name), *arguments)
    expected = getattr(reference, name)(*wide(arguments))
    expected = list(expected) if isinstance(expected, (list, tuple)) else [expected]
    assert len(got) == len(expected)
    for ours, theirs in zip(got, expected):
        if ours.dtype.kind == "f":
            agree(ours, theirs, terms)
        else:
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("pieces", [(0, None, 0), (0.1, None, 0), (0, 6, 0), (0.2, 1, 0.3)], ids=str)
def test_relu_and_its_gradient(engine, shape, pieces):
    x = normal(0, *shape)
    x.reshape(-1)[::7] = 0                                            # the kink itself
    check(engine, "relu", x, *pieces)
    check(engine, "relu_backward", normal(1, *shape), x, *pieces)


@pytest.mark.parametrize("shape", [*SHAPES, (3, 1000)], ids=str)
@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softmax"])
def test_tanh_sigmoid_softmax_and_their_gradients(engine, shape, name):
    x = 4 * normal(0, *shape)
    check(engine, name, x, terms=16)
    y = getattr(reference, name)(x.astype("f8")).astype("f4")
    got, = run(engine, getattr(cuda, f"{name}_backward"), normal(1, *shape), y)
    expected = getattr(reference, f"{name}_backward")(*wide([normal(1, *shape), y]))
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)   # 1 - y² and dy - Σ cancel


@pytest.mark.parametrize("name", ["relu", "tanh", "sigmoid", "softmax"])
def test_nan_and_infinity_are_not_lost(engine, name):
    x = np.array([[np.nan, 1, 2], [np.inf, 0, 1], [-np.inf, 0, 1], [3e38, -3e38, 0]], np.float32)
    extra = (0, None, 0) if name == "relu" else ()
    with np.errstate(all="ignore"):
        expected = getattr(reference, name)(x, *extra)
    np.testing.assert_allclose(run(engine, getattr(cuda, name), x, *extra)[0], expected, rtol=1e-6)


@pytest.mark.parametrize("shape", CHANNELS, ids=str)
def test_a_bias_gradient_alone_and_behind_an_activation(engine, shape):
    dy, y = normal(0, *shape), np.tanh(normal(1, *shape))
    rows = dy[..., 0].size
    got, = run(engine, cuda.bias_backward, dy)
    np.testing.assert_allclose(got, reference.bias_backward(dy.astype("f8")), rtol=1e-6, atol=1e-6 * np.sqrt(rows))
    for name in ("relu_bias_backward", "tanh_bias_backward"):
        dz, db = run(engine, getattr(cuda, name), dy, y)
        exact_dz, exact_db = getattr(reference, name)(*wide([dy, y]))
        agree(dz, exact_dz, 4)
        np.testing.assert_allclose(db, exact_db, rtol=1e-6, atol=1e-6 * np.sqrt(rows))


@pytest.mark.parametrize("shape", CHANNELS, ids=str)
@pytest.mark.parametrize("relu", [False, True], ids=["", "relu"])
def test_batch_norm_with_a_residual_and_its_gradients(engine, shape, relu):
    C = shape[-1]
    x, residual, dy = 2 * normal(0, *shape) + 3, normal(1, *shape), normal(2, *shape)
    gamma, beta = normal(3, C) + 2, normal(4, C)
    check(engine, "batch_norm", x, gamma, beta, 1e-5, None, relu, terms=16)
    check(engine, "batch_norm", x, gamma, beta, 1e-5, residual, relu, terms=16)
    _, mean, var = (a.astype("f4") for a in reference.batch_norm(*wide([x, gamma, beta]), 1e-5))
    check(engine, "batch_norm_inference", x, gamma, beta, mean, var, 1e-5, residual, relu, terms=16)
    for name in ("batch_norm_backward", "batch_norm_inference_backward"):
        got = run(engine, getattr(cuda, name), dy, x, gamma, beta, mean, var, 1e-5, relu)
        expected = getattr(reference, name)(*wide([dy, x, gamma, beta, mean, var]), 1e-5, relu)
        agree(got[0], expected[0], 64)                                # differences from the means cancel
        rows = x[..., 0].size
        for ours, theirs in zip(got[1:], expected[1:]):
            np.testing.assert_allclose(ours, theirs, rtol=3e-6, atol=2e-6 * np.sqrt(rows))


def test_a_variance_far_below_the_square_of_the_mean_keeps_its_digits(engine):
    x = (1000 + 0.01 * normal(0, 3000, 5)).astype("f4")
    _, mean, var = run(engine, cuda.batch_norm, x, np.ones(5, "f4"), np.zeros(5, "f4"), 1e-5)
    np.testing.assert_allclose(mean, x.astype("f8").mean(axis=0), rtol=1e-7)
    np.testing.assert_allclose(var, x.astype("f8").var(axis=0), rtol=1e-3)


def test_dropout_draws_the_bits_of_the_reference(engine):
    x = normal(0, 9, 7, 13)
    for rate, seed, layer, call in ((0, 1, 2, 3), (0.5, 2**62 + 5, 2**32 - 1, 7), (0.9, 2**63 + 1, 0, 2**32 + 1)):
        check(engine, "dropout", x, rate, seed, layer, call)
        mask = reference.dropout(x, rate, seed, layer, call)[1]
        check(engine, "dropout_backward", x, mask, rate)


@pytest.mark.parametrize("N, K", [(1, 1), (5, 10), (33, 100), (70, 1000)])
@pytest.mark.parametrize("smoothing", [0, 0.1])
def test_softmax_cross_entropy_and_its_gradient(engine, N, K, smoothing):
    rng = np.random.default_rng(0)
    logits = 3 * normal(1, N, K)
    for labels in (rng.integers(0, K, N), rng.dirichlet(np.ones(K), N).astype("f4")):
        loss, gradient = run(engine, cuda.softmax_cross_entropy, logits, labels, smoothing)
        exact = reference.softmax_cross_entropy(*wide([logits, labels]), smoothing)
        assert loss.shape == ()
        np.testing.assert_allclose(loss, exact[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(gradient, exact[1], rtol=1e-5, atol=1e-6 / N)


def test_a_logit_of_minus_infinity_costs_nothing_where_the_target_is_zero(engine):
    logits = np.array([[0, -np.inf, 1], [2, 0, -np.inf]], np.float32)
    loss, gradient = run(engine, cuda.softmax_cross_entropy, logits, np.array([0, 1]), 0.0)
    exact = reference.softmax_cross_entropy(logits, np.array([0, 1]), 0.0)
    np.testing.assert_allclose(loss, exact[0], rtol=1e-6)
    np.testing.assert_allclose(gradient, exact[1], rtol=1e-6)


@pytest.mark.parametrize("shape", [*SHAPES, (270, 256)], ids=str)
def test_the_other_losses_and_their_gradients(engine, shape):
    targets = np.random.default_rng(0).random(shape, dtype=np.float32)
    p = np.random.default_rng(1).random(shape, dtype=np.float32)
    for name, predictions, more in (("binary_cross_entropy", p, (False,)), ("mean_squared_error", p, ()),
                                    ("binary_cross_entropy", 4 * normal(2, *shape), (True,))):
        loss, gradient = run(engine, getattr(cuda, name), predictions, targets, *more)
        exact = getattr(reference, name)(*wide([predictions, targets]), *more)
        np.testing.assert_allclose(loss, exact[0], rtol=1e-5)
        np.testing.assert_allclose(gradient, exact[1], rtol=1e-4, atol=1e-6 / targets.size)


def test_binary_cross_entropy_is_finite_at_its_ends(engine):
    p, t = np.array([[0, 1], [0, 1]], np.float32), np.array([[0, 1], [1, 0]], np.float32)
    for predictions, from_logits in ((p, False), (1e4 * (2 * p - 1), True)):
        loss, gradient = run(engine, cuda.binary_cross_entropy, predictions.astype("f4"), t, from_logits)
        exact = reference.binary_cross_entropy(*wide([predictions, t]), from_logits)
        np.testing.assert_allclose(loss, exact[0], rtol=1e-6)
        np.testing.assert_allclose(gradient, exact[1], rtol=1e-6)


@pytest.mark.parametrize("size", [1, 2, 5, 9])
def test_local_response_norm_and_its_gradient(engine, size):
    x, dy = normal(0, 2, 3, 4, 7), normal(1, 2, 3, 4, 7)
    check(engine, "local_response_norm", x, size, 0.3, 0.75, 1.5, terms=16)
    _, scale = reference.local_response_norm(x.astype("f8"), size, 0.3, 0.75, 1.5)
    check(engine, "local_response_norm_backward", dy, x, scale.astype("f4"), size, 0.3, 0.75, terms=64)


def test_sums_of_branches_and_branches_side_by_side(engine):
    xs = [normal(seed, 2, 5, 3, channels) for seed, channels in enumerate((1, 40, 7))]
    check(engine, "concat", xs)
    check(engine, "concat_backward", normal(3, 2, 5, 3, 48), [1, 40, 7])
    check(engine, "add", xs[1], normal(4, *xs[1].shape), 0.3)
    grad, d = updated(engine, cuda.accumulate, xs[1], normal(4, *xs[1].shape))
    np.testing.assert_array_equal(grad, xs[1] + d)


@pytest.mark.parametrize("N, IN, OUT", [(1, 1, 1), (5, 30, 7), (33, 65, 129)])
def test_dense_and_its_gradients(engine, N, IN, OUT):
    x, w, b, dy = normal(0, N, IN), normal(1, IN, OUT), normal(2, OUT), normal(3, N, OUT)
    check(engine, "dense", x, w, b, terms=IN)
    check(engine, "dense", x, w, None, terms=IN)
    check(engine, "dense_backward_data", dy, w, terms=OUT)
    check(engine, "dense_backward_weights", dy, x, terms=N)
    y = np.tanh(normal(4, N, OUT))
    for activation in ("relu", "tanh", None):
        check(engine, "dense", x, w, b, activation, terms=IN)
        check(engine, "dense_backward", dy, y, x, w, activation, (True,) * 3, terms=4 * (IN + OUT + N))
    got = run(engine, lambda *given: [each for each in cuda.dense_backward(*given) if each is not None],
              dy, None, None, w, None, (True, False, False))
    agree(got[0], wide(dy) @ wide(w).T, OUT)
    assert len(got) == 1
