"""Average pooling: over sliding windows, over a fixed number of bins, over the whole image; forward and backward.

All are one kernel, a weighted sum over rows and then one over columns, for which tables say what adds to what; the
backward pass has the transposed tables. What makes it fast: rows are added as whole rows of W·C elements, and the
table of the columns has an entry for each of them, so that vectors are full also for few channels.
"""
from functools import lru_cache

import numpy
from numba import prange

from ..shapes import output_size as windows_on_axis
from . import memory, threads
from .compile import behaved, helper, kernel


@helper
def _clear(y):
    """y = 0."""
    for i in range(y.size):
        y[i] = 0


@helper
def _add_scaled(x, weight, y):
    """y += weight · x, over the elements of x."""
    for i in range(x.size):
        y[i] += weight * x[i]


@helper
def _add_gathered(x, sources, weights, y):
    """y[i] += weights[i] · x[sources[i]]."""
    for i in range(y.size):
        y[i] += weights[i] * x[sources[i]]


@kernel
def _weighted_sums(x, row_sources, row_weights, sources, weights, lines, y):
    """line = Σ_q row_weights[q, i] · x[n, row_sources[q, i]], and y[n, i] = Σ_q weights[q] · line[sources[q]].

    x (N, H, W·C), y (N, OH, OW·C). lines (parts, W·C + 1) is scratch; its last element is 0, the source of places
    that have fewer than q. A row source that is no row of x adds nothing.
    """
    N, OH, _ = y.shape
    parts = lines.shape[0]
    for part in prange(parts):
        line = lines[part]
        for task in range(part * N * OH // parts, (part + 1) * N * OH // parts):
            n, i = task // OH, task % OH
            _clear(line)
            for q in range(row_sources.shape[0]):
                if row_sources[q, i] < x.shape[1]:
                    _add_scaled(x[n, row_sources[q, i]], row_weights[q, i], line)
            _clear(y[n, i])
            for q in range(sources.shape[0]):
                _add_gathered(line, sources[q], weights[q], y[n, i])


def _sliding(size, window, stride, padding, ceil_mode, count_include_pad):
    """Start, end and count of each window on an axis: the elements inside the image, and how many it averages.

    The count is never of what overhangs the padding (ceil_mode), of padding only with count_include_pad, at least 1.
    """
    before, after = padding
    start = numpy.arange(windows_on_axis(size, window, stride, padding, 1, ceil_mode)) * stride - before
    end = start + window
    low, high = (-before, size + after) if count_include_pad else (0, size)
    count = numpy.minimum(end, high) - numpy.maximum(start, low)
    return start.clip(0, size), end.clip(0, size), count.clip(1)


def _bins(size, count):
    """Start, end and count of bins that cover an axis: floor(i·size/count) .. ceil((i+1)·size/count)."""
    i = numpy.arange(count)
    start, end = i * size // count, -((i + 1) * size // -count)
    return start, end, end - start


@lru_cache(maxsize=64)
def _tables(backward, C, cut, size, *arguments):
    """sources and weights (Q, places·C): which elements of an axis of size·C add to each place, and how much.

    For the backward pass the other way round: which windows add to each element. cut: _sliding or _bins.
    """
    start, end, count = cut(size, *arguments)
    place = numpy.arange(size)
    inside = (start[:, None] <= place) & (place < end[:, None])                  # (windows, size)
    weights = inside / count[:, None]
    if backward:
        inside, weights = inside.T, weights.T                                    # (size, windows)
    places, length = inside.shape
    Q = max(1, inside.sum(axis=1).max(initial=0))
    first = inside.argmax(axis=1)[:, None] + numpy.arange(Q)                     # (places, Q): they are neighbours
    there = numpy.arange(Q) < inside.sum(axis=1)[:, None]
    weights = numpy.take_along_axis(weights, numpy.minimum(first, length - 1), axis=1) * there
    sources = numpy.where(there[:, :, None], first[:, :, None] * C + numpy.arange(C), length * C)    # (places, Q, C)
    sources = sources.transpose(1, 0, 2).reshape(Q, places * C)
    return (numpy.ascontiguousarray(sources, "uint32"),
            numpy.ascontiguousarray(numpy.repeat(weights.T, C, axis=1), "float32"))


def _average(x, shape, backward, rows, columns):
    """Over the windows that `rows` and `columns`, the last arguments of _tables, describe. -> shape"""
    x, y = behaved(x), memory.empty(shape)
    N, H, W, C = x.shape
    lines = memory.empty((threads.chunks(N * shape[1]), W * C + 1))
    if y.size:
        _weighted_sums(x.reshape(N, H, W * C), *_tables(backward, 1, *rows), *_tables(backward, C, *columns), lines,
                       y.reshape(N, shape[1], shape[2] * C))
    return y


def avg_pool2d(x, pool_size, strides, padding, ceil_mode, count_include_pad):
    """y = (Σ over the window) / (number of its elements).  x (N, H, W, C) -> y (N, OH, OW, C)."""
    N, H, W, C = x.shape
    axes = _axes(x.shape, pool_size, strides, padding, ceil_mode, count_include_pad)
    OH = windows_on_axis(H, pool_size[0], strides[0], padding[0], 1, ceil_mode)
    OW = windows_on_axis(W, pool_size[1], strides[1], padding[1], 1, ceil_mode)
    return _average(x, (N, OH, OW, C), False, *axes)


def avg_pool2d_backward(dy, x_shape, pool_size, strides, padding, ceil_mode, count_include_pad):
    """dx = Σ dy / (number of elements) over the windows that cover the element."""
    return _average(dy, x_shape, True, *_axes(x_shape, pool_size, strides, padding, ceil_mode, count_include_pad))


def _axes(x_shape, pool_size, strides, padding, ceil_mode, count_include_pad):
    """The arguments of _tables for both axes, hashable."""
    return [(_sliding, x_shape[1 + axis], pool_size[axis], strides[axis], tuple(padding[axis]), bool(ceil_mode),
             bool(count_include_pad)) for axis in range(2)]


def adaptive_avg_pool2d(x, output_size):
    """y[n,oh,ow,c] = the mean of x over bin (oh, ow).  x (N, H, W, C) -> y (N, *output_size, C)."""
    N, H, W, C = x.shape
    OH, OW = output_size
    return _average(x, (N, OH, OW, C), False, (_bins, H, OH), (_bins, W, OW))


def adaptive_avg_pool2d_backward(dy, x_shape):
    """dx = Σ dy / (elements of the bin) over the bins that hold the element."""
    return _average(dy, x_shape, True, (_bins, x_shape[1], dy.shape[1]), (_bins, x_shape[2], dy.shape[2]))


def global_avg_pool2d(x):
    """y[n,c] = the mean of x[n,:,:,c].  x (N, H, W, C) -> y (N, C)."""
    return adaptive_avg_pool2d(x, (1, 1)).reshape(x.shape[0], x.shape[3])


def global_avg_pool2d_backward(dy, x_shape):
    """dx[n,h,w,c] = dy[n,c] / (H·W)."""
    N, _, _, C = x_shape
    return adaptive_avg_pool2d_backward(dy.reshape(N, 1, 1, C), x_shape)
