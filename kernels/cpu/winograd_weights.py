"""dw of Winograd's convolution: dw = Gᵀ [Σ_tiles (Bᵀ x B) ⊙ (A dy Aᵀ)] G, with the saving of the forward pass.

The derivative of y = Aᵀ [Σ_c (G w Gᵀ) ⊙ (Bᵀ x B)] A in w, factor by factor from the outside. For each of the (m + 2)² places
the sum over tiles is a product (C, tiles) @ (tiles, F). A task has some of the tiles to itself, or all of them for some
columns where the transformed dw is large; the tasks' sums are added in a fixed order.
"""
import numpy
from numba import prange

from . import memory, threads
from .column_sums import add_parts
from .compile import helper, kernel
from .gather import zeros_for
from .tile import DEEP, FEW_DEEP, LANES, SPAN, columns_tile, few_columns_tile
from .winograd import plan, transform_images
from .winograd_tiles import transforms

_, _, _, _gradient4, _weights4 = transforms(4)
_, _, _, _gradient2, _weights2 = transforms(2)
LARGE = 1024 * 1024                              # floats of a transformed dw that are not worth a copy for each task


@helper
def _transform_gradients(W, stride, columns, column, dy, first, count, m, size, tiles, zeros):
    """W[place, tile] = A dy Aᵀ for the columns of dy (N, OH, OW, F) from `column` on; W's rows hold whole panels."""
    OH, OW, F = size
    n = m + 2
    sources, targets = numpy.empty(m * m, numpy.int64), numpy.empty(n * n, numpy.int64)
    dy_at, W_at, zeros_at = dy.ctypes.data, W.ctypes.data, zeros.ctypes.data
    for t in range(count):
        image, rest = (first + t) // (tiles[0] * tiles[1]), (first + t) % (tiles[0] * tiles[1])
        top, left = rest // tiles[1] * m, rest % tiles[1] * m
        for i in range(m):
            for j in range(m):
                inside = top + i < OH and left + j < OW
                at = dy_at + 4 * (((image * OH + top + i) * OW + left + j) * F + column)
                sources[i * m + j] = at if inside else zeros_at
        for place in range(n * n):
            targets[place] = W_at + 4 * (place * stride + t * columns)
        for f in range(0, min(columns, F - column), LANES):
            if m == 4:
                _gradient4(sources.ctypes.data, f, targets.ctypes.data, f)
            else:
                _gradient2(sources.ctypes.data, f, targets.ctypes.data, f)


@kernel
def _sum(x, dy, totals, m, margin, zeros, in_size, out_size, tiles, at_once, splits, scratch):
    """totals[part, place, c, f] = Σ_tiles V W, f in whole panels."""
    C = in_size[2]
    parts, places, _, width = totals.shape
    panels, total = width // SPAN, x.size // (in_size[0] * in_size[1] * C) * tiles[0] * tiles[1]
    for task in prange(parts * splits):
        part, split = task // splits, task % splits
        p0, p1 = panels * split // splits, panels * (split + 1) // splits
        columns = (p1 - p0) * SPAN
        V_stride, W_stride = at_once * C + LANES, at_once * columns + LANES
        V, W = scratch[task, :places * V_stride], scratch[task, places * V_stride:]
        for i in range(places * W_stride):       # columns behind the last of dy stay 0
            W[i] = 0
        for place in range(places):
            for c in range(C):
                for f in range(p0 * SPAN, p1 * SPAN):
                    totals[part, place, c, f] = 0
        end = total * (part + 1) // parts
        for first in range(total * part // parts, end, at_once):
            count = min(at_once, end - first)
            transform_images(V, V_stride, x, first, count, m, margin, in_size, tiles, zeros)
            _transform_gradients(W, W_stride, columns, p0 * SPAN, dy, first, count, m, out_size, tiles, zeros)
            for place in range(places):
                for panel in range(p0, p1):
                    at = W.ctypes.data + 4 * (place * W_stride + (panel - p0) * SPAN)
                    out = totals.ctypes.data + 4 * ((part * places + place) * C * width + panel * SPAN)
                    _add_panel(count, V.ctypes.data + 4 * place * V_stride, C, at, columns, out, width)


@helper
def _add_panel(count, V, C, W, columns, out, width):
    """out (C, SPAN) += Vᵀ W of `count` tiles; C is a multiple of FEW_DEEP."""
    whole = C // DEEP * DEEP
    for c in range(0, whole, DEEP):
        columns_tile(count, V + 4 * c, C, W, columns, out + 4 * c * width, width)
    for c in range(whole, C, FEW_DEEP):
        few_columns_tile(count, V + 4 * c, C, W, columns, out + 4 * c * width, width)


@kernel
def _finish(total, m, dw):
    """dw (9, C, F) = Gᵀ total G of total (places, C, whole panels)."""
    _, C, F = dw.shape
    places, _, width = total.shape
    for c in prange(C):
        sources, targets = numpy.empty(places, numpy.int64), numpy.empty(9, numpy.int64)
        for place in range(places):
            sources[place] = total.ctypes.data + 4 * (place * C + c) * width
        for tap in range(9):
            targets[tap] = dw.ctypes.data + 4 * (tap * C + c) * F
        for f in range(0, F, LANES):
            if m == 4:
                _weights4(sources.ctypes.data, f, targets.ctypes.data, f)
            else:
                _weights2(sources.ctypes.data, f, targets.ctypes.data, f)


def backward_weights(x, dy, m, margin):
    """dw (9, C, F) from x (N, H, W, C) and dy (N, OH, OW, F); margin: rows above and columns left of x, zeros."""
    N, OH, OW, F = dy.shape
    C, places = x.shape[3], (m + 2) ** 2
    tiles, panels, workers = (-(-OH // m), -(-OW // m)), -(-F // SPAN), threads.threads()
    total = N * tiles[0] * tiles[1]
    parts, splits = (1, workers) if places * C * F > LARGE and panels >= workers else (min(workers, total), 1)
    at_once = min(plan(total, C, F, m, workers)[0], -(-total // parts))
    columns = -(-panels // splits) * SPAN
    scratch = memory.empty((parts * splits, places * (at_once * (C + columns) + 2 * LANES)))
    totals = memory.empty((parts, places, C, panels * SPAN))
    _sum(x.reshape(-1), dy.reshape(-1), totals, m, margin, zeros_for(C + SPAN), x.shape[1:], (OH, OW, F), tiles, at_once,
         splits, scratch)
    if parts > 1:
        added = memory.empty(totals.shape[1:])
        add_parts(totals, added)
        totals = added[None]
    dw = memory.empty((9, C, F))
    _finish(totals[0], m, dw)
    return dw
