"""What containers do with whole arrays: sums of branches, branches side by side, sums of gradients."""
from numba import prange
from numpy import float32

from . import memory
from .compile import behaved, in_place, light_kernel


@light_kernel
def _add(x, y, scale, out):
    scale = float32(scale)
    for i in prange(x.size):
        out[i] = x[i] + scale * y[i]


@light_kernel
def _copy_channels(source, first, target, start, count):
    """target[i, start + c] = source[i, first + c] for c < count.  source, target (pixels, channels)."""
    for i in prange(source.shape[0]):
        pixel, copy = source[i, first:first + count], target[i, start:start + count]
        for c in range(count):
            copy[c] = pixel[c]


def add(x, y, scale):
    """x + scale · y."""
    x, y, out = behaved(x), behaved(y), memory.empty(x.shape)
    _add(x.reshape(-1), y.reshape(-1), float(scale), out.reshape(-1))
    return out


def concat(xs):
    """The arrays side by side along the channels: (..., C1), (..., C2), ... -> (..., C1 + C2 + ...)."""
    widths = [x.shape[-1] for x in xs]
    y = memory.empty((*xs[0].shape[:-1], sum(widths)))
    start = 0
    for x, width in zip(xs, widths):
        _copy_channels(behaved(x).reshape(-1, width), 0, y.reshape(-1, sum(widths)), start, width)
        start += width
    return y


def concat_backward(dy, sizes):
    """dy (..., ΣC) cut back into one contiguous array per input, (..., C1), (..., C2), ..."""
    dy = behaved(dy)
    parts, first = [], 0
    for size in sizes:
        part = memory.empty((*dy.shape[:-1], size))
        _copy_channels(dy.reshape(-1, dy.shape[-1]), first, part.reshape(-1, size), 0, int(size))
        parts.append(part)
        first += int(size)
    return parts


def accumulate(grad, d):
    """grad += d, in place."""
    _add(in_place(grad), behaved(d).reshape(-1), 1.0, in_place(grad))
