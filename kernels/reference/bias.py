"""The gradient of a bias (the forward passes of dense and conv add it themselves)."""
from .array_module import accumulator


def bias_backward(dy):
    """y = ... + b, so db = Σ dy over every axis but the last.  dy (..., C) -> db (C,)."""
    axes = tuple(range(dy.ndim - 1))
    return dy.sum(axis=axes, dtype=accumulator(dy.dtype)).astype(dy.dtype, copy=False)
