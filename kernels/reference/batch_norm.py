"""Batch normalisation over all axes but the last.  Ioffe & Szegedy 2015.

x (..., C); gamma, beta, mean, var (C,); M = the number of elements each channel averages. The statistics
come back in the accumulator's dtype (float32 for float16 data), since a float16 variance overflows at 256².
What mostly stands behind it may be had in the same call: y = relu(batch norm + residual), He et al. 2016.
"""
from .activation import relu as relu_of
from .activation import relu_backward
from .arithmetic import add
from .array_module import accumulator, get_array_module

PLAIN = 0.0, None, 0.0                       # negative_slope, max_value, threshold of max(x, 0)


def batch_norm(x, gamma, beta, epsilon, residual=None, relu=False):
    """y = γ (x - μ) / √(σ² + ε) + β with the batch's own μ and biased σ².  Alg. 1.  -> y, μ, σ²

    σ² = mean((x - μ)²), in two passes: mean(x²) - μ² loses all digits where |μ| is large beside σ.
    """
    wide = accumulator(x.dtype)
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axis=axes, dtype=wide)                                         # (C,)
    centred = x - mean                                                           # (..., C)
    var = (centred * centred).mean(axis=axes)                                    # (C,)
    return batch_norm_inference(x, gamma, beta, mean, var, epsilon, residual, relu), mean, var


def batch_norm_backward(dy, x, gamma, beta, mean, var, epsilon, relu=False):
    """dx = γ/√(σ² + ε) · (dy - mean(dy) - x̂ · mean(dy x̂)), dγ = Σ dy x̂, dβ = Σ dy.  Sec. 3.

    The two means are the paths through μ and σ²: dx is dy without what μ and σ² normalise away.
    relu: y = relu(...), without a residual. (With one, dy behind the ReLU is what both summands receive.)
    """
    if relu:
        dy = relu_backward(dy, batch_norm_inference(x, gamma, beta, mean, var, epsilon), *PLAIN)
    wide = accumulator(x.dtype)
    axes = tuple(range(x.ndim - 1))
    dy = dy.astype(wide, copy=False)
    rstd, normalised = _normalise(x, mean, var, epsilon)
    dx = dy - dy.mean(axis=axes) - normalised * (dy * normalised).mean(axis=axes)   # (..., C)
    dx = gamma * rstd * dx
    dgamma = (dy * normalised).sum(axis=axes)                                    # (C,)
    dbeta = dy.sum(axis=axes)                                                    # (C,)
    return (dx.astype(x.dtype, copy=False), dgamma.astype(gamma.dtype, copy=False),
            dbeta.astype(gamma.dtype, copy=False))


def batch_norm_inference(x, gamma, beta, mean, var, epsilon, residual=None, relu=False):
    """y = γ (x - μ) / √(σ² + ε) + β with given μ and σ².  Alg. 2, line 11."""
    _, normalised = _normalise(x, mean, var, epsilon)
    y = (gamma * normalised + beta).astype(x.dtype, copy=False)                  # (..., C)
    if residual is not None:
        y = add(residual, y, 1.0)
    return relu_of(y, *PLAIN) if relu else y


def batch_norm_inference_backward(dy, x, gamma, beta, mean, var, epsilon, relu=False):
    """μ and σ² are constants: dx = dy γ/√(σ² + ε), dγ = Σ dy x̂, dβ = Σ dy."""
    if relu:
        dy = relu_backward(dy, batch_norm_inference(x, gamma, beta, mean, var, epsilon), *PLAIN)
    axes = tuple(range(x.ndim - 1))
    dy = dy.astype(accumulator(x.dtype), copy=False)
    rstd, normalised = _normalise(x, mean, var, epsilon)
    dx = dy * (gamma * rstd)                                                     # (..., C)
    dgamma = (dy * normalised).sum(axis=axes)                                    # (C,)
    dbeta = dy.sum(axis=axes)                                                    # (C,)
    return (dx.astype(x.dtype, copy=False), dgamma.astype(gamma.dtype, copy=False),
            dbeta.astype(gamma.dtype, copy=False))


def _normalise(x, mean, var, epsilon):
    """1/√(σ² + ε) (C,) and x̂ = (x - μ)/√(σ² + ε) (..., C), in the accumulator's dtype."""
    xp = get_array_module(x)
    wide = accumulator(x.dtype)
    rstd = 1 / xp.sqrt(var.astype(wide, copy=False) + epsilon)
    return rstd, (x - mean.astype(wide, copy=False)) * rstd
