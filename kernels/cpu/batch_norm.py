"""Batch normalisation over all axes but the last: one pass of float64 sums, one pass that applies them.

x (..., C); gamma, beta, mean, var (C,); M = the number of elements each channel averages. With μ and 1/σ known, both
passes are affine in each channel; the channels' constants are repeated over the `lanes` of a long row, so that the
innermost loop is long for few channels too (as in `column_sums.py`).
"""
import numpy
from numba import prange

from . import memory
from .column_sums import column_sums, long_rows
from .compile import behaved, kernel


@kernel
def _apply(x, mean, scale, shift, y):
    """y = (x - mean) scale + shift.  x, y flat; the constants (lanes,)."""
    lanes = mean.size
    for row in prange((x.size + lanes - 1) // lanes):
        values, results = x[row * lanes:(row + 1) * lanes], y[row * lanes:(row + 1) * lanes]
        for j in range(values.size):
            results[j] = (values[j] - mean[j]) * scale[j] + shift[j]


@kernel
def _apply_backward(dy, x, mean, scale, slope, shift, dx):
    """dx = dy scale + (x - mean) slope + shift."""
    lanes = mean.size
    for row in prange((x.size + lanes - 1) // lanes):
        at = row * lanes
        gradients, values, results = dy[at:at + lanes], x[at:at + lanes], dx[at:at + lanes]
        for j in range(values.size):
            results[j] = gradients[j] * scale[j] + (values[j] - mean[j]) * slope[j] + shift[j]


def _long_rows(*constants):
    """Each (C,), repeated to the length of the long rows, in float32."""
    C = len(constants[0])
    times = long_rows(0, C)[1] // C
    return [numpy.tile(numpy.asarray(constant, "float32"), times) for constant in constants]


def batch_norm(x, gamma, beta, epsilon):
    """y = γ (x - μ) / √(σ² + ε) + β with the batch's own μ and biased σ².  -> y, μ, σ²

    σ² = mean(x²) - μ² loses no digit that float32 data has: the sums are float64, which holds each x² exactly.
    """
    x = behaved(x)
    M = max(1, x.size // x.shape[-1])
    total, squares = column_sums(x, x)                                           # (C,), (C,)
    mean = total / M
    var = numpy.maximum(squares / M - mean * mean, 0)
    mean, var = mean.astype("float32"), var.astype("float32")
    return batch_norm_inference(x, gamma, beta, mean, var, epsilon), mean, var


def batch_norm_backward(dy, x, gamma, mean, var, epsilon):
    """dx = γ/√(σ² + ε) · (dy - mean(dy) - x̂ · mean(dy x̂)), dγ = Σ dy x̂, dβ = Σ dy."""
    dy, x = behaved(dy), behaved(x)
    M = max(1, x.size // x.shape[-1])
    rstd, dgamma, dbeta = _gradients(dy, x, mean, var, epsilon)                  # (C,) each
    scale = gamma * rstd
    slope, shift = -scale * rstd * dgamma / M, -scale * dbeta / M
    dx = memory.empty(x.shape)
    _apply_backward(dy.reshape(-1), x.reshape(-1), *_long_rows(mean, scale, slope, shift), dx.reshape(-1))
    return dx, dgamma.astype("float32"), dbeta.astype("float32")


def batch_norm_inference(x, gamma, beta, mean, var, epsilon):
    """y = γ (x - μ) / √(σ² + ε) + β with given μ and σ²."""
    x, y = behaved(x), memory.empty(x.shape)
    scale = gamma / numpy.sqrt(var.astype("float64") + epsilon)
    _apply(x.reshape(-1), *_long_rows(mean, scale, beta), y.reshape(-1))
    return y


def batch_norm_inference_backward(dy, x, gamma, mean, var, epsilon):
    """μ and σ² are constants: dx = dy γ/√(σ² + ε), dγ = Σ dy x̂, dβ = Σ dy."""
    dy, x = behaved(dy), behaved(x)
    rstd, dgamma, dbeta = _gradients(dy, x, mean, var, epsilon)
    dx, zero = memory.empty(x.shape), numpy.zeros_like(mean)
    _apply(dy.reshape(-1), *_long_rows(zero, gamma * rstd, zero), dx.reshape(-1))
    return dx, dgamma.astype("float32"), dbeta.astype("float32")


def _gradients(dy, x, mean, var, epsilon):
    """1/√(σ² + ε), Σ dy x̂ = (Σ dy x - μ Σ dy)/√(σ² + ε) and Σ dy, all float64 (C,)."""
    rstd = 1 / numpy.sqrt(var.astype("float64") + epsilon)
    dbeta, products = column_sums(dy, x)
    return rstd, (products - mean * dbeta) * rstd, dbeta
