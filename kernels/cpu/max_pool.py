"""Max pooling: the largest element of each window, and where it was; one pass over the channels per element.

Backward each pixel asks the windows that it lies in whether it has won: selects, which vectorise, where adding to the
winner would be a scalar store to a computed place, and dx is written once, not cleared before.
"""
from functools import lru_cache
from math import inf

import numpy
from numba import prange
from numpy import float32, int32

from ..shapes import output_size
from . import memory
from .chwn import as_chwn, in_one_order, is_chwn, swapped
from .compile import INT32, behaved, helper, light_kernel

MANY = 16                                        # channels from which loops over them are worth their start


@helper
def _keep_larger(x, index, y, winners):
    """What of x is larger than y, or the first NaN, or the first element at all, takes its place in y."""
    for c in range(y.size):
        value, best, winner = x[c], y[c], winners[c]
        # By bits, not by `or`: branches would stop the vectoriser.
        wins = (winner < 0) | (value > best) | ((value != value) & (best == best))
        y[c] = value if wins else best
        winners[c] = int32(index) if wins else winner


@light_kernel
def _forward(x, pool_size, strides, origin, dilation, y, winners):
    N, OH, OW, C = y.shape
    _, H, W, _ = x.shape
    for task in prange(N * OH):
        n, oh = task // OH, task % OH
        for ow in range(OW):
            best, winner = y[n, oh, ow], winners[n, oh, ow]
            for c in range(C):
                best[c] = float32(-inf)
                winner[c] = -1
            for kh in range(pool_size[0]):
                ih = oh * strides[0] - origin[0] + kh * dilation[0]
                if 0 <= ih < H:
                    for kw in range(pool_size[1]):
                        iw = ow * strides[1] - origin[1] + kw * dilation[1]
                        if 0 <= iw < W:
                            _keep_larger(x[n, ih, iw], ih * W + iw, best, winner)


@light_kernel
def _forward_few(x, pool_size, strides, origin, dilation, y, winners):
    """The same for few channels: one after the other, each in a register while its window is read."""
    N, OH, OW, C = y.shape
    _, H, W, _ = x.shape
    for task in prange(N * OH):
        n, oh = task // OH, task % OH
        for ow in range(OW):
            for c in range(C):
                best, winner = float32(-inf), int32(-1)
                for kh in range(pool_size[0]):
                    ih = oh * strides[0] - origin[0] + kh * dilation[0]
                    if 0 <= ih < H:
                        for kw in range(pool_size[1]):
                            iw = ow * strides[1] - origin[1] + kw * dilation[1]
                            if 0 <= iw < W:
                                value = x[n, ih, iw, c]
                                wins = (winner < 0) | (value > best) | ((value != value) & (best == best))
                                best = value if wins else best
                                winner = int32(ih * W + iw) if wins else winner
                y[n, oh, ow, c], winners[n, oh, ow, c] = best, winner


@helper
def _give(dy, winners, index, dx):
    """dx = dy where `index` has won."""
    for c in range(dx.size):
        dx[c] = dy[c] if winners[c] == int32(index) else float32(0)


@helper
def _give_more(dy, winners, index, dx):
    """dx += dy where `index` has won."""
    for c in range(dx.size):
        dx[c] += dy[c] if winners[c] == int32(index) else float32(0)


@light_kernel
def _backward(dy, winners, rows, columns, dx):
    """Each pixel asks the windows it lies in, rows (KH, H) and columns (KW, W), which may be -1, whether it has won."""
    N, H, W, C = dx.shape
    for task in prange(N * H):
        n, ih = task // H, task % H
        for iw in range(W):
            pixel, asked = dx[n, ih, iw], False
            for kh in range(rows.shape[0]):
                oh = rows[kh, ih]
                if oh >= 0:
                    for kw in range(columns.shape[0]):
                        ow = columns[kw, iw]
                        if ow >= 0:
                            if asked:
                                _give_more(dy[n, oh, ow], winners[n, oh, ow], ih * W + iw, pixel)
                            else:
                                _give(dy[n, oh, ow], winners[n, oh, ow], ih * W + iw, pixel)
                            asked = True
            if not asked:
                for c in range(C):
                    pixel[c] = 0


@light_kernel
def _backward_few(dy, winners, dx):
    """The same for few channels: dx[n, winner, c] += dy.  dy, winners (N, P, C), dx (N, H·W, C)."""
    N, P, C = dy.shape
    for n in prange(N):
        for i in range(dx.shape[1]):
            for c in range(C):
                dx[n, i, c] = 0
        for p in range(P):
            for c in range(C):
                if winners[n, p, c] >= 0:
                    dx[n, winners[n, p, c], c] += dy[n, p, c]


@lru_cache(maxsize=1024)
def _windows(size, outputs, window, stride, before, dilation):
    """(window, size): the window that has place i of an axis as its k-th element, -1 where none has."""
    start = numpy.arange(size) + before - dilation * numpy.arange(window)[:, None]
    return numpy.where((start % stride == 0) & (0 <= start) & (start < outputs * stride), start // stride, -1)


def max_pool2d(x, pool_size, strides, padding, dilation, ceil_mode):
    """y = max over the window; winners = ih·W + iw of the first maximum.

    x (N, H, W, C) -> y (N, OH, OW, C), winners int32 (N, OH, OW, C). Padding never wins; NaN wins over all numbers.
    A window of nothing but padding gives -inf and winner -1.
    """
    [x], back = in_one_order(x)                  # which axis is the images' and which the channels' does not matter
    N, H, W, C = x.shape
    OH = output_size(H, pool_size[0], strides[0], padding[0], dilation[0], ceil_mode)
    OW = output_size(W, pool_size[1], strides[1], padding[1], dilation[1], ceil_mode)
    y, winners = memory.empty((N, OH, OW, C)), memory.empty((N, OH, OW, C), INT32)
    run = _forward if C >= MANY else _forward_few
    run(x, pool_size, strides, (padding[0][0], padding[1][0]), dilation, y, winners)
    return back(y), back(winners)


def max_pool2d_backward(dy, winners, x_shape, pool_size, strides, padding, dilation):
    """dx = Σ dy over the windows that the element has won."""
    if is_chwn(winners, INT32):
        return swapped(_backward_of(as_chwn(dy), swapped(winners), x_shape, pool_size, strides, padding, dilation))
    return _backward_of(behaved(dy), behaved(winners, INT32), x_shape, pool_size, strides, padding, dilation)


def _backward_of(dy, winners, x_shape, pool_size, strides, padding, dilation):
    """The same, whichever axes of dy and winners are the first and the last.  -> dx in their order"""
    N, _, _, C = dy.shape
    H, W = x_shape[1:3]
    dx = memory.empty((N, H, W, C))
    if C < MANY:
        _backward_few(dy.reshape(N, -1, C), winners.reshape(N, -1, C), dx.reshape(N, H * W, C))
        return dx
    rows, columns = (_windows(x_shape[1 + axis], dy.shape[1 + axis], pool_size[axis], strides[axis], padding[axis][0],
                              dilation[axis]) for axis in range(2))
    _backward(dy, winners, rows, columns, dx)
    return dx
