"""dw of Winograd's convolution: dw = Gᵀ [Σ_tiles (Bᵀ x B) ⊙ (A dy Aᵀ)] G, with the saving of the forward pass.

The derivative of y = Aᵀ [Σ_c (G w Gᵀ) ⊙ (Bᵀ x B)] A in w, factor by factor from the outside. For each of the (m + 2)² places
the sum over tiles is a product (C, tiles) @ (tiles, F). A task has some of the tiles to itself, and the tasks' sums are
added in a fixed order; where the transformed dw is large and the tiles are few there is one sum only, of which each task has
some places.
"""
import math

import numpy
from numba import prange

from . import memory, threads
from .column_sums import add_parts
from .compile import helper, kernel
from .gather import zeros_for
from .recording import each_time
from .tile import LANES, SPAN, WIDTH
from .winograd import place_stride, plan, transform_block, transform_images, whole_rows
from .winograd_products import add_products, in_panels
from .winograd_tiles import transforms

_, _, _, _gradient4, _weights4 = transforms(4)
_, _, _, _gradient2, _weights2 = transforms(2)
LARGE = 1024 * 1024                              # floats of a transformed dw that are not worth a copy for each thread


@helper
def _whole_columns(F):
    """Columns of W, as many as the tiles of dw have."""
    return (F + SPAN - 1) // SPAN * SPAN


@helper
def _transform_gradients(W, stride, rows, dy, first, start, end, m, size, tiles, zeros):
    """W[place, t] = A dy Aᵀ for the tiles t from `start` to `end` of those from `first` on of dy (N, OH, OW, F), in panels of
    WIDTH columns."""
    OH, OW, F = size
    n, columns = m + 2, _whole_columns(F)
    sources, targets = numpy.empty(m * m, numpy.int64), numpy.empty(n * n, numpy.int64)
    dy_at, zeros_at = dy.ctypes.data, zeros.ctypes.data
    for place in range(n * n):
        targets[place] = W.ctypes.data + 4 * place * stride
    for task in range((F + WIDTH - 1) // WIDTH * (end - start)):
        panel, t = task // (end - start), start + task % (end - start)
        image, rest = (first + t) // (tiles[0] * tiles[1]), (first + t) % (tiles[0] * tiles[1])
        top, left = rest // tiles[1] * m, rest % tiles[1] * m
        for i in range(m):
            for j in range(m):
                inside = top + i < OH and left + j < OW
                sources[i * m + j] = dy_at + 4 * ((image * OH + top + i) * OW + left + j) * F if inside else zeros_at
        for f in range(panel * WIDTH, min(F, (panel + 1) * WIDTH), LANES):
            at = in_panels(WIDTH, rows, columns, t, f)
            if m == 4:
                _gradient4(sources.ctypes.data, f, targets.ctypes.data, at)
            else:
                _gradient2(sources.ctypes.data, f, targets.ctypes.data, at)


@kernel
def _sum(x, dy, totals, m, margin, zeros, in_size, out_size, tiles, at_once, rows, strides, scratch):
    """totals[part, place] = Σ_tiles V W (C, F) in panels of WIDTH columns, over some of the tiles each."""
    C, columns = in_size[2], _whole_columns(out_size[2])
    parts, places, _ = totals.shape
    total = x.size // (in_size[0] * in_size[1] * C) * tiles[0] * tiles[1]
    V_stride, W_stride = strides
    for part in prange(parts):
        V, W, sums = scratch[part, :places * V_stride], scratch[part, places * V_stride:], totals[part]
        for i in range(W.size):                  # columns behind the last of dy stay 0
            W[i] = 0
        begin, end = total * part // parts, total * (part + 1) // parts
        for first in range(begin, end, at_once):
            count = min(at_once, end - first)
            transform_images(V, V_stride, rows, x, first, 0, count, m, margin, in_size, tiles, zeros)
            _transform_gradients(W, W_stride, rows, dy, first, 0, count, m, out_size, tiles, zeros)
            for place in range(places):
                add_products(V.ctypes.data + 4 * place * V_stride, C, count, rows, W.ctypes.data + 4 * place * W_stride,
                             columns, sums[place].ctypes.data, first - begin)


@kernel
def _transform_gradient_block(dy, W, stride, rows, first, count, m, out_size, tiles, zeros, parts):
    """W of `count` tiles, by all threads."""
    for part in prange(parts):
        _transform_gradients(W, stride, rows, dy, first, count * part // parts, count * (part + 1) // parts, m, out_size, tiles,
                             zeros)


@kernel
def _add_block(V, V_stride, W, W_stride, rows, C, columns, count, adds, totals):
    """totals (places, C, F in panels) = Vᵀ W [+ totals if adds] of `count` tiles, by all threads: each takes some places."""
    for place in prange(totals.shape[0]):
        add_products(V.ctypes.data + 4 * place * V_stride, C, count, rows, W.ctypes.data + 4 * place * W_stride, columns,
                     totals[place].ctypes.data, adds)


@kernel
def _finish(totals, m, dw):
    """dw (9, C, F) = Gᵀ totals G of totals (places, C, F in panels)."""
    _, C, F = dw.shape
    places, columns, panels = totals.shape[0], _whole_columns(F), (F + WIDTH - 1) // WIDTH
    for task in prange(panels * C):
        panel, c = task // C, task % C
        sources, targets = numpy.empty(places, numpy.int64), numpy.empty(9, numpy.int64)
        for place in range(places):
            sources[place] = totals[place].ctypes.data
        for tap in range(9):
            targets[tap] = dw.ctypes.data + 4 * (tap * C + c) * F
        for f in range(panel * WIDTH, min(F, (panel + 1) * WIDTH), LANES):
            at = in_panels(WIDTH, C, columns, c, f)
            if m == 4:
                _weights4(sources.ctypes.data, at, targets.ctypes.data, f)
            else:
                _weights2(sources.ctypes.data, at, targets.ctypes.data, f)


def backward_weights(x, dy, m, margin):
    """dw (9, C, F) from x (N, H, W, C) and dy (N, OH, OW, F); margin: rows above and columns left of x, zeros."""
    N, OH, OW, F = dy.shape
    C, places, workers = x.shape[3], (m + 2) ** 2, threads.threads()
    tiles, columns = (-(-OH // m), -(-OW // m)), -(-F // SPAN) * SPAN
    total = N * tiles[0] * tiles[1]
    at_once, shared = plan(total, C, F, m, workers, LARGE if total <= C + F else math.inf)
    parts = 1 if shared else min(workers, total)
    at_once = min(at_once, -(-total // parts))
    rows = whole_rows(at_once)
    x_size, y_size, x, dy, zeros = x.shape[1:], (OH, OW, F), x.reshape(-1), dy.reshape(-1), zeros_for(C + SPAN)
    V_stride, W_stride = place_stride(rows, C), place_stride(rows, columns)
    totals = memory.empty((parts, places, C * columns))
    if shared:
        V, W = memory.empty(places * V_stride), memory.empty(places * W_stride)
        if F % SPAN:
            each_time(lambda: W.fill(0))
        for first in range(0, total, at_once):
            count = min(at_once, total - first)
            transform_block(x, V, V_stride, rows, first, count, m, margin, x_size, tiles, zeros, workers)
            _transform_gradient_block(dy, W, W_stride, rows, first, count, m, y_size, tiles, zeros, workers)
            _add_block(V, V_stride, W, W_stride, rows, C, columns, count, first, totals[0])
    else:
        scratch = memory.empty((parts, places * (V_stride + W_stride)))
        _sum(x, dy, totals, m, margin, zeros, x_size, y_size, tiles, at_once, rows, (V_stride, W_stride), scratch)
    if parts > 1:
        added = memory.empty(totals.shape[1:])
        add_parts(totals, added)
        totals = added[None]
    dw = memory.empty((9, C, F))
    _finish(totals[0], m, dw)
    return dw
