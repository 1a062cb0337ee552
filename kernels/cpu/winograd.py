"""Winograd's convolution for 3x3 filters without strides: F(4x4, 3x3), a fourth of the multiplications, and F(2x2, 3x3).

    y = Aᵀ [Σ_c (G w G ᵀ) ⊙ (Bᵀ x B)] A      for each tile of m x m outputs, from (m + 2)² inputs

For each of the (m + 2)² places of a tile, the sum over channels is a product (tiles, C) @ (C, F): the same register tile as
everywhere. A task takes some tiles of images, few enough that their transforms stay in the L2 cache, through all three steps,
so that nothing transformed goes to memory. Channels have to be whole vectors. Lavin & Gray 2016.

x and y are transformed by exact small numbers, but sums of larger numbers cancel: the error is some five times that of the
direct sum, 1.5e-6 instead of 3e-7; and a NaN or an infinity reaches all of its tile, not only the windows that see it.
"""
from functools import lru_cache

import numpy
from numba import prange
from numpy import float32

from . import memory, threads
from .compile import behaved, helper, kernel
from .gather import multiply_rows, zeros_for
from .tile import LANES, ROWS, WIDTH
from .winograd_tiles import transforms

_image4, _filter4, _output4, _, _ = transforms(4)
_image2, _filter2, _output2, _, _ = transforms(2)
SCRATCH = 384 * 1024                             # floats of a task's transforms: 1.5 MB
FEWEST = 24                                      # tiles of a task


@helper
def _place_stride(C, panels):
    """Floats from one place of U to the next: some more than it takes, for the same reason as in _convolve."""
    return panels * C * WIDTH + LANES


@kernel
def _filters(w, m, U, cuts):
    """U[place][panel, c, j] of w (9, C, F), F in panels of WIDTH."""
    _, C, F = w.shape
    places, panels = (m + 2) * (m + 2), (F + WIDTH - 1) // WIDTH
    stride = _place_stride(C, panels)
    w_at, U_at = w.ctypes.data, U.ctypes.data
    for task in prange(panels * cuts):
        panel, cut = task // cuts, task % cuts
        sources, targets = numpy.empty(9, numpy.int64), numpy.empty(places, numpy.int64)
        for c in range(C * cut // cuts, C * (cut + 1) // cuts):
            for tap in range(9):
                sources[tap] = w_at + 4 * ((tap * C + c) * F + panel * WIDTH)
            for place in range(places):
                targets[place] = U_at + 4 * (place * stride + (panel * C + c) * WIDTH)
            for f in range(0, min(WIDTH, F - panel * WIDTH), LANES):
                if m == 4:
                    _filter4(sources.ctypes.data, f, targets.ctypes.data, f)
                else:
                    _filter2(sources.ctypes.data, f, targets.ctypes.data, f)


@helper
def transform_images(V, stride, x, first, count, m, margin, size, tiles, zeros):
    """V[place, tile] = Bᵀ x B of the tiles from `first` on of x (N, H, W, C); size (H, W, C), tiles (a column, a row)."""
    H, W, C = size
    n = m + 2
    sources, targets = numpy.empty(n * n, numpy.int64), numpy.empty(n * n, numpy.int64)
    x_at, V_at, zeros_at = x.ctypes.data, V.ctypes.data, zeros.ctypes.data
    for t in range(count):
        image, rest = (first + t) // (tiles[0] * tiles[1]), (first + t) % (tiles[0] * tiles[1])
        top, left = rest // tiles[1] * m - margin[0], rest % tiles[1] * m - margin[1]
        for i in range(n):
            for j in range(n):
                inside = 0 <= top + i < H and 0 <= left + j < W
                sources[i * n + j] = x_at + 4 * ((image * H + top + i) * W + left + j) * C if inside else zeros_at
                targets[i * n + j] = V_at + 4 * ((i * n + j) * stride + t * C)
        for c in range(0, C, LANES):
            if m == 4:
                _image4(sources.ctypes.data, c, targets.ctypes.data, c)
            else:
                _image2(sources.ctypes.data, c, targets.ctypes.data, c)


@helper
def _outputs(M, stride, columns, column, bias, init, has_init, y, first, count, m, size, tiles, floor):
    """The tiles of y (N, H, W, F) from `column` on, as many columns as M has, = Aᵀ M A + bias (+ init)."""
    H, W, F = size
    n = m + 2
    sources, targets, inits = numpy.empty(n * n, numpy.int64), numpy.empty(m * m, numpy.int64), numpy.empty(m * m, numpy.int64)
    nowhere = numpy.zeros(2 * F, numpy.float32)  # zeros to begin with, and where clipped outputs go
    M_at, y_at, init_at, bias_at = M.ctypes.data, y.ctypes.data, init.ctypes.data, bias.ctypes.data
    for t in range(count):
        image, rest = (first + t) // (tiles[0] * tiles[1]), (first + t) % (tiles[0] * tiles[1])
        top, left = rest // tiles[1] * m, rest % tiles[1] * m
        for place in range(n * n):
            sources[place] = M_at + 4 * (place * stride + t * columns)
        for i in range(m):
            for j in range(m):
                inside = top + i < H and left + j < W
                at = 4 * (((image * H + top + i) * W + left + j) * F + column)
                targets[i * m + j] = y_at + at if inside else nowhere.ctypes.data + 4 * F
                inits[i * m + j] = init_at + at if inside and has_init else nowhere.ctypes.data
        for f in range(0, min(columns, F - column), LANES):
            if m == 4:
                _output4(sources.ctypes.data, f, bias_at + 4 * column, inits.ctypes.data, targets.ctypes.data, f, floor)
            else:
                _output2(sources.ctypes.data, f, bias_at + 4 * column, inits.ctypes.data, targets.ctypes.data, f, floor)
    return nowhere[0]                            # keeps it alive until here


@kernel
def _convolve(x, U, bias, init, has_init, y, m, margin, floor, zeros, in_size, out_size, tiles, at_once, splits,
              scratch):
    N, C, F = x.size // (in_size[0] * in_size[1] * in_size[2]), in_size[2], out_size[2]
    panels, places = (F + WIDTH - 1) // WIDTH, (m + 2) * (m + 2)
    total = N * tiles[0] * tiles[1]
    blocks = (total + at_once - 1) // at_once
    U_at, U_stride = U.ctypes.data, _place_stride(C, panels)
    tasks, parts = blocks * splits, scratch.shape[0]
    for part in prange(parts):
        for task in range(part * tasks // parts, (part + 1) * tasks // parts):
            first, split = task // splits * at_once, task % splits
            count = min(at_once, total - first)
            p0, p1 = panels * split // splits, panels * (split + 1) // splits
            columns = (p1 - p0) * WIDTH
            # A vector more than needed: places a power of two apart would share few cache sets.
            V_stride, M_stride = at_once * C + LANES, at_once * columns + LANES
            V, M = scratch[part, :places * V_stride], scratch[part, places * V_stride:]
            transform_images(V, V_stride, x, first, count, m, margin, in_size, tiles, zeros)
            for place in range(places):
                multiply_rows(V, place * V_stride, C, count, U_at + 4 * (place * U_stride + p0 * C * WIDTH), p1 - p0, M,
                              place * M_stride, columns, zeros)
            _outputs(M, M_stride, columns, p0 * WIDTH, bias, init, has_init, y, first, count, m, out_size, tiles,
                     float32(floor))


def tile_size(x_shape, y_shape, strides, dilation, groups, window, transformed=False):
    """4 or 2 where that many outputs a side are worth it, else 0: by the number of multiplications, each of which costs the
    more the fewer channels share a transform, and a filter's transform as much as some 100 tiles. Measured on one core with
    AVX-512: 2.2 times the direct speed with 64 or 128 channels and many tiles, 2.8 times with 512."""
    N, OH, OW, F = y_shape
    C = x_shape[3]
    if window != (3, 3) or strides != (1, 1) or dilation != (1, 1) or groups > 1 or C % LANES or F % LANES:
        return 0
    best, cost = 0, 9 * N * OH * OW
    for m in (4, 2):
        tiles, places = N * -(-OH // m) * -(-OW // m), (m + 2) ** 2
        own = places * (tiles * (1.15 + 24 / C + 24 / F) + (24 if transformed else 100))
        if own < cost:
            best, cost = m, own
    return best


@lru_cache(maxsize=1024)
def plan(total, C, F, m, workers):
    """(tiles of a task, splits of the columns)."""
    places = (m + 2) ** 2
    at_once = max(FEWEST, SCRATCH // (places * (C + F)), (C + F) // 10)      # many where there is much U to read
    at_once = -(-at_once // ROWS) * ROWS
    splits, panels = 1, -(-F // WIDTH)
    if total < workers * at_once:                # few tiles: share out the columns, so that none reads all of U, or them
        if panels >= workers and (total < workers * FEWEST or total <= at_once):
            at_once, splits = min(at_once, total), workers
        else:
            at_once = -(-total // workers)
    else:
        rounds = -(-total // (workers * at_once))
        at_once = -(-total // (workers * rounds))
    return at_once, splits


def filters(w, m):
    """U = G w Gᵀ of w (3, 3, C, F), as panels of columns."""
    _, _, C, F = w.shape
    U = memory.empty((m + 2) ** 2 * (-(-F // WIDTH) * C * WIDTH + LANES))
    if F % WIDTH:
        U.fill(0)
    _filters(w.reshape(9, C, F), m, U, min(C, threads.threads()))
    return U


def convolve(x, U, bias, init, y, m, margin, relu=False):
    """y = x * w + bias (+ init), not below 0 if relu. U of `filters`; margin: rows above and columns left of x, zeros."""
    N, OH, OW, F = y.shape
    tiles = -(-OH // m), -(-OW // m)
    at_once, splits = plan(N * tiles[0] * tiles[1], x.shape[3], F, m, threads.threads())
    tasks = -(-N * tiles[0] * tiles[1] // at_once) * splits
    columns = -(-(-(-F // WIDTH)) // splits) * WIDTH
    scratch = memory.empty((min(threads.threads(), tasks), (m + 2) ** 2 * (at_once * (x.shape[3] + columns) + 2 * LANES)))
    zeros = zeros_for(x.shape[3] + WIDTH)
    _convolve(x.reshape(-1), U, bias, (y if init is None else behaved(init)).reshape(-1), int(init is not None),
              y.reshape(-1), m, margin, 0.0 if relu else -numpy.inf, zeros, x.shape[1:], (OH, OW, F), tiles, at_once, splits,
              scratch)
    return y
