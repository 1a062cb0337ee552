"""dw of a convolution, in place: dw[tap] = Σ_pixels x[pixel moved by tap]ᵀ dy[pixel], for each tap a product.

Both factors have the channels along memory, and the tile takes ROWS channels of x against WIDTH of dy, pixel after pixel:
nothing is transposed. A task takes some images' rows (and some of the taps where dw is larger than what it is made of)
block by block; of a block, each panel of dy is copied together, so that it stays in the L1 cache for all taps and all
channels of x. The tasks' own sums are added in a fixed order.
"""
import numpy
from numba import prange

from . import memory, threads
from .column_sums import add_parts
from .compile import helper, kernel
from .tile import FEW_ROWS, ROWS, WIDTH, columns_tile, few_columns_tile

PIXELS = 384                                     # of a block: the length of a sum before it is added to dw
CACHED = 320 * 1024                              # floats of x and dy in a block: 1.25 MB


@helper
def _add_tile(runs, count, at, depth, a_step, panel, out, out_at, F, columns, edge):
    """dw rows `at` and on of a tap: += ROWS (or FEW_ROWS) channels of x times the panel."""
    runs_at = runs.ctypes.data
    rows = ROWS if depth - at > 2 * FEW_ROWS else FEW_ROWS
    first = min(at, depth - rows)                # the last tile begins earlier: nothing behind the row is read
    whole = columns == WIDTH and first == at
    if whole:
        target, row = out.ctypes.data + 4 * (out_at + first * F), F
    else:
        target, row = edge.ctypes.data, WIDTH
        for i in range(rows * WIDTH):
            edge[i] = 0
    if rows == ROWS:
        columns_tile(runs_at, count, first, a_step, 0, WIDTH, target, row)
    else:
        few_columns_tile(runs_at, count, first, a_step, 0, WIDTH, target, row)
    if not whole:
        for i in range(at - first, rows):
            for j in range(columns):
                out[out_at + (first + i) * F + j] += edge[i * WIDTH + j]
    return rows - (at - first)


@helper
def _runs(runs, x, panel, tap_row, tap_column, first, last, sizes, source):
    """For each image row of dy from first to last: where tap reads x, where dy stands in the panel, how many pixels; how
    many runs have any."""
    QH, QW = sizes
    H, W, C, down, right = source
    low = max(0, -(tap_column // right))         # the first j with j·right + tap_column >= 0
    high = min(QW, (W - 1 - tap_column) // right + 1)
    count = 0
    for line in range(first, last):
        image, i = line // QH, line % QH
        h = i * down + tap_row
        if 0 <= h < H and low < high:
            runs[3 * count] = x + 4 * ((image * H + h) * W + low * right + tap_column) * C
            runs[3 * count + 1] = panel + 4 * ((line - first) * QW + low) * WIDTH
            runs[3 * count + 2] = high - low
            count += 1
    return count


@kernel
def _weights(x, dy, tap_rows, tap_columns, sizes, source, depth, groups, lines, splits, totals):
    """totals[part] (taps, depth, F): each task sums part of the lines, the image rows of dy, for part of the taps."""
    N, QH, QW = sizes
    parts, _, _, F = totals.shape
    C, FG, taps = source[2], F // groups, tap_rows.size
    flat, size = totals.reshape(totals.size), taps * depth * F
    x_at = x.ctypes.data
    for task in prange(parts * splits):
        part, split = task // splits, task % splits
        first_tap, last_tap = split * taps // splits, (split + 1) * taps // splits
        for i in range(part * size + first_tap * depth * F, part * size + last_tap * depth * F):
            flat[i] = 0
        panel = numpy.empty(lines * QW * WIDTH, numpy.float32)
        edge, runs = numpy.empty(ROWS * WIDTH, numpy.float32), numpy.empty(3 * lines, numpy.int64)
        panel_at = panel.ctypes.data
        end = N * QH * (part + 1) // parts
        for first in range(N * QH * part // parts, end, lines):
            last = min(end, first + lines)
            for group in range(groups):
                for column in range(0, FG, WIDTH):
                    columns = min(WIDTH, FG - column)
                    start = first * QW * F + group * FG + column
                    for pixel in range((last - first) * QW):
                        for j in range(columns):
                            panel[pixel * WIDTH + j] = dy[start + pixel * F + j]
                        for j in range(columns, WIDTH):
                            panel[pixel * WIDTH + j] = 0
                    for tap in range(first_tap, last_tap):
                        count = _runs(runs, x_at + 4 * group * depth, panel_at, tap_rows[tap], tap_columns[tap], first,
                                      last, (QH, QW), source)
                        at = 0
                        while at < depth and count:
                            at += _add_tile(runs, count, at, depth, source[4] * C, panel, flat,
                                            part * size + tap * depth * F + group * FG + column, F, columns, edge)


def gather_weights(x, dy, taps, sizes, source, depth, groups=1):
    """dw (taps, depth, F) = Σ x[n, i·down + rows[t], j·right + columns[t]]ᵀ dy[n, i, j]; arguments as in `gather`.

    depth, the channels of a group, at least FEW_ROWS.
    """
    N, QH, QW = sizes
    F, C = dy.shape[-1], source[2]
    lines = max(1, min(PIXELS // QW, CACHED // ((C + F) * QW)))
    dw = memory.empty((len(taps[0]), depth, F))
    workers = threads.threads()
    if dw.size > dy.size + x.size and len(taps[0]) >= workers:
        parts, splits = 1, workers
    else:
        parts, splits = max(1, min(workers, N * QH)), 1
    totals = dw[None] if parts == 1 else memory.empty((parts, *dw.shape))
    _weights(x.reshape(-1), dy.reshape(-1), *taps, sizes, source, depth, groups, lines, splits, totals)
    if parts > 1:
        add_parts(totals, dw)
    return dw
