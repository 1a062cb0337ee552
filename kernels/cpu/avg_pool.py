"""Average pooling: over sliding windows, over a fixed number of bins, over the whole image.

All three are one kernel, given for each axis where each window starts and ends. What makes it fast: a window's rows
are added up first, as whole rows of W·C elements, so that vectors are full also for few channels.
"""
from functools import lru_cache

import numpy
from numba import prange
from numpy import float32

from ..shapes import output_size as windows_on_axis
from . import memory, threads
from .compile import behaved, helper, kernel


@helper
def _add(x, y):
    """y += x."""
    for i in range(y.size):
        y[i] += x[i]


@helper
def _add_quotient(x, divisor, y):
    """y += x / divisor."""
    for i in range(y.size):
        y[i] += x[i] / divisor


@helper
def _clear(y):
    """y = 0."""
    for i in range(y.size):
        y[i] = 0


@kernel
def _forward(x, rows, columns, lines, y):
    """rows (3, OH), columns (3, OW): start, end and size of each window; lines (parts, W·C) is scratch."""
    N, OH, OW, C = y.shape
    _, H, W, _ = x.shape
    parts = lines.shape[0]
    for part in prange(parts):
        line = lines[part]
        for task in range(part * N * OH // parts, (part + 1) * N * OH // parts):
            n, oh = task // OH, task % OH
            _clear(line)
            for ih in range(rows[0, oh], rows[1, oh]):
                _add(x[n, ih].reshape(W * C), line)
            for ow in range(OW):
                pixel, divisor = y[n, oh, ow], float32(rows[2, oh] * columns[2, ow])
                _clear(pixel)
                for iw in range(columns[0, ow], columns[1, ow]):
                    _add_quotient(line[iw * C:(iw + 1) * C], divisor, pixel)


@kernel
def _backward(dy, row_sizes, column_sizes, over_rows, over_columns, lines, dx):
    """over_rows (2, H), over_columns (2, W): the first and one past the last window over each element; sizes (OH,),
    (OW,); lines (parts, OW·C) is scratch."""
    N, H, W, C = dx.shape
    _, OH, OW, _ = dy.shape
    parts = lines.shape[0]
    for part in prange(parts):
        line = lines[part]
        for task in range(part * N * H // parts, (part + 1) * N * H // parts):
            n, ih = task // H, task % H
            _clear(line)
            for oh in range(over_rows[0, ih], over_rows[1, ih]):
                _add_quotient(dy[n, oh].reshape(OW * C), float32(row_sizes[oh]), line)
            for iw in range(W):
                pixel = dx[n, ih, iw]
                _clear(pixel)
                for ow in range(over_columns[0, iw], over_columns[1, iw]):
                    _add_quotient(line[ow * C:(ow + 1) * C], float32(column_sizes[ow]), pixel)


@lru_cache(maxsize=1024)
def _sliding(size, window, stride, padding, ceil_mode, count_include_pad):
    """The windows of one axis: where each starts and ends inside the image, and how many elements count.  -> _axis

    Never what overhangs the padding (ceil_mode), padding only with count_include_pad, at least 1.
    """
    before, after = padding
    start = numpy.arange(windows_on_axis(size, window, stride, padding, 1, ceil_mode), dtype="int64") * stride - before
    end = start + window
    low, high = (-before, size + after) if count_include_pad else (0, size)
    count = numpy.minimum(end, high) - numpy.maximum(start, low)
    return _axis(start.clip(0, size), end.clip(0, size), count.clip(1), size)


@lru_cache(maxsize=1024)
def _bins(size, count):
    """`count` bins that cover an axis: floor(i·size/count) .. ceil((i+1)·size/count).  -> _axis"""
    i = numpy.arange(count, dtype="int64")
    start, end = i * size // count, -((i + 1) * size // -count)
    return _axis(start, end, end - start, size)


def _axis(start, end, count, size):
    """(3, windows): start, end and size; and (2, size): the first and one past the last window over each element."""
    place = numpy.arange(size)
    over = numpy.searchsorted(end, place, "right"), numpy.searchsorted(start, place, "right")
    return numpy.stack([start, end, count]), numpy.stack(over).astype("int64")


def _average(x, rows, columns):
    """The means over the windows of the two axes.  x (N, H, W, C) -> y (N, OH, OW, C)"""
    x = behaved(x)
    N, _, W, C = x.shape
    OH, OW = rows[0].shape[1], columns[0].shape[1]
    y = memory.empty((N, OH, OW, C))
    _forward(x, rows[0], columns[0], memory.empty((threads.chunks(N * OH), W * C)), y)
    return y


def _average_backward(dy, x_shape, rows, columns):
    """dx = Σ dy / (size of the window) over the windows that cover the element."""
    dy = behaved(dy)
    N, H, _, C = x_shape
    dx = memory.empty(x_shape)
    lines = memory.empty((threads.chunks(N * H), dy.shape[2] * C))
    _backward(dy, rows[0][2], columns[0][2], rows[1], columns[1], lines, dx)
    return dx


def avg_pool2d(x, pool_size, strides, padding, ceil_mode, count_include_pad):
    """y = (Σ over the window) / (number of its elements).  x (N, H, W, C) -> y (N, OH, OW, C)."""
    return _average(x, *_both(x.shape, pool_size, strides, padding, ceil_mode, count_include_pad))


def avg_pool2d_backward(dy, x_shape, pool_size, strides, padding, ceil_mode, count_include_pad):
    """dx = Σ dy / (number of elements) over the windows that cover the element."""
    return _average_backward(dy, x_shape, *_both(x_shape, pool_size, strides, padding, ceil_mode, count_include_pad))


def _both(x_shape, pool_size, strides, padding, ceil_mode, count_include_pad):
    """The windows of both axes."""
    return [_sliding(x_shape[1 + axis], pool_size[axis], strides[axis], tuple(padding[axis]), bool(ceil_mode),
                     bool(count_include_pad)) for axis in range(2)]


def adaptive_avg_pool2d(x, output_size):
    """y[n,oh,ow,c] = the mean of x over bin (oh, ow).  x (N, H, W, C) -> y (N, *output_size, C)."""
    return _average(x, _bins(x.shape[1], output_size[0]), _bins(x.shape[2], output_size[1]))


def adaptive_avg_pool2d_backward(dy, x_shape):
    """dx = Σ dy / (elements of the bin) over the bins that hold the element."""
    return _average_backward(dy, x_shape, _bins(x_shape[1], dy.shape[1]), _bins(x_shape[2], dy.shape[2]))


def global_avg_pool2d(x):
    """y[n,c] = the mean of x[n,:,:,c].  x (N, H, W, C) -> y (N, C)."""
    return adaptive_avg_pool2d(x, (1, 1)).reshape(x.shape[0], x.shape[3])


def global_avg_pool2d_backward(dy, x_shape):
    """dx[n,h,w,c] = dy[n,c] / (H·W)."""
    N, _, _, C = x_shape
    return adaptive_avg_pool2d_backward(dy.reshape(N, 1, 1, C), x_shape)
