"""Batch normalisation over all axes but the last.  Ioffe & Szegedy 2015.

x (..., C); gamma, beta, mean, var (C,); M = the number of elements each channel averages. The statistics
come back in the accumulator's dtype (float32 for float16 data), since a float16 variance overflows at 256².
"""
from .array_module import accumulator, get_array_module


def batch_norm(x, gamma, beta, epsilon):
    """y = γ (x - μ) / √(σ² + ε) + β with the batch's own μ and biased σ².  Alg. 1.  -> y, μ, σ²

    σ² = mean((x - μ)²), in two passes: mean(x²) - μ² loses all digits where |μ| is large beside σ.
    """
    wide = accumulator(x.dtype)
    axes = tuple(range(x.ndim - 1))
    mean = x.mean(axis=axes, dtype=wide)                                         # (C,)
    centred = x - mean                                                           # (..., C)
    var = (centred * centred).mean(axis=axes)                                    # (C,)
    return batch_norm_inference(x, gamma, beta, mean, var, epsilon), mean, var


def batch_norm_backward(dy, x, gamma, mean, var, epsilon):
    """dx = γ/√(σ² + ε) · (dy - mean(dy) - x̂ · mean(dy x̂)), dγ = Σ dy x̂, dβ = Σ dy.  Sec. 3.

    The two means are the paths through μ and σ²: dx is dy without what μ and σ² normalise away.
    """
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


def batch_norm_inference(x, gamma, beta, mean, var, epsilon):
    """y = γ (x - μ) / √(σ² + ε) + β with given μ and σ².  Alg. 2, line 11."""
    _, normalised = _normalise(x, mean, var, epsilon)
    return (gamma * normalised + beta).astype(x.dtype, copy=False)               # (..., C)


def batch_norm_inference_backward(dy, x, gamma, mean, var, epsilon):
    """μ and σ² are constants: dx = dy γ/√(σ² + ε), dγ = Σ dy x̂, dβ = Σ dy."""
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
