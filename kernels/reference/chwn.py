"""The order of an array's numbers in memory, which no result depends on: here all orders are as good."""
from .array_module import get_array_module


def contiguous(x):
    """x itself if its numbers lie in memory in the order of its axes, else a copy for which that holds."""
    return get_array_module(x).ascontiguousarray(x)


def images_innermost(x):
    """x (N, H, W, C), the images as neighbours in memory where that is faster: as it is, here."""
    return x
