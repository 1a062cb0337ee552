"""A convolution as one product whose first factor is read in place: out[pixel] = Σ_tap x[pixel moved by tap] @ b[tap].

Forward it reads x and the weights, backward dy and the weights turned round (`conv.py`); a dense layer is the case of one
tap. No im2col: a table gives the address of each pixel's row for each tap, that of a row of zeros where the tap falls
outside, and `tile.py` reads the rows there.

Blocks of output pixels small enough for the L2 cache are the tasks; where there are few, as in the small maps of one
image, their columns are split too. Within one, a panel of b (WIDTH columns, some CHUNK rows) stays in the L1 cache while
the block's tiles pass by. What a cache has is multiplied at the tile's own speed, 0.87 of the ceiling, whatever the
distance of its rows; all else is fetched by the tile before, a few lines at a time. Sums are cut at CHUNK products,
because rounding grows with how many numbers a sum runs over.
"""
from functools import lru_cache

import numpy
from numba import prange
from numpy import float32

from . import memory, threads
from .compile import behaved, helper, kernel
from .recording import computed
from .tile import (FETCHES, FEW_ROWS, LANES, LONG, ROWS, WIDTH, fetching_rows_tile, few_rows_tile, half_rows_tile,
                   list_lines, long_rows_tile, narrow_rows_tile, rows_tile)

BLOCK = 32 * ROWS                                # output pixels of a task
CACHED = 192 * 1024                              # floats of x a block may read: 768 KB
CHUNK = 128                                      # rows of b at once: with WIDTH columns 32 KB
LINE = 16                                        # floats of a cache line
TURNED = 4 * LINE                                # of a row of w at once, whose rows lie in as many pages
Y_LINES = -(-WIDTH // LINE)                      # of a panel's columns in y
_zeros = numpy.zeros(4096, numpy.float32)        # what taps outside the image read


@helper
def _addresses(table, places, x, zeros, taps, first, count, height, grid, source, target):
    """table[tile, tap, row]: where each pixel of the block reads, tiles of `height` rows; places[pixel]: the offset in bytes
    of its row of y.

    tap_rows, tap_columns = taps; rows of the last tile behind the block repeat its last pixel."""
    _, QH, QW = grid
    H, W, C, down, right = source
    OH, OW, F, row_step, top, column_step, left = target
    rows, columns = taps
    image, rest = first // (QH * QW), first % (QH * QW)
    i, j = rest // QW, rest % QW
    for q in range(places.size):
        places[q] = 4 * ((image * OH + i * row_step + top) * OW + j * column_step + left) * F
        at = q // height * rows.size * height + q % height
        for tap in range(rows.size):
            h, w = i * down + rows[tap], j * right + columns[tap]
            inside = 0 <= h < H and 0 <= w < W
            table[at + tap * height] = x + 4 * ((image * H + h) * W + w) * C if inside else zeros
        if q < count - 1:
            j += 1
            if j == QW:
                i, j = i + 1, 0
                if i == QH:
                    image, i = image + 1, 0


@helper
def _tiles(table, all_taps, height, count, tap, taps, skip, depth, b, bias, inits, outs, floor, columns, is_first, is_new,
           lines):
    """All tiles of a block for one panel and one chunk of the sum, whose first tap is `tap` of the table's all_taps.

    Each fetches what the next one needs and no cache has: y and init in the first chunk of a sum (is_first), x for the
    first panel (is_new). lines: room for the addresses."""
    table_at, inits_at, outs_at, lines_at = table.ctypes.data, inits.ctypes.data, outs.ctypes.data, lines.ctypes.data
    tiles, size, pairs = (count + height - 1) // height, 4 * taps * depth * WIDTH, taps * (depth // 2)
    ask_step = min(64, size // (tiles * max(1, pairs)))
    for t in range(tiles):
        ask = b + size + t * pairs * ask_step    # what comes next of b, while this is in use
        left, at, row = min(ROWS, count - t * ROWS), table_at + 8 * (t * all_taps + tap) * height, 8 * t * height
        if height == LONG:
            long_rows_tile(at, taps, skip, depth, b, WIDTH, bias, inits_at + row, outs_at + row, floor, ask, ask_step,
                           lines_at)
        elif columns <= LANES:
            narrow_rows_tile(at, taps, skip, depth, b, WIDTH, bias, inits_at + row, outs_at + row, floor, ask, ask_step,
                             lines_at)
        elif columns <= 2 * LANES:
            half_rows_tile(at, taps, skip, depth, b, WIDTH, bias, inits_at + row, outs_at + row, floor, ask, ask_step,
                           lines_at)
        elif left > 2 * FEW_ROWS and count > ROWS + FEW_ROWS:
            if t + 1 == tiles or not is_first and not is_new:
                rows_tile(at, taps, skip, depth, b, WIDTH, bias, inits_at + row, outs_at + row, floor, ask, ask_step,
                          lines_at)
                continue
            follower = row + 8 * ROWS
            if is_first:
                list_lines(outs_at + follower, 0, Y_LINES, lines_at)
                list_lines(inits_at + follower, 0, Y_LINES, lines_at + 8 * ROWS * Y_LINES)
            if is_new and taps == 1:
                list_lines(at + 8 * all_taps * ROWS, 4 * skip, depth // LINE, lines_at + 16 * ROWS * Y_LINES)
            fetching_rows_tile(at, taps, skip, depth, b, WIDTH, bias, inits_at + row, outs_at + row, floor, ask, ask_step,
                               lines_at)
        else:
            for few in range(0, 8 * left, 8 * FEW_ROWS):
                few_rows_tile(at + few, taps, skip, depth, b, WIDTH, bias, inits_at + row + few, outs_at + row + few,
                              floor, ask, ask_step, lines_at)


@helper
def _shut(y, gate):
    """y = 0 where the gate is not above 0."""
    for j in range(y.size):
        y[j] = float32(0) if gate[j] <= float32(0) else y[j]


@kernel
def _gather(x, b, bias, init, has_init, y, gate, has_gate, tap_rows, tap_columns, zeros, floor, grid, source, target, depth,
            groups, block, splits):
    F, taps = target[2], tap_rows.size
    FG = F // groups
    panels = (FG + WIDTH - 1) // WIDTH
    pixels = grid[0] * grid[1] * grid[2]
    tasks = (pixels + block - 1) // block * groups * splits
    x_at, b_at, bias_at, zeros_at = x.ctypes.data, b.ctypes.data, bias.ctypes.data, zeros.ctypes.data
    y_at, init_at = y.ctypes.data, init.ctypes.data
    # Of depth rows a tap, either several taps are summed at once or parts of one.
    chunks = (depth + CHUNK - 1) // CHUNK
    taps_at_once, depth_at_once = max(1, CHUNK // depth), (depth + chunks - 1) // chunks
    height = LONG if FG <= LANES else ROWS
    for task in prange(tasks):
        first, group, split = task // (groups * splits) * block, task // splits % groups, task % splits
        count = min(block, pixels - first)
        rows = (count + height - 1) // height * height
        table, places = numpy.empty(taps * rows, numpy.int64), numpy.empty(rows, numpy.int64)
        inits, outs = numpy.empty(rows, numpy.int64), numpy.empty(rows, numpy.int64)
        # The rows of a panel that has not all its columns in y, and one for rows behind the block.
        edge = numpy.empty((rows + 1) * WIDTH, numpy.float32)
        edge_at = edge.ctypes.data
        lines = numpy.full(FETCHES * CHUNK // 2, zeros_at)
        _addresses(table, places, x_at + 4 * group * depth, zeros_at, (tap_rows, tap_columns), first, count, height, grid,
                   source, target)
        for panel in range(panels * split // splits, panels * (split + 1) // splits):
            column, columns = group * FG + panel * WIDTH, min(WIDTH, FG - panel * WIDTH)
            whole = columns == WIDTH
            for q in range(rows):
                outs[q] = y_at + places[q] + 4 * column
                inits[q] = init_at + places[q] + 4 * column if has_init else zeros_at
            for q in range(count, rows):
                outs[q] = edge_at + 4 * rows * WIDTH
            if not whole:
                for q in range(rows):
                    outs[q] = edge_at + 4 * q * WIDTH
                    if has_init:
                        for j in range(columns):
                            edge[q * WIDTH + j] = init[places[q] // 4 + column + j]
                        inits[q] = outs[q]
            for tap in range(0, taps, taps_at_once):
                for skip in range(0, depth, depth_at_once):
                    is_last = tap + taps_at_once >= taps and skip + depth_at_once >= depth
                    is_first = tap == 0 and skip == 0
                    at = (((group * panels + panel) * taps + tap) * depth + skip) * WIDTH
                    _tiles(table, taps, height, count, tap, min(taps_at_once, taps - tap), skip,
                           min(depth_at_once, depth - skip), b_at + 4 * at,
                           bias_at + 4 * (group * panels + panel) * WIDTH if is_first else zeros_at,
                           inits if is_first else outs, outs, float32(floor) if is_last else float32(-numpy.inf), columns,
                           is_first, panel == panels * split // splits, lines)
            if not whole:
                for q in range(count):
                    for j in range(columns):
                        y[places[q] // 4 + column + j] = edge[q * WIDTH + j]
            if has_gate:                         # while the panel's columns of y are in the cache
                for q in range(count):
                    at = places[q] // 4 + column
                    _shut(y[at:at + columns], gate[at:at + columns])


@kernel
def _pack(w, taps, groups, packed):
    """packed (groups, panels, taps, K, WIDTH) of w (KH·KW, K, columns of all groups); 0 behind the last column."""
    _, K, F = w.shape
    FG = F // groups
    panels, cuts = (FG + WIDTH - 1) // WIDTH, (K + 31) // 32
    for task in prange(groups * taps.size * cuts):
        group, tap, cut = task // (taps.size * cuts), task // cuts % taps.size, task % cuts
        weights = w[taps[tap]]
        for k in range(cut * 32, min(K, cut * 32 + 32)):
            for panel in range(panels):
                start = (((group * panels + panel) * taps.size + tap) * K + k) * WIDTH
                first = group * FG + panel * WIDTH
                valid = min(WIDTH, FG - panel * WIDTH)
                for j in range(valid):
                    packed[start + j] = weights[k, first + j]
                for j in range(valid, WIDTH):
                    packed[start + j] = 0


@kernel
def _turn(w, turned):
    """turned[KH·KW - 1 - tap, f, c] = w[tap, c, f], in squares that the cache holds."""
    taps, C, F = w.shape
    rows = (F + 15) // 16
    for task in prange(taps * rows):
        tap, row = task // rows, task % rows * 16
        for column in range(0, C, 16):
            for f in range(row, min(F, row + 16)):
                for c in range(column, min(C, column + 16)):
                    turned[taps - 1 - tap, f, c] = w[tap, c, f]


@kernel
def _pack_turned(w, taps, groups, packed):
    """packed (groups, panels of C, taps, F, WIDTH) of w (KH·KW, C, F of all groups); 0 behind the last channel."""
    _, CG, F = w.shape
    FG = F // groups
    panels, cuts = (CG + WIDTH - 1) // WIDTH, (FG + TURNED - 1) // TURNED
    for task in prange(groups * taps.size * cuts):
        group, tap, cut = task // (taps.size * cuts), task // cuts % taps.size, task % cuts * TURNED
        weights = w[taps[tap]]
        for panel in range(panels):
            valid = min(WIDTH, CG - panel * WIDTH)
            for f in range(cut, min(FG, cut + TURNED), LINE):
                start, filters = (((group * panels + panel) * taps.size + tap) * FG + f) * WIDTH, min(LINE, FG - f)
                for c in range(valid):
                    for i in range(filters):     # a cache line of w, read once
                        packed[start + i * WIDTH + c] = weights[panel * WIDTH + c, group * FG + f + i]
                for i in range(filters):
                    for c in range(valid, WIDTH):
                        packed[start + i * WIDTH + c] = 0


def turn(w):
    """The weights of backward-data, (KH, KW, F, C): w (KH, KW, C, F) turned by 180 degrees, channels and filters in each
    other's place."""
    KH, KW, C, F = w.shape
    turned = memory.empty((KH, KW, F, C))
    _turn(w.reshape(KH * KW, C, F), turned.reshape(KH * KW, F, C))
    return turned


def pack_turned(w, taps, groups=1):
    """pack(turn(w)) of the taps that have these numbers in w, which may be of several groups."""
    KH, KW, CG, F = w.shape
    packed = memory.empty(-(-CG // WIDTH) * len(taps) * F * WIDTH)
    _pack_turned(w.reshape(KH * KW, CG, F), taps, groups, packed)
    return packed


def pack(w, taps, groups=1):
    """The weights (KH, KW, K, columns) of the taps, numbers in KH·KW, as `gather` wants them."""
    KH, KW, K, F = w.shape
    packed = memory.empty(groups * -(-F // groups // WIDTH) * len(taps) * K * WIDTH)
    _pack(w.reshape(KH * KW, K, F), taps, groups, packed)
    return packed


def pack_bias(b, F, groups=1):
    """b (F,) or None, each group's columns filled up with zeros to whole panels."""
    FG = F // groups

    def make():
        packed = numpy.zeros((groups, -(-FG // WIDTH) * WIDTH), numpy.float32)
        if b is not None:
            packed[:, :FG] = b.reshape(groups, FG)
        return packed.reshape(-1)
    return computed(make)


@lru_cache(maxsize=1024)
def _plan(pixels, columns, depth, taps, groups, workers):
    """(pixels of a block, splits of the columns): blocks of one size, and as many tasks for each thread as for another."""
    most = max(BLOCK // 2, min(BLOCK, CACHED // (depth * min(taps, 4))))
    blocks, panels = -(-pixels // most), -(-columns // WIDTH)
    if blocks * groups < 2 * workers and panels >= workers:
        return -(-pixels // blocks), workers
    blocks = -(-blocks // workers) * workers if groups % workers else blocks
    return -(-pixels // blocks), 1


def zeros_for(length):
    """At least so many zeros."""
    return _zeros if length <= _zeros.size else memory.zeros(length)


def gather(x, b, bias, init, y, taps, grid, source, target, depth, groups=1, relu=False, gate=None):
    """y[n, i·row_step + top, j·column_step + left] = Σ_t x[n, i·down + rows[t], j·right + columns[t]] @ b[t] + bias
    (+ init, as y), for all (n, i, j) of the grid (N, QH, QW).

    x (N, H, W, C), source (H, W, C, down, right); y (N, OH, OW, F), target (OH, OW, F, row_step, top, column_step, left);
    taps (rows, columns), two int64 arrays; b and bias packed; relu: negative results are 0. init may be y. Where gate, as
    y, is not above 0 the result is 0.
    """
    return run(x, b, bias, init, y, prepared(taps, grid, source, target, depth, groups, relu), gate)


def prepared(taps, grid, source, target, depth, groups=1, relu=False):
    """What of a call of `gather` is known before its arrays are, for `run`."""
    block, splits = _plan(grid[0] * grid[1] * grid[2], target[2] // groups, depth, len(taps[0]), groups, threads.threads())
    return (*taps, zeros_for(depth + WIDTH), 0.0 if relu else -numpy.inf, grid, source, target, depth, groups, block, splits)


def run(x, b, bias, init, y, known, gate=None):
    """gather(x, b, bias, init, y, ...) where known = prepared(...)."""
    flat = y.reshape(-1)
    _gather(x.reshape(-1), b, bias, flat if init is None else behaved(init).reshape(-1), int(init is not None), flat,
            flat if gate is None else behaved(gate).reshape(-1), int(gate is not None), *known)
    return y
