"""Convolution as matrix products whose second factor is read in place: no im2col (`windows.py`, `gemm.py`).

What makes it fast: pixels, not channels, lie along memory, so that vectors are full also for LeNet's 1, 6 and 16
channels, where libraries that pad channels to a vector leave most lanes idle; and blocks of output rows are small
enough for the L2 cache.
"""
from math import prod

from numba import prange
from numpy import float32

from ..shapes import output_size
from . import memory, threads
from .column_sums import add_parts
from .compile import behaved, kernel
from .gemm import add_dots, add_product
from .windows import (fill, load_pixels, load_planes, plane_shape, row_starts, run_starts, store_pixels,
                      store_planes)

BLOCK = 64 * 1024                                # floats worked on at a time: 256 KB
SHORTEST_RUN = 128                               # pixels in a block: less makes short innermost loops


@kernel
def _forward(x, w, bias, y, strides, origin, groups, rows, starts, planes, runs):
    """planes (parts, CG, .., PH, PW), runs (parts, FG, pixels): each thread's scratch for `rows` output rows."""
    N, OH, OW, F = y.shape
    PW, pixels = planes.shape[5], runs.shape[2]
    FG, K = F // groups, starts.size
    flat_w, flat_planes, flat_runs = w.reshape(w.size), planes.reshape(planes.size), runs.reshape(runs.size)
    blocks = (OH + rows - 1) // rows
    tasks, parts = N * groups * blocks, planes.shape[0]
    for part in prange(parts):
        own_planes, own_runs = part * (planes.size // parts), part * (runs.size // parts)
        for task in range(part * tasks // parts, (part + 1) * tasks // parts):
            n, g, first = task // (groups * blocks), task // blocks % groups, task % blocks * rows
            count = min(rows, OH - first)
            fill(flat_planes, own_planes, planes.size // parts, float32(0))
            load_planes(x[n], g * planes.shape[1], first * strides[0] - origin[0], -origin[1], strides, planes[part])
            for f in range(FG):
                fill(flat_runs, own_runs + f * pixels, pixels, bias[g * FG + f])
            # (FG, P) += (FG, K) @ (K, P); wᵀ[f, k] is w[k·F + f]
            add_product(flat_w, g * FG, 1, F, flat_planes, starts, own_planes, flat_runs, own_runs, pixels,
                        FG, K, (count - 1) * PW + OW)
            store_pixels(runs[part, :FG], g * FG, first, count, PW, y[n])


@kernel
def _backward_data(dy, w, dx, strides, origin, groups, rows, starts, run_rows, planes, runs):
    """For planes.shape[1] channels at a time of one image, so that all windows over a pixel are one thread's."""
    N, OH, OW, F = dy.shape
    KH, KW, CG, _ = w.shape
    PW, width = planes.shape[5], planes.shape[1]
    FG = F // groups
    flat_w, flat_planes, flat_runs = w.reshape(w.size), planes.reshape(planes.size), runs.reshape(runs.size)
    cuts = (CG + width - 1) // width
    tasks, parts = N * groups * cuts, planes.shape[0]
    plane = planes.size // (parts * width)
    for part in prange(parts):
        own_planes, own_runs = part * width * plane, part * (runs.size // parts)
        fill(flat_runs, own_runs, runs.size // parts, float32(0))                 # what is no pixel stays 0
        for task in range(part * tasks // parts, (part + 1) * tasks // parts):
            n, g, c = task // (groups * cuts), task // cuts % groups, task % cuts * width
            C = min(width, CG - c)
            fill(flat_planes, own_planes, width * plane, float32(0))
            for first in range(0, OH, rows):
                count = min(rows, OH - first)
                load_pixels(dy[n], g * FG, first, count, PW, runs[part])
                for tap in range(KH * KW):
                    # (C, P) += (C, FG) @ (FG, P), added where this window element lies in the planes
                    add_product(flat_w, (tap * CG + c) * F + g * FG, F, 1, flat_runs, run_rows, own_runs,
                                flat_planes, own_planes + starts[tap * width] + first * PW, plane,
                                C, FG, (count - 1) * PW + OW)
            store_planes(planes[part, :C], g * CG + c, -origin[0], -origin[1], strides, dx[n])


@kernel
def _backward_weights(dy, x, strides, origin, groups, rows, starts, planes, runs, totals):
    """totals[part] (K, F) = each thread's own sum, so that no two write one element, in an order that is fixed."""
    N, OH, OW, F = dy.shape
    PW, pixels = planes.shape[5], runs.shape[2]
    FG, K = F // groups, starts.size
    flat_planes, flat_runs = planes.reshape(planes.size), runs.reshape(runs.size)
    flat_totals = totals.reshape(totals.size)
    blocks = (OH + rows - 1) // rows
    tasks, parts = N * groups * blocks, planes.shape[0]
    for part in prange(parts):
        own_planes, own_runs, own_total = part * (planes.size // parts), part * FG * pixels, part * K * F
        fill(flat_totals, own_total, K * F, float32(0))
        fill(flat_runs, own_runs, FG * pixels, float32(0))                        # what is no pixel stays 0
        for task in range(part * tasks // parts, (part + 1) * tasks // parts):
            n, g, first = task // (groups * blocks), task // blocks % groups, task % blocks * rows
            count = min(rows, OH - first)
            fill(flat_planes, own_planes, planes.size // parts, float32(0))
            load_planes(x[n], g * planes.shape[1], first * strides[0] - origin[0], -origin[1], strides, planes[part])
            load_pixels(dy[n], g * FG, first, count, PW, runs[part])
            # (K, FG) += (K, P) @ (FG, P)ᵀ
            add_dots(flat_planes, starts, own_planes, 0, flat_runs, own_runs, pixels, 0, flat_totals, own_total + g * FG,
                     F, K, FG, (count - 1) * PW + OW, 1)


def _block_rows(images, OH, OW, floats):
    """Output rows a block, of `floats` floats a pixel: what the cache holds, but not so few pixels that the innermost
    loops are short, and not so many rows that a thread has no block."""
    cached = max(BLOCK // max(1, floats * OW), -(-SHORTEST_RUN // max(1, OW)))
    shared = -(-OH * images // threads.threads())
    return max(1, min(OH, cached, shared))


def _run_length(pixels):
    """At least so many floats, and an odd number of cache lines, for rows a power of two apart share few sets."""
    return (-(-pixels // 16) | 1) * 16


def conv2d(x, w, b, strides, padding, dilation, groups):
    """y[n,oh,ow,f] = b[f] + Σ_{kh,kw,c} x[n, oh·SH - top + kh·DH, ow·SW - left + kw·DW, c] w[kh,kw,c,f].

    x (N, H, W, C), w (KH, KW, C/groups, F), b (F,) or None -> y (N, OH, OW, F); x is 0 outside the image.
    """
    x, w = behaved(x), behaved(w)
    KH, KW, CG, F = w.shape
    N, H, W, _ = x.shape
    bias = memory.zeros(F) if b is None else behaved(b)
    OH = output_size(H, KH, strides[0], padding[0], dilation[0])
    OW = output_size(W, KW, strides[1], padding[1], dilation[1])
    y = memory.empty((N, OH, OW, F))
    if y.size:
        rows, starts, planes, runs = _scratch(y.shape, w.shape, strides, dilation, groups, F // groups)
        _forward(x, w, bias, y, strides, (padding[0][0], padding[1][0]), groups, rows, starts, planes, runs)
    return y


def _scratch(y_shape, w_shape, strides, dilation, groups, FG):
    """Rows a block, where the window elements' runs start, each thread's planes and its FG runs."""
    N, OH, OW, _ = y_shape
    KH, KW, CG, _ = w_shape
    rows = _block_rows(N * groups, OH, OW, CG * strides[0] * strides[1] + FG)
    shape = plane_shape(CG, (KH, KW), strides, dilation, rows, OW)
    parts = threads.chunks(N * groups * -(-OH // rows))
    runs = memory.empty((parts, FG, _run_length(rows * shape[4])))
    return rows, run_starts(shape, (KH, KW), strides, dilation), memory.empty((parts, *shape)), runs


def conv2d_backward_data(dy, w, x_shape, strides, padding, dilation, groups):
    """y = columns @ w, so dcolumns = dy @ wᵀ, and dx sums the copies of each pixel.

    dy (N, OH, OW, F) -> dx (N, H, W, C).
    """
    dy, w = behaved(dy), behaved(w)
    N, OH, OW, F = dy.shape
    KH, KW, CG, _ = w.shape
    FG, origin = F // groups, (padding[0][0], padding[1][0])
    # Few enough channels that their planes stay in the cache, and that each thread has some.
    image = plane_shape(1, (KH, KW), strides, dilation, OH, OW)
    cuts = max(1, -(-threads.threads() // max(1, N * groups)))
    width = max(1, min(-(-CG // cuts), 4 * BLOCK // prod(image)))
    shape = (width, *image[1:])
    rows = _block_rows(threads.threads(), OH, OW, FG)
    parts = threads.chunks(N * groups * -(-CG // width))
    runs = memory.empty((parts, FG, _run_length(rows * shape[4])))
    dx = memory.zeros(x_shape)                   # for the pixels that no window sees
    _backward_data(dy, w, dx, strides, origin, groups, rows, run_starts(shape, (KH, KW), strides, dilation),
                   row_starts(FG, runs.shape[2]), memory.empty((parts, *shape)), runs)
    return dx


def conv2d_backward_weights(dy, x, w_shape, strides, padding, dilation, groups):
    """y = columns @ w, so dw = columnsᵀ @ dy: each weight sums over all windows of the batch.

    dy (N, OH, OW, F), x (N, H, W, C) -> dw (KH, KW, C/groups, F).
    """
    dy, x = behaved(dy), behaved(x)
    rows, starts, planes, runs = _scratch(dy.shape, w_shape, strides, dilation, groups, dy.shape[3] // groups)
    totals, dw = memory.empty((len(planes), *w_shape)), memory.empty(w_shape)
    _backward_weights(dy, x, strides, (padding[0][0], padding[1][0]), groups, rows, starts, planes, runs, totals)
    add_parts(totals, dw)
    return dw
