"""The gradient of a bias, alone or behind an activation; and the bias added. Kernels: bias.cu."""
import math

from .columns import BLOCK, column_sums, parts, together
from .launch import array, each, empty, launch, real

ACTIVATIONS = {None: 0, "relu": 1, "tanh": 2}    # as in common.cuh


def add_bias(y, b, activation):
    """y = activation(y + b), in place, for a y that nobody else has seen.  y (..., C), b (C,) or None"""
    if b is not None or activation is not None:
        each("bias", "add_bias", y.size, y=y, b=b, C=y.shape[-1], activation=ACTIVATIONS[activation])
    return y


def bias_backward(dy):
    """db = Σ dy over every axis but the last.  dy (..., C) -> db (C,)."""
    dy = real("bias_backward", "dy", dy)
    return column_sums(dy, math.prod(dy.shape[:-1]), dy.shape[-1])


def relu_bias_backward(dy, y):
    """dz = dy where y > 0, else 0, and db = Σ dz over all axes but the last.  -> dz, db"""
    return _backward("relu", dy, y)


def tanh_bias_backward(dy, y):
    """dz = dy (1 - y²), and db = Σ dz over all axes but the last.  -> dz, db"""
    return _backward("tanh", dy, y)


def activation_and_bias_backward(dy, y, activation, needs_bias):
    """dz, and db or None, of y = activation(... + b), for None, "relu" or "tanh"."""
    if activation is None:
        return dy, bias_backward(dy) if needs_bias else None
    dz, db = _backward(activation, dy, y)
    return dz, db if needs_bias else None


def _backward(activation, dy, y):
    operation = f"{activation}_bias_backward"
    y = real(operation, "y", y)
    dy, dz, M, C = array(operation, "dy", dy, y.shape, y.dtype), empty(y.shape, y.dtype), math.prod(y.shape[:-1]), y.shape[-1]
    grid, rows = parts(M, C)
    sums = empty((grid[1], C))
    launch("bias", "activation_bias_backward", grid, BLOCK, dy=dy, y=y, dz=dz, sums=sums, M=M, C=C, rows=rows,
           activation=ACTIVATIONS[activation])
    return dz, together(sums)
