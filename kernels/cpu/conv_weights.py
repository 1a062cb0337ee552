"""dw of a convolution: dw[tap] = Σ_pixels x[pixel moved by tap]ᵀ dy[pixel], for each tap a product (C, pixels) @ (pixels, F).

A task takes some of the images' rows, block by block. Of a block, dy is copied into panels of SPAN columns, and for each
tap x into pieces of DEEP channels, pixel after pixel: a panel stays in the L1 cache while the pieces pass by. The tasks'
own sums are added in a fixed order; a large dw of small maps has one sum only, of which each task has some taps' panels.
"""
import numpy
from numba import prange
from numpy import float32

from . import memory, threads
from .column_sums import add_parts
from .compile import helper, kernel
from .tile import DEEP, FEW_DEEP, SPAN, columns_tile, copy_panel_row, copy_piece_row, few_columns_tile

PIXELS = 400                                     # of a block: a panel of them is 18 KB
CACHED = 384 * 1024                              # floats of x and dy in a block: 1 MB


@helper
def _places(places, tap_row, tap_column, first, sizes, source):
    """places[pixel] = where tap reads x for the pixels of the block, dy's rows from `first` on; -1 outside the image."""
    QH, QW = sizes
    H, W, C, down, right = source
    for line in range(places.size // QW):
        image, h = (first + line) // QH, (first + line) % QH * down + tap_row
        for j in range(QW):
            w = j * right + tap_column
            places[line * QW + j] = ((image * H + h) * W + w) * C if 0 <= h < H and 0 <= w < W else -1


@helper
def _copy_panels(panels, dy, start, pixels, F, FG, first, last):
    """panels[panel][pixel, j] = dy[pixel, panel·SPAN + j] for panels first <= . < last of a group, 0 behind its columns."""
    source, target = dy.ctypes.data + 4 * start, panels.ctypes.data
    whole = FG // SPAN
    for pixel in range(pixels):
        for panel in range(first, min(last, whole)):
            copy_panel_row(source + 4 * (pixel * F + panel * SPAN), target + 4 * (panel * pixels + pixel) * SPAN)
    if last > whole:
        for pixel in range(pixels):
            for j in range(SPAN):
                inside = j < FG - whole * SPAN
                panels[(whole * pixels + pixel) * SPAN + j] = dy[start + pixel * F + whole * SPAN + j] if inside else float32(0)


@helper
def _copy_pieces(pieces, x, places, first, depth):
    """pieces[piece][pixel, i] = x at the pixel's place, channel first + piece·DEEP + i; 0 outside the image. Behind the last
    channel stands anything: no tile writes its sums."""
    source, target = x.ctypes.data + 4 * first, pieces.ctypes.data
    pixels, whole = places.size, depth // DEEP
    for pixel in range(pixels):
        if places[pixel] < 0:
            for piece in range((depth + DEEP - 1) // DEEP):
                for i in range(DEEP):
                    pieces[(piece * pixels + pixel) * DEEP + i] = 0
        else:
            broken = (depth + DEEP - 1) // DEEP
            if places[pixel] + first + broken * DEEP > x.size:
                broken = whole
                for i in range(depth - whole * DEEP):
                    pieces[(whole * pixels + pixel) * DEEP + i] = x[places[pixel] + first + whole * DEEP + i]
            for piece in range(broken):
                copy_piece_row(source + 4 * (places[pixel] + piece * DEEP), target + 4 * (piece * pixels + pixel) * DEEP)


@helper
def _comes_later(later, dy, dy_bytes, x, x_bytes, pairs):
    """later = (address, bytes, address, bytes, done, step) of what the next block will copy: of dy, of x, how much of both
    is fetched, and how much of it in each of so many pairs of a tile's steps, a cache line or less."""
    later[0], later[1], later[2], later[3], later[4] = dy, dy_bytes, x, x_bytes, 0
    later[5] = min(64, (dy_bytes + x_bytes) // pairs + 1)


@helper
def _next_of(later, pixels):
    """(address, step) of what a tile over so many pixels is to fetch."""
    done = later[4]
    later[4] += pixels // 2 * later[5]
    return later[0] + done if done < later[1] else later[2] + done - later[1], later[5]


@helper
def _add_product(pieces, panels, panel, pixels, depth, out, out_at, F, columns, adds, edge, later):
    """out (depth, columns) = all pieces times one panel [+ out if adds]. later: as _comes_later has it."""
    b = panels.ctypes.data + 4 * panel * pixels * SPAN
    for first in range(0, depth, DEEP):
        a, left, at = pieces.ctypes.data + 4 * first * pixels, depth - first, out_at + first * F
        ask, step = _next_of(later, pixels)
        if left >= DEEP and columns == SPAN:
            columns_tile(pixels, a, DEEP, b, SPAN, out.ctypes.data + 4 * at, F, adds, ask, step)
            continue
        if left > 2 * FEW_DEEP:
            columns_tile(pixels, a, DEEP, b, SPAN, edge.ctypes.data, SPAN, 0, ask, step)
        else:
            for i in range(0, left, FEW_DEEP):
                few_columns_tile(pixels, a + 4 * i, DEEP, b, SPAN, edge.ctypes.data + 4 * i * SPAN, SPAN, 0, ask, step)
        for k in range(min(DEEP, left)):
            for j in range(columns):
                out[at + k * F + j] = edge[k * SPAN + j] + (out[at + k * F + j] if adds else float32(0))


@kernel
def _weights(x, dy, tap_rows, tap_columns, sizes, source, depth, groups, lines, splits, panels, pieces, totals):
    """totals[part] (taps, depth, F): each task sums part of the lines, dy's image rows, for some of the taps' panels."""
    N, QH, QW = sizes
    H, W, C, down, _ = source
    parts, _, _, F = totals.shape
    FG, taps = F // groups, tap_rows.size
    of_a_tap = (FG + SPAN - 1) // SPAN
    flat, size = totals.reshape(totals.size), taps * depth * F
    for task in prange(parts * splits):
        part, split = task // splits, task % splits
        low, high = split * taps * of_a_tap // splits, (split + 1) * taps * of_a_tap // splits
        edge, places = numpy.empty(DEEP * SPAN, numpy.float32), numpy.empty(lines * QW, numpy.int64)
        later = numpy.empty(6, numpy.int64)
        begin, end = N * QH * part // parts, N * QH * (part + 1) // parts
        for first in range(begin, end, lines):
            pixels = min(lines, end - first) * QW
            follower, tiles = first + lines, -(-depth // DEEP) * groups * (high - low)
            _comes_later(later, dy.ctypes.data + 4 * follower * QW * F, 4 * pixels * F,
                         x.ctypes.data + 4 * (follower // QH * H + follower % QH * down) * W * C,
                         4 * pixels // QW * down * W * C, max(1, tiles * (pixels // 2)))
            for group in range(groups):
                one_tap = (high - 1) // of_a_tap == low // of_a_tap
                _copy_panels(panels[task], dy, first * QW * F + group * FG, pixels, F, FG, low % of_a_tap if one_tap else 0,
                             (high - 1) % of_a_tap + 1 if one_tap else of_a_tap)
                for tap in range(low // of_a_tap, (high + of_a_tap - 1) // of_a_tap):
                    _places(places[:pixels], tap_rows[tap], tap_columns[tap], first, (QH, QW), source)
                    _copy_pieces(pieces[task], x, places[:pixels], group * depth, depth)
                    at = part * size + tap * depth * F + group * FG
                    for panel in range(max(0, low - tap * of_a_tap), min(of_a_tap, high - tap * of_a_tap)):
                        _add_product(pieces[task], panels[task], panel, pixels, depth, flat, at + panel * SPAN, F,
                                     min(SPAN, FG - panel * SPAN), int(first > begin), edge, later)


def gather_weights(x, dy, taps, sizes, source, depth, groups=1):
    """dw (taps, depth, F) = Σ x[n, i·down + rows[t], j·right + columns[t]]ᵀ dy[n, i, j]; arguments as in `gather`."""
    N, QH, QW = sizes
    F, C = dy.shape[-1], source[2]
    lines = max(1, min(PIXELS // QW, CACHED // ((C + F) * QW)))
    if not dy.size:
        return memory.zeros((len(taps[0]), depth, F))
    dw = memory.empty((len(taps[0]), depth, F))
    workers, pixels = threads.threads(), N * QH * QW
    # One sum: the tasks copy one tap of x again, and of several taps all of dy. Else each writes a dw, and all are read.
    copied = pixels * (C + F * (len(taps[0]) > 1))
    if workers * dw.size > (workers - 1) * copied and -(-F // groups // SPAN) * len(taps[0]) >= workers:
        parts, splits = 1, workers
    else:
        parts, splits = min(workers, N * QH), 1
    totals = dw[None] if parts == 1 else memory.empty((parts, *dw.shape))
    panels = memory.empty((parts * splits, -(-F // groups // SPAN) * SPAN * lines * QW))
    pieces = memory.empty((parts * splits, -(-depth // DEEP) * DEEP * lines * QW))
    _weights(x.reshape(-1), dy.reshape(-1), *taps, sizes, source, depth, groups, lines, splits, panels, pieces, totals)
    if parts > 1:
        add_parts(totals, dw)
    return dw
