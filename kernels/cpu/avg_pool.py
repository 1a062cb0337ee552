"""Average pooling: over sliding windows, over a fixed number of bins, over the whole image; forward and backward.

All are one kernel, a weighted sum over rows and then one over columns, for which tables say what adds to what; the
backward pass has the transposed tables. Windows that lie side by side, as in LeNet-5, have kernels of their own, of
vectors by hand: there are few channels there, and loops over them are all start and no run.
"""
from functools import lru_cache

import numpy
from numba import prange
from numpy import float32, uint64

from ..shapes import output_size as windows_on_axis
from . import memory, threads
from .chwn import in_one_order, is_chwn
from .compile import behaved, helper, kernel, light_kernel
from .vector import LANES, load, plus, store, times, whole_pixels


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


@kernel
def _weighted_sums(x, row_sources, row_weights, sources, weights, lines, y):
    """line = Σ_q row_weights[q, i] · x[n, row_sources[q, i]], and y[n, i, j] = Σ_q weights[q, j] · line[sources[q, j]].

    x (N, H, W·C), y (N, OH, OW, C); lines (parts, W, C) is scratch. A source that is no row or pixel of x adds nothing.
    """
    N, OH, OW, _ = y.shape
    parts = lines.shape[0]
    for part in prange(parts):
        line = lines[part]
        flat = line.reshape(-1)
        for task in range(part * N * OH // parts, (part + 1) * N * OH // parts):
            n, i = task // OH, task % OH
            _clear(flat)
            for q in range(row_sources.shape[0]):
                if row_sources[q, i] < x.shape[1]:
                    _add_scaled(x[n, row_sources[q, i]], row_weights[q, i], flat)
            for j in range(OW):
                _clear(y[n, i, j])
                for q in range(sources.shape[0]):
                    if sources[q, j] < line.shape[0]:
                        _add_scaled(line[sources[q, j]], weights[q, j], y[n, i, j])


@light_kernel
def _tiles(x, KH, KW, elements, y, rows_first):
    """y = the mean of each KH x KW tile of x, whose elements lie so far behind its corner.  x, y (N, H, W, C)

    rows_first: the first rows of all images before the second ones, so that each thread is given those it has made
    (`conv_images.py`).
    """
    N, OH, OW, C = y.shape
    _, H, W, _ = x.shape
    share, pixels, means = float32(1 / elements.size), x.reshape(-1), y.reshape(-1)
    whole = whole_pixels(OW, C)
    for task in prange(N * OH):
        n, oh = (task % N, task // N) if rows_first else (task // OH, task % OH)
        corner, mean = (n * H + oh * KH) * W * C, (n * OH + oh) * OW * C
        for ow in range(OW):
            if ow < whole:
                for c in range(0, C, LANES):
                    total = load(pixels, uint64(corner + c))
                    for k in range(1, elements.size):
                        total = plus(total, load(pixels, uint64(corner + elements[k] + c)))
                    store(times(total, share), means, uint64(mean + c))
            else:
                for c in range(C):
                    one = float32(0)
                    for k in range(elements.size):
                        one += pixels[corner + elements[k] + c]
                    means[mean + c] = one * share
            corner += KW * C
            mean += C


@light_kernel
def _tiles_backward(dy, KH, KW, dx, rows_first):
    """dx = dy / (KH·KW) all over each tile, 0 where the last tile ends before the image.  dy, dx (N, H, W, C)

    The first row of a row of tiles is made of vectors, the others are its copies.
    """
    N, H, W, C = dx.shape
    _, OH, OW, _ = dy.shape
    share, gradients, pixels = float32(1 / (KH * KW)), dy.reshape(-1), dx.reshape(-1)
    whole, row = whole_pixels(OW, C), W * C
    for task in prange(N * OH):
        n, oh = (task % N, task // N) if rows_first else (task // OH, task % OH)
        first, source = (n * H + oh * KH) * row, (n * OH + oh) * OW * C
        at = first
        for ow in range(OW):
            for kw in range(KW):
                if ow < whole:
                    for c in range(0, C, LANES):
                        store(times(load(gradients, uint64(source + c)), share), pixels, uint64(at + c))
                else:
                    for c in range(C):
                        pixels[at + c] = gradients[source + c] * share
                at += C
            source += C
        for i in range(at, first + row):
            pixels[i] = 0
        model = pixels[first:first + row]
        for kh in range(1, KH):
            copy = pixels[first + kh * row:first + (kh + 1) * row]
            for i in range(copy.size):
                copy[i] = model[i]
        if oh == OH - 1:
            for i in range(first + KH * row, (n + 1) * H * row):
                pixels[i] = 0


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
def _tables(backward, cut, size, *arguments):
    """sources and weights (Q, places): which places of an axis of `size` add to each place, and how much.

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
    sources = numpy.where(there, first, length)                                  # (places, Q); `length` is none
    return numpy.ascontiguousarray(sources.T, "uint32"), numpy.ascontiguousarray(weights.T, "float32")


def _average(x, shape, backward, rows, columns):
    """Over the windows that `rows` and `columns`, the last arguments of _tables, describe. -> shape"""
    x, y = behaved(x), memory.empty(shape)
    N, H, W, C = x.shape
    if y.size:
        lines = memory.empty((threads.chunks(N * shape[1]), W, C))
        _weighted_sums(x.reshape(N, H, W * C), *_tables(backward, *rows), *_tables(backward, *columns), lines, y)
    return y


def _side_by_side(pool_size, strides, padding, ceil_mode):
    """Whether the windows are tiles that nothing of hangs over an edge."""
    return tuple(pool_size) == tuple(strides) and not any(map(any, padding)) and not ceil_mode


def avg_pool2d(x, pool_size, strides, padding, ceil_mode, count_include_pad):
    """y = (Σ over the window) / (number of its elements).  x (N, H, W, C) -> y (N, OH, OW, C)."""
    rows_first = int(is_chwn(x))
    [x], back = in_one_order(x)                  # which axis is the images' and which the channels' does not matter
    N, H, W, C = x.shape
    OH = windows_on_axis(H, pool_size[0], strides[0], padding[0], 1, ceil_mode)
    OW = windows_on_axis(W, pool_size[1], strides[1], padding[1], 1, ceil_mode)
    if _side_by_side(pool_size, strides, padding, ceil_mode):
        y = memory.empty((N, OH, OW, C))
        elements = numpy.arange(pool_size[0])[:, None] * (W * C) + numpy.arange(pool_size[1]) * C
        _tiles(x, *pool_size, elements.reshape(-1), y, rows_first)
        return back(y)
    axes = _axes(x.shape, pool_size, strides, padding, ceil_mode, count_include_pad)
    return back(_average(x, (N, OH, OW, C), False, *axes))


def avg_pool2d_backward(dy, x_shape, pool_size, strides, padding, ceil_mode, count_include_pad):
    """dx = Σ dy / (number of elements) over the windows that cover the element."""
    rows_first = int(is_chwn(dy))
    [dy], back = in_one_order(dy)
    x_shape = (*dy.shape[:1], *x_shape[1:3], *dy.shape[3:])
    if _side_by_side(pool_size, strides, padding, ceil_mode):
        dx = memory.empty(x_shape) if dy.size else memory.zeros(x_shape)
        _tiles_backward(dy, *pool_size, dx, rows_first)
        return back(dx)
    return back(_average(dy, x_shape, True, *_axes(x_shape, pool_size, strides, padding, ceil_mode, count_include_pad)))


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
