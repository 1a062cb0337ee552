"""Padding an image: with zeros, or with its own pixels. Tables say which pixel stands at each place."""
from functools import lru_cache

import numpy
from numba import prange

from . import memory, threads
from .compile import behaved, light_kernel


@light_kernel
def _forward(x, rows, columns, y):
    """y[n, i, j] = x[n, rows[i], columns[j]], 0 where either is -1."""
    N, OH, OW, C = y.shape
    for task in prange(N * OH):
        n, i = task // OH, task % OH
        for j in range(OW):
            if rows[i] < 0 or columns[j] < 0:
                for c in range(C):
                    y[n, i, j, c] = 0
            else:
                for c in range(C):
                    y[n, i, j, c] = x[n, rows[i], columns[j], c]


@light_kernel
def _backward(dy, rows, columns, cuts, dx):
    """dx[n, rows[i], columns[j]] += dy[n, i, j]; each task has some channels of one image to itself."""
    N, OH, OW, C = dy.shape
    for task in prange(N * cuts):
        n, first, last = task // cuts, task % cuts * C // cuts, (task % cuts + 1) * C // cuts
        for i in range(dx.shape[1]):
            for j in range(dx.shape[2]):
                for c in range(first, last):
                    dx[n, i, j, c] = 0
        for i in range(OH):
            for j in range(OW):
                if rows[i] >= 0 and columns[j] >= 0:
                    for c in range(first, last):
                        dx[n, rows[i], columns[j], c] += dy[n, i, j, c]


@lru_cache(maxsize=1024)
def _sources(size, before, after, mode):
    """Which of an axis's `size` elements stands at each place of the padded axis; -1 for none."""
    place = numpy.arange(-before, size + after, dtype="int64")
    if mode == "zeros":
        return numpy.where((place >= 0) & (place < size), place, -1)
    if mode == "reflect":                        # c b | a b c d | c b: the edge is not repeated
        period = max(2 * (size - 1), 1)
        return numpy.minimum(place % period, period - place % period)
    if mode == "replicate":                      # a a | a b c d | d d
        return place.clip(0, size - 1)
    if mode == "circular":                       # c d | a b c d | a b
        return place % size
    raise ValueError(f"pad2d: mode must be zeros, reflect, replicate or circular, got {mode!r}")


def pad2d(x, padding, mode):
    """x (N, H, W, C) -> y (N, top + H + bottom, left + W + right, C); the modes are PyTorch's."""
    x = behaved(x)
    N, H, W, C = x.shape
    rows, columns = _sources(H, *padding[0], mode), _sources(W, *padding[1], mode)
    y = memory.empty((N, rows.size, columns.size, C))
    _forward(x, rows, columns, y)
    return y


def pad2d_backward(dy, padding, mode):
    """Each padding pixel is a copy, so its gradient is added to that of the pixel it copies; zeros have none."""
    dy = behaved(dy)
    N, OH, OW, C = dy.shape
    H, W = OH - sum(padding[0]), OW - sum(padding[1])
    dx = memory.empty((N, H, W, C))
    cuts = max(1, min(C // 16, -(-threads.threads() // max(1, N))))
    _backward(dy, _sources(H, *padding[0], mode), _sources(W, *padding[1], mode), cuts, dx)
    return dx
