"""The gradient of a bias, alone or behind an activation (the forward passes of dense and conv add it themselves)."""
from .activation import relu_backward, tanh_backward
from .array_module import accumulator


def bias_backward(dy):
    """y = ... + b, so db = Σ dy over every axis but the last.  dy (..., C) -> db (C,)."""
    axes = tuple(range(dy.ndim - 1))
    return dy.sum(axis=axes, dtype=accumulator(dy.dtype)).astype(dy.dtype, copy=False)


def relu_bias_backward(dy, y):
    """y = max(... + b, 0), so dz = dy where y > 0, else 0, and db = Σ dz over all axes but the last.  -> dz, db"""
    dz = relu_backward(dy, y, 0.0, None, 0.0)
    return dz, bias_backward(dz)


def tanh_bias_backward(dy, y):
    """y = tanh(... + b), so dz = dy (1 - y²), and db = Σ dz over all axes but the last.  -> dz, db"""
    dz = tanh_backward(dy, y)
    return dz, bias_backward(dz)


def activation_and_bias_backward(dy, y, activation, needs_bias):
    """dz, and db or None, of y = activation(... + b), for None, "relu" or "tanh"."""
    if activation is None:
        return dy, bias_backward(dy) if needs_bias else None
    dz, db = {"relu": relu_bias_backward, "tanh": tanh_bias_backward}[activation](dy, y)
    return dz, db if needs_bias else None
