"""The order of an array's numbers in memory, which no result depends on: here all orders are as good."""
from math import prod

from .array_module import get_array_module


def contiguous(x):
    """x itself if its numbers lie in memory in the order of its axes, else a copy for which that holds."""
    return get_array_module(x).ascontiguousarray(x)


def flatten(x):
    """x (N, H, W, C), or of any other axes, -> (N, H·W·C)."""
    return x.reshape(len(x), prod(x.shape[1:]))


def flatten_backward(dy, x_shape):
    """dy (N, H·W·C) -> x_shape."""
    return dy.reshape(x_shape)
