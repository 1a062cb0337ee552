"""Batch norm, alone and with what goes along in its passes, in float32 against the reference in float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scratchnet.kernels import cpu, reference
from test_cpu_pointwise import EXAMPLES, SEEDS, wide
from test_cpu_windows import normal

BATCHES = st.one_of(st.tuples(st.integers(2, 300), st.integers(1, 40)),
                    st.tuples(st.integers(2, 4), st.integers(1, 9), st.integers(1, 9), st.integers(1, 40)))


@EXAMPLES
@given(BATCHES, st.sampled_from([0, 100]), st.booleans(), st.booleans(), SEEDS)
def test_batch_norm_and_its_gradients(shape, offset, relu, with_residual, seed):
    rng = np.random.default_rng(seed)
    x, dy = normal(rng, *shape) + np.float32(offset), normal(rng, *shape)
    gamma, beta = normal(rng, shape[-1]), normal(rng, shape[-1])
    residual = normal(rng, *shape) if with_residual else None
    # Two samples may nearly coincide, so that 1/σ multiplies their rounding: ε = 0.1 keeps that in bounds, and x = 100
    # carries an error of 4e-6 by itself.
    epsilon, tolerance = 0.1, 1e-6 if offset == 0 else 1e-4
    y, mean, var = cpu.batch_norm(x, gamma, beta, epsilon, residual, relu)
    wide_y, wide_mean, wide_var = reference.batch_norm(*wide(x, gamma, beta), epsilon, *wide(residual), relu)
    for got, expected in ((y, wide_y), (mean, wide_mean), (var, wide_var)):
        np.testing.assert_allclose(got, expected, rtol=tolerance, atol=10 * tolerance)
    np.testing.assert_allclose(cpu.batch_norm_inference(x, gamma, beta, mean, var, epsilon, residual, relu),
                               reference.batch_norm_inference(*wide(x, gamma, beta, mean, var), epsilon, *wide(residual), relu),
                               rtol=tolerance, atol=10 * tolerance)
    for name, statistics in (("batch_norm_backward", (wide_mean, wide_var)),
                             ("batch_norm_inference_backward", (np.full_like(wide_mean, 0.1 + offset), np.ones_like(wide_var)))):
        narrow = [s.astype("f4") for s in statistics]
        away = np.abs(reference.batch_norm_inference(*wide(x, gamma, beta, *narrow), epsilon)) > 10 * tolerance
        for got, expected in zip(getattr(cpu, name)(dy * away, x, gamma, beta, *narrow, epsilon, relu),
                                 getattr(reference, name)(*wide(dy * away, x, gamma, beta, *narrow), epsilon, relu)):
            np.testing.assert_allclose(got, expected, rtol=10 * tolerance, atol=10 * tolerance * np.sqrt(x[..., 0].size))


@pytest.mark.parametrize("shape", [(70_000, 3), (4, 33, 31, 64), (9, 7, 7, 300)])
@pytest.mark.parametrize("mean, spread", [(0, 1), (1, 1), (-300, 1), (1e4, 0.5), (3e-7, 1e-8), (0, 1e15)])
def test_statistics_are_those_of_float64_to_1e_6_also_far_from_zero(shape, mean, spread):
    """What float32 data says: its own mean and variance, however many digits of them its rounding has left."""
    x = np.random.default_rng(0).normal(mean, spread, shape).astype("f4")
    flat = x.reshape(-1, shape[-1]).astype("f8")
    ones = np.ones(shape[-1], "f4")
    _, got_mean, got_var = cpu.batch_norm(x, ones, ones, 1e-5)
    np.testing.assert_allclose(got_mean, flat.mean(0), rtol=1e-6, atol=1e-6 * spread)
    np.testing.assert_allclose(got_var, flat.var(0), rtol=1e-6)


def test_one_pixel_far_out_costs_the_variance_no_digits():
    """The first pixel of all is among those whose mean the sums are taken around."""
    x = np.random.default_rng(0).standard_normal((5000, 5)).astype("f4")
    x[0] = 100
    _, mean, var = cpu.batch_norm(x, np.ones(5, "f4"), np.ones(5, "f4"), 1e-5)
    np.testing.assert_allclose(mean, x.astype("f8").mean(0), rtol=1e-5)
    np.testing.assert_allclose(var, x.astype("f8").var(0), rtol=1e-5)


@pytest.mark.parametrize("shape", [(37, 5), (3, 16, 15, 64)])
def test_residual_and_relu_in_the_pass_give_the_bits_of_one_after_the_other(shape):
    rng = np.random.default_rng(0)
    x, residual, dy = (normal(rng, *shape) for _ in range(3))
    gamma, beta = normal(rng, shape[-1]), normal(rng, shape[-1])
    alone, mean, var = cpu.batch_norm(x, gamma, beta, 1e-5)
    for added in (None, residual):
        z = alone if added is None else cpu.add(added, alone, 1.0)
        for relu, expected in ((False, z), (True, cpu.relu(z, 0, None, 0))):
            np.testing.assert_array_equal(cpu.batch_norm(x, gamma, beta, 1e-5, added, relu)[0], expected)
            np.testing.assert_array_equal(cpu.batch_norm_inference(x, gamma, beta, mean, var, 1e-5, added, relu), expected)
    for name in ("batch_norm_backward", "batch_norm_inference_backward"):
        behind = cpu.relu_backward(dy, alone, 0, None, 0)
        for got, expected in zip(getattr(cpu, name)(dy, x, gamma, beta, mean, var, 1e-5, True),
                                 getattr(cpu, name)(behind, x, gamma, beta, mean, var, 1e-5)):
            np.testing.assert_array_equal(got, expected)


def test_nan_and_infinity_are_not_lost_in_the_relu():
    x = np.random.default_rng(0).standard_normal((50, 4)).astype("f4")
    x[3, 0], x[4, 1] = np.nan, np.inf
    residual = np.zeros_like(x)
    residual[5, 2] = np.nan
    ones = np.ones(4, "f4")
    with np.errstate(invalid="ignore"):
        y, mean, var = cpu.batch_norm(x, ones, ones, 1e-5, residual, True)
    assert np.isnan(y[:, :2]).all() and np.isnan(var[:2]).all() and np.isnan(mean[0]) and not np.isfinite(mean[1])
    assert np.isnan(y[5, 2]) and np.isfinite(np.delete(y[:, 2:], 5, 0)).all()
    dy = np.ones_like(x)
    dy[x > 0] = np.nan                                               # behind a positive y it goes on
    dx, _, dbeta = cpu.batch_norm_inference_backward(dy, np.abs(x), ones, ones, np.zeros(4, "f4"), ones, 1e-5, True)
    assert np.isnan(dx[x > 0]).all() and np.isnan(dbeta).all()
