"""Batch normalisation over all axes but the last: one pass of sums, one pass that applies them.

x (..., C); gamma, beta, mean, var (C,); M = the number of elements each channel averages. With μ and 1/σ known, both
passes are affine in each channel; the channels' constants are repeated over the `lanes` of a long row, so that the
innermost loop is long for few channels too (as in `column_sums.py`). Residual and ReLU go along in the same passes; a
backward finds the ReLU's side again from x, which it reads anyway.
"""
import math

import numpy
from numba import prange
from numpy import float32

from . import memory
from .column_sums import affine, fetch_ahead, gradient_sums, moments, repeated
from .compile import behaved, exact_helper, light_kernel
from .recording import computed


@light_kernel
def _apply(x, mean, scale, shift, limit, y):
    """y = z = (x - mean) scale + shift, or 0 where z is below the limit.  x, y flat; the constants (lanes,)."""
    lanes, limit, y_at = mean.size, float32(limit), y.ctypes.data
    for row in prange((x.size + lanes - 1) // lanes):
        fetch_ahead(y_at, row, lanes)
        values, results = x[row * lanes:(row + 1) * lanes], y[row * lanes:(row + 1) * lanes]
        for j in range(values.size):
            z = affine(values[j], mean[j], scale[j], shift[j])
            results[j] = float32(0) if z < limit else z


@exact_helper
def _plus(z, residual):
    """Their sum, each rounded for itself, as if the two had been added afterwards."""
    return z + residual


@light_kernel
def _apply_and_add(x, residual, mean, scale, shift, limit, y):
    """y = z = (x - mean) scale + shift + residual, or 0 where z is below the limit."""
    lanes, limit, y_at = mean.size, float32(limit), y.ctypes.data
    for row in prange((x.size + lanes - 1) // lanes):
        at = row * lanes
        fetch_ahead(y_at, row, lanes)
        values, others, results = x[at:at + lanes], residual[at:at + lanes], y[at:at + lanes]
        for j in range(values.size):
            z = _plus(affine(values[j], mean[j], scale[j], shift[j]), others[j])
            results[j] = float32(0) if z < limit else z


@light_kernel
def _apply_backward(dy, x, mean, scale, shift, limit, slope, constant, dx):
    """dx = g scale + (x - mean) slope + constant, where g is dy, or 0 where z of _apply is at most the limit."""
    lanes, limit, dx_at = mean.size, float32(limit), dx.ctypes.data
    for row in prange((x.size + lanes - 1) // lanes):
        at = row * lanes
        fetch_ahead(dx_at, row, lanes)
        gradients, values, results = dy[at:at + lanes], x[at:at + lanes], dx[at:at + lanes]
        for j in range(values.size):
            z = affine(values[j], mean[j], scale[j], shift[j])
            g = float32(0) if z <= limit else gradients[j]
            results[j] = g * scale[j] + (values[j] - mean[j]) * slope[j] + constant[j]


def batch_norm(x, gamma, beta, epsilon, residual=None, relu=False):
    """y = γ (x - μ) / √(σ² + ε) + β with the batch's own μ and biased σ²; + residual; negatives to 0.  -> y, μ, σ²"""
    x = behaved(x)
    mean, var = computed(lambda: tuple(statistic.astype("float32") for statistic in moments(x)))
    return batch_norm_inference(x, gamma, beta, mean, var, epsilon, residual, relu), mean, var


def batch_norm_backward(dy, x, gamma, beta, mean, var, epsilon, relu=False):
    """dx = γ/√(σ² + ε) · (dy - mean(dy) - x̂ · mean(dy x̂)), dγ = Σ dy x̂, dβ = Σ dy; with relu for dy where y > 0."""
    dy, x = behaved(dy), behaved(x)
    M = max(1, x.size // x.shape[-1])

    def sums():
        rstd, dgamma, dbeta = _gradients(dy, x, gamma, beta, mean, var, epsilon, relu)          # (C,) each
        scale = gamma * rstd
        return (dgamma.astype("float32"), dbeta.astype("float32"),
                *repeated(mean, scale, beta, -scale * rstd * dgamma / M, -scale * dbeta / M))
    dgamma, dbeta, *constants = computed(sums)
    return _input_gradient(dy, x, relu, *constants), dgamma, dbeta


def batch_norm_inference(x, gamma, beta, mean, var, epsilon, residual=None, relu=False):
    """y = γ (x - μ) / √(σ² + ε) + β with given μ and σ²; + residual; with relu negatives to 0."""
    x, y = behaved(x), memory.empty(x.shape)
    constants = computed(lambda: repeated(mean, gamma * _rstd(var, epsilon), beta))
    if residual is None:
        _apply(x.reshape(-1), *constants, _limit(relu), y.reshape(-1))
    else:
        _apply_and_add(x.reshape(-1), behaved(residual).reshape(-1), *constants, _limit(relu), y.reshape(-1))
    return y


def batch_norm_inference_backward(dy, x, gamma, beta, mean, var, epsilon, relu=False):
    """μ and σ² are constants: dx = dy γ/√(σ² + ε), dγ = Σ dy x̂, dβ = Σ dy; with relu for dy where y > 0."""
    dy, x = behaved(dy), behaved(x)

    def sums():
        rstd, dgamma, dbeta = _gradients(dy, x, gamma, beta, mean, var, epsilon, relu)
        zero = numpy.zeros_like(mean)
        return dgamma.astype("float32"), dbeta.astype("float32"), *repeated(mean, gamma * rstd, beta, zero, zero)
    dgamma, dbeta, *constants = computed(sums)
    return _input_gradient(dy, x, relu, *constants), dgamma, dbeta


def _gradients(dy, x, gamma, beta, mean, var, epsilon, relu):
    """1/√(σ² + ε), Σ g x̂ = Σ g (x - μ)/√(σ² + ε) and Σ g, all float64 (C,)."""
    rstd = _rstd(var, epsilon)
    dbeta, products = gradient_sums(dy, x, mean, gamma * rstd, beta, _limit(relu))
    return rstd, products * rstd, dbeta


def _input_gradient(dy, x, relu, mean, scale, shift, slope, constant):
    """The last five `repeated`."""
    dx = memory.empty(x.shape)
    _apply_backward(dy.reshape(-1), x.reshape(-1), mean, scale, shift, _limit(relu), slope, constant, dx.reshape(-1))
    return dx


def _rstd(var, epsilon):
    """1/√(σ² + ε) in float64."""
    return 1 / numpy.sqrt(var.astype("float64") + epsilon)


def _limit(relu):
    """No ReLU is NaN, which nothing is below."""
    return 0.0 if relu else math.nan
