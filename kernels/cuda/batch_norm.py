"""Batch normalisation over all axes but the last, with the residual and the ReLU behind it. Kernels: batch_norm.cu.

x (..., C); gamma, beta, mean, var (C,); M = the number of elements each channel averages.
"""
import math

from . import launch as launching
from .cast import cast
from .columns import BLOCK, COLUMNS, parts, together
from .launch import array, blocks, empty, launch, real

BYTES = 8                                        # that a thread fetches at once, at most


def batch_norm(x, gamma, beta, epsilon, residual=None, relu=False):
    """y = γ (x - μ) / √(σ² + ε) + β with the batch's own μ and biased σ²; + residual; negatives to 0.  -> y, μ, σ²"""
    x = real("batch_norm", "x", x)
    M, C = _size(x)
    residual, of_channels = _residual("batch_norm", residual, x), _of_channels("batch_norm", C, gamma=gamma, beta=beta)
    grid, rows, width = _shares(x)
    means, squares, mean, var = empty((grid[1], C)), empty((grid[1], C)), empty((C,)), empty((C,))
    launch("batch_norm", "batch_norm_moments", grid, BLOCK, width, x=x, means=means, squares=squares, M=M, C=C, rows=rows)
    launch("batch_norm", "batch_norm_join", (blocks(C, COLUMNS),), BLOCK, means=means, squares=squares, mean=mean, var=var,
           parts=grid[1], M=M, C=C, rows=rows)
    return _apply(x, epsilon, residual, relu, mean=mean, var=var, **of_channels), mean, var


def batch_norm_backward(dy, x, gamma, beta, mean, var, epsilon, relu=False):
    """dx = γ/√(σ² + ε) · (dy - mean(dy) - x̂ · mean(dy x̂)), dγ = Σ dy x̂, dβ = Σ dy; with relu for dy where y > 0."""
    return _backward("batch_norm_backward", dy, x, gamma, beta, mean, var, epsilon, relu, training=True)


def batch_norm_inference(x, gamma, beta, mean, var, epsilon, residual=None, relu=False):
    """y = γ (x - μ) / √(σ² + ε) + β with given μ and σ²; + residual; with relu negatives to 0."""
    x = real("batch_norm_inference", "x", x)
    of_channels = _of_channels("batch_norm_inference", x.shape[-1], gamma=gamma, beta=beta, mean=mean, var=var)
    return _apply(x, epsilon, _residual("batch_norm_inference", residual, x), relu, **of_channels)


def batch_norm_inference_backward(dy, x, gamma, beta, mean, var, epsilon, relu=False):
    """μ and σ² are constants: dx = dy γ/√(σ² + ε), dγ = Σ dy x̂, dβ = Σ dy; with relu for dy where y > 0."""
    return _backward("batch_norm_inference_backward", dy, x, gamma, beta, mean, var, epsilon, relu, training=False)


def _apply(x, epsilon, residual, relu, **of_channels):
    M, C = _size(x)
    (grid, rows, width), y = _shares(x, *[residual] * (residual is not None)), empty(x.shape, x.dtype)
    launch("batch_norm", "batch_norm_apply", grid, BLOCK, width, x=x, residual=residual, y=y, M=M, C=C, rows=rows,
           epsilon=epsilon, relu=int(relu), **of_channels)
    return y


def _backward(operation, dy, x, gamma, beta, mean, var, epsilon, relu, training):
    x = real(operation, "x", x)
    dy, dx = array(operation, "dy", dy, x.shape, x.dtype), empty(x.shape, x.dtype)
    M, C = _size(x)
    grid, rows, width = _shares(x, dy)
    sums = empty((grid[1], 2 * C))
    given = {"dy": dy, "x": x, "M": M, "C": C, "rows": rows, "epsilon": epsilon, "relu": int(relu),
             **_of_channels(operation, C, gamma=gamma, beta=beta, mean=mean, var=var)}
    launch("batch_norm", "batch_norm_gradients", grid, BLOCK, width, sums=sums, **given)
    dbeta, dgamma = together(sums).reshape(2, C)
    launch("batch_norm", "batch_norm_input_gradient", grid, BLOCK, width, dgamma=dgamma, dbeta=dbeta, dx=dx,
           training=int(training), **given)
    return dx, dgamma, dbeta


def _size(x):
    return math.prod(x.shape[:-1]), x.shape[-1]


def _shares(x, *others):
    """(grid, rows, macros): as many columns a thread as BYTES hold, where that leaves none of a warp's threads idle."""
    (M, C), width = _size(x), BYTES // x.dtype.itemsize
    while width > 1 and (C % (width * COLUMNS) or any(
            launching.device.address(array) % (width * array.dtype.itemsize) for array in (x, *others))):
        width //= 2
    (_, down), rows = parts(M, C)
    return (blocks(C, COLUMNS * width), down), rows, (("WIDTH", width),)


def _of_channels(operation, C, **arrays):
    return {name: array(operation, name, value, (C,)) for name, value in arrays.items()}


def _residual(operation, residual, x):
    return None if residual is None else cast(real(operation, "residual", residual, x.shape), x.dtype)
