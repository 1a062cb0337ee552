"""Winograd's convolution for 3x3 filters without strides: F(4x4, 3x3), a fourth of the multiplications, and F(2x2, 3x3).

    y = Aᵀ [Σ_c (G w G ᵀ) ⊙ (Bᵀ x B)] A      for each tile of m x m outputs, from (m + 2)² inputs

For each of the (m + 2)² places of a tile, the sum over channels is a product (tiles, C) @ (C, F) (`winograd_products.py`).
Few channels: a task takes some tiles of images, few enough that their transforms stay in the L2 cache, through all three
steps. Many channels: the transformed filters are what is large, and reading them is what takes time, so all threads work on
the same tiles, step by step, each on some of the places, whose filters it alone reads, once for all these tiles. Channels
have to be whole vectors. Lavin & Gray 2016.

x and y are transformed by exact small numbers, but sums of larger numbers cancel: the error is some five times that of the
direct sum, 1.5e-6 instead of 3e-7; and a NaN or an infinity reaches all of its tile, not only the windows that see it.
"""
import math
from functools import lru_cache

import numpy
from numba import prange
from numpy import float32

from . import memory, threads
from .compile import behaved, helper, kernel
from .gather import zeros_for
from .recording import each_time
from .tile import LANES, ROWS, WIDTH
from .winograd_products import DEPTH, in_panels, multiply
from .winograd_tiles import transforms

_image4, _filter4, _output4, _, _ = transforms(4)
_image2, _filter2, _output2, _, _ = transforms(2)
TILES = 1512                                     # transformed numbers of a channel for a thread's own cache: 42 tiles of 36
FEWEST = 24                                      # tiles of a task
LARGE = 4 * 1024 * 1024                          # floats of a transformed filter, 16 MB: with few tiles, reading it is the work


def whole_rows(tiles):
    """Rows of a transform: as many as whole register tiles have."""
    return -(-tiles // ROWS) * ROWS


def place_stride(rows, channels):
    """Floats from one place of a transform to the next: a vector more than it takes, or places a power of two apart would
    share few sets of the cache."""
    return rows * channels + LANES


@helper
def _filter_stride(C, panels):
    """Floats from one place of U to the next."""
    return panels * C * WIDTH + LANES


@kernel
def _filters(w, m, U, cuts):
    """U[place][panel, c, j] of w (9, C, F), F in panels of WIDTH."""
    _, C, F = w.shape
    places, panels = (m + 2) * (m + 2), (F + WIDTH - 1) // WIDTH
    stride = _filter_stride(C, panels)
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
def transform_images(V, stride, rows, x, first, start, end, m, margin, size, tiles, zeros):
    """V[place, t] = Bᵀ x B for the tiles t from `start` to `end` of those from `first` on of x (N, H, W, C), in panels of
    DEPTH channels; size (H, W, C), tiles (a column, a row)."""
    H, W, C = size
    n = m + 2
    sources, targets = numpy.empty(n * n, numpy.int64), numpy.empty(n * n, numpy.int64)
    x_at, zeros_at = x.ctypes.data, zeros.ctypes.data
    for place in range(n * n):
        targets[place] = V.ctypes.data + 4 * place * stride
    for task in range((C + DEPTH - 1) // DEPTH * (end - start)):
        panel, t = task // (end - start), start + task % (end - start)
        image, rest = (first + t) // (tiles[0] * tiles[1]), (first + t) % (tiles[0] * tiles[1])
        top, left = rest // tiles[1] * m - margin[0], rest % tiles[1] * m - margin[1]
        for i in range(n):
            for j in range(n):
                inside = 0 <= top + i < H and 0 <= left + j < W
                sources[i * n + j] = x_at + 4 * ((image * H + top + i) * W + left + j) * C if inside else zeros_at
        for c in range(panel * DEPTH, min(C, (panel + 1) * DEPTH), LANES):
            at = in_panels(DEPTH, rows, C, t, c)
            if m == 4:
                _image4(sources.ctypes.data, c, targets.ctypes.data, at)
            else:
                _image2(sources.ctypes.data, c, targets.ctypes.data, at)


@helper
def _outputs(M, stride, rows, bias, init, has_init, y, first, start, end, m, size, tiles, floor):
    """The tiles of y (N, H, W, F) from first + start to first + end = Aᵀ M A + bias (+ init), M in panels of WIDTH."""
    H, W, F = size
    n = m + 2
    sources, targets, inits = numpy.empty(n * n, numpy.int64), numpy.empty(m * m, numpy.int64), numpy.empty(m * m, numpy.int64)
    nowhere = numpy.zeros(2 * F, numpy.float32)  # zeros to begin with, and where clipped outputs go
    y_at, init_at, bias_at = y.ctypes.data, init.ctypes.data, bias.ctypes.data
    for place in range(n * n):
        sources[place] = M.ctypes.data + 4 * place * stride
    for task in range((F + WIDTH - 1) // WIDTH * (end - start)):
        panel, t = task // (end - start), start + task % (end - start)
        image, rest = (first + t) // (tiles[0] * tiles[1]), (first + t) % (tiles[0] * tiles[1])
        top, left = rest // tiles[1] * m, rest % tiles[1] * m
        for i in range(m):
            for j in range(m):
                inside = top + i < H and left + j < W
                at = 4 * ((image * H + top + i) * W + left + j) * F
                targets[i * m + j] = y_at + at if inside else nowhere.ctypes.data + 4 * F
                inits[i * m + j] = init_at + at if inside and has_init else nowhere.ctypes.data
        for f in range(panel * WIDTH, min(F, (panel + 1) * WIDTH), LANES):
            at = (f // WIDTH * rows + t) * WIDTH + f % WIDTH
            if m == 4:
                _output4(sources.ctypes.data, at, bias_at, inits.ctypes.data, targets.ctypes.data, f, floor)
            else:
                _output2(sources.ctypes.data, at, bias_at, inits.ctypes.data, targets.ctypes.data, f, floor)
    return nowhere[0]                            # keeps it alive until here


@kernel
def _convolve(x, U, bias, init, has_init, y, m, margin, floor, zeros, in_size, out_size, tiles, at_once, rows, strides,
              scratch):
    """All steps for `at_once` tiles after the other; scratch: a thread's V and M, strides: theirs from place to place."""
    C, F = in_size[2], out_size[2]
    panels, places = (F + WIDTH - 1) // WIDTH, (m + 2) * (m + 2)
    total = x.size // (in_size[0] * in_size[1] * C) * tiles[0] * tiles[1]
    parts, blocks = scratch.shape[0], (total + at_once - 1) // at_once
    (V_stride, M_stride), U_stride = strides, _filter_stride(C, panels)
    for part in prange(parts):
        V, M = scratch[part, :places * V_stride], scratch[part, places * V_stride:]
        for block in range(part * blocks // parts, (part + 1) * blocks // parts):
            first = block * at_once
            count = min(at_once, total - first)
            transform_images(V, V_stride, rows, x, first, 0, count, m, margin, in_size, tiles, zeros)
            for place in range(places):
                multiply(V.ctypes.data + 4 * place * V_stride, C, count, rows, U.ctypes.data + 4 * place * U_stride, 0, panels,
                         M.ctypes.data + 4 * place * M_stride)
            _outputs(M, M_stride, rows, bias, init, has_init, y, first, 0, count, m, out_size, tiles, float32(floor))


@kernel
def transform_block(x, V, stride, rows, first, count, m, margin, in_size, tiles, zeros, parts):
    """V of `count` tiles, by all threads."""
    for part in prange(parts):
        transform_images(V, stride, rows, x, first, count * part // parts, count * (part + 1) // parts, m, margin, in_size,
                         tiles, zeros)


@kernel
def _multiply_block(V, V_stride, rows, C, count, U, panels, M, M_stride, places, cuts):
    """M of all places, by all threads: each takes some places or some of their columns, and reads that part of U once."""
    U_stride = _filter_stride(C, panels)
    for task in prange(places * cuts):
        place, cut = task // cuts, task % cuts
        multiply(V.ctypes.data + 4 * place * V_stride, C, count, rows, U.ctypes.data + 4 * place * U_stride,
                 panels * cut // cuts, panels * (cut + 1) // cuts, M.ctypes.data + 4 * place * M_stride)


@kernel
def _output_block(M, stride, rows, bias, init, has_init, y, first, count, m, out_size, tiles, floor, parts):
    for part in prange(parts):
        _outputs(M, stride, rows, bias, init, has_init, y, first, count * part // parts, count * (part + 1) // parts, m,
                 out_size, tiles, float32(floor))


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
def plan(total, C, F, m, workers, large):
    """(tiles at once, whether all threads share them): filters of more than `large` floats are read once for all threads;
    else a thread works on few enough tiles that their transforms stay in its own cache."""
    places = (m + 2) ** 2
    shared = places * C * F > large
    if shared:
        blocks = -(-total // ((C + F) // 3))
    else:
        at_once = max(TILES // places, (C + F) // 10)            # many where there is much of the filters to read
        blocks = min(-(-total // (at_once * workers)) * workers, max(1, total // FEWEST))
    return -(-total // blocks), shared


def filters(w, m):
    """U = G w Gᵀ of w (3, 3, C, F), as panels of columns."""
    _, _, C, F = w.shape
    U = memory.empty((m + 2) ** 2 * (-(-F // WIDTH) * C * WIDTH + LANES))
    if F % WIDTH:
        each_time(lambda: U.fill(0))
    _filters(w.reshape(9, C, F), m, U, min(C, threads.threads()))
    return U


def convolve(x, U, bias, init, y, m, margin, relu=False):
    """y = x * w + bias (+ init), not below 0 if relu. U of `filters`; margin: rows above and columns left of x, zeros."""
    N, OH, OW, F = y.shape
    C, places, workers = x.shape[3], (m + 2) ** 2, threads.threads()
    tiles, panels = (-(-OH // m), -(-OW // m)), -(-F // WIDTH)
    total = N * tiles[0] * tiles[1]
    at_once, shared = plan(total, C, F, m, workers, LARGE if total <= (C + F) // 4 else math.inf)
    rows = whole_rows(at_once)
    V_stride, M_stride = place_stride(rows, C), place_stride(rows, panels * WIDTH)
    epilogue = bias, (y if init is None else behaved(init)).reshape(-1), int(init is not None), y.reshape(-1)
    x_size, y_size, floor, zeros = x.shape[1:], (OH, OW, F), 0.0 if relu else -numpy.inf, zeros_for(C + WIDTH)
    x = x.reshape(-1)
    if not shared:
        scratch = memory.empty((min(workers, -(-total // at_once)), places * (V_stride + M_stride)))
        _convolve(x, U, *epilogue, m, margin, floor, zeros, x_size, y_size, tiles, at_once, rows, (V_stride, M_stride),
                  scratch)
        return y
    V, M = memory.empty(places * V_stride), memory.empty(places * M_stride)
    for first in range(0, total, at_once):
        count = min(at_once, total - first)
        transform_block(x, V, V_stride, rows, first, count, m, margin, x_size, tiles, zeros, workers)
        _multiply_block(V, V_stride, rows, C, count, U, panels, M, M_stride, places, min(panels, -(-2 * workers // places)))
        _output_block(M, M_stride, rows, *epilogue, first, count, m, y_size, tiles, floor, workers)
    return y
