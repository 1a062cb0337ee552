"""How a convolution reads its windows without im2col: planes, in which a window element is a shift.

The channels of some image rows are parted into planes, zero padding included. With PW the width of a plane, the
pixels that element (kh, kw) of all windows sees are the plane from place kh·PW + kw on: one contiguous run, and so is
the run of results, (rows - 1)·PW + OW long, of which OW places a row are pixels and the rest means nothing. With
strides SH, SW each channel has several planes, or phases: every SH-th row and SW-th column, and the same holds.

NHWC has the channels along memory; here the pixels are, so that vectors are full whatever the number of channels.
Indices are unsigned: a signed one may count from the end, and the test of that stops LLVM's vectoriser.
"""
from functools import lru_cache

import numpy
from numpy import uint64

from .compile import helper


@lru_cache(maxsize=1024)
def plane_shape(C, window, strides, dilation, rows, OW):
    """(C, phases of rows, phases of columns, PH, PW) for `rows` output rows of OW pixels."""
    reach = [dilation[axis] * (window[axis] - 1) for axis in range(2)]
    phases = [min(strides[axis], reach[axis] + 1) for axis in range(2)]          # no window sees the others
    return C, *phases, rows + reach[0] // strides[0], OW + reach[1] // strides[1]


@lru_cache(maxsize=1024)
def run_starts(shape, window, strides, dilation):
    """(KH·KW·C,): where the run of each window element starts in planes of this shape, in the order of the weights."""
    C, row_phases, column_phases, PH, PW = shape
    kh = numpy.arange(window[0], dtype="int64")[:, None, None] * dilation[0]
    kw = numpy.arange(window[1], dtype="int64")[:, None] * dilation[1]
    plane = (numpy.arange(C, dtype="int64") * row_phases + kh % strides[0]) * column_phases + kw % strides[1]
    return (plane * PH * PW + kh // strides[0] * PW + kw // strides[1]).reshape(-1)      # (KH, KW, C)


@lru_cache(maxsize=1024)
def row_starts(rows, length):
    """(rows,): where rows of this length start in a flat array."""
    return numpy.arange(rows, dtype="int64") * length


@helper
def fill(flat, start, length, value):
    """flat[start : start + length] = value."""
    start = uint64(start)
    for i in range(uint64(length)):
        flat[start + i] = value


@helper
def _inside(start, stride, count, size):
    """first, last: the i < count with 0 <= start + i·stride < size are those with first <= i < last."""
    first = min(count, max(0, -(start // stride)))
    return first, max(first, min(count, (size - 1 - start) // stride + 1))


@helper
def load_planes(image, channel, row, column, strides, planes):
    """planes[c, a, b, i, j] = image[row + i·SH + a, column + j·SW + b, channel + c]; what lies outside stays as it is.

    image (H, W, C).
    """
    H, W, _ = image.shape
    C, row_phases, column_phases, PH, PW = planes.shape
    for a in range(row_phases):
        i_first, i_last = _inside(row + a, strides[0], PH, H)
        for b in range(column_phases):
            j_first, j_last = _inside(column + b, strides[1], PW, W)
            first, step = uint64(column + b + j_first * strides[1]), uint64(strides[1])
            for c in range(C):
                for i in range(i_first, i_last):
                    line, pixels = planes[c, a, b, i], image[row + a + i * strides[0]]
                    for j in range(uint64(j_last - j_first)):
                        line[uint64(j_first) + j] = pixels[first + j * step, uint64(channel + c)]


@helper
def store_planes(planes, channel, row, column, strides, image):
    """The reverse: image[row + i·SH + a, column + j·SW + b, channel + c] = planes[c, a, b, i, j] where inside."""
    H, W, _ = image.shape
    C, row_phases, column_phases, PH, PW = planes.shape
    for a in range(row_phases):
        i_first, i_last = _inside(row + a, strides[0], PH, H)
        for b in range(column_phases):
            j_first, j_last = _inside(column + b, strides[1], PW, W)
            first, step = uint64(column + b + j_first * strides[1]), uint64(strides[1])
            for c in range(C):
                for i in range(i_first, i_last):
                    line, pixels = planes[c, a, b, i], image[row + a + i * strides[0]]
                    for j in range(uint64(j_last - j_first)):
                        pixels[first + j * step, uint64(channel + c)] = line[uint64(j_first) + j]


@helper
def load_pixels(image, channel, row, rows, PW, runs):
    """runs[f, r·PW + w] = image[row + r, w, channel + f] for r < rows; other places stay.  image (H, W, F)."""
    W = uint64(image.shape[1])
    for f in range(runs.shape[0]):
        run = runs[f]
        for r in range(rows):
            pixels, start = image[row + r], uint64(r * PW)
            for w in range(W):
                run[start + w] = pixels[w, uint64(channel + f)]


@helper
def store_pixels(runs, channel, row, rows, PW, image):
    """image[row + r, w, channel + f] = runs[f, r·PW + w] for r < rows: the reverse of load_pixels."""
    W = uint64(image.shape[1])
    for f in range(runs.shape[0]):
        run = runs[f]
        for r in range(rows):
            pixels, start = image[row + r], uint64(r * PW)
            for w in range(W):
                pixels[w, uint64(channel + f)] = run[start + w]
