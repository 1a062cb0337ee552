"""The sums over all axes but the last that batch norm needs: two in one pass over memory, whatever C is.

The rows are taken several at a time, as one long row of `lanes` = C·m elements with m sums per channel, so that the
innermost loop is long enough to vectorise also for the few channels of a first layer. RUN long rows are summed in
float32 before float64 takes over: converting each element takes longer than reading it does. What float32 may not do is
cancel, so both sums are of distances from a value near the channel's mean. One thread of a Xeon reads 51 MB so at
7 GB/s, where a bare sum reads 9.
"""
import numpy
from numba import prange
from numpy import float32, uint64

from . import memory, threads
from .compile import exact_helper, helper, light_kernel
from .tile import fetch_to_write

LANES = 512
RUN = 32                                         # long rows that are summed in float32
AT_ONCE = 4                                      # of them at a time, so that the sums are read and written less often
AHEAD = 2                                        # long rows


def long_rows(size, C):
    """How many long rows `size` elements of C channels make (the last may be short), and how long they are."""
    lanes = C * max(1, LANES // C)
    return -(-size // lanes), lanes


def repeated(*constants):
    """Each (C,), repeated to the length of the long rows, in float32."""
    C = len(constants[0])
    times = long_rows(0, C)[1] // C
    return [numpy.tile(numpy.asarray(constant, "float32"), times) for constant in constants]


@exact_helper
def affine(x, mean, scale, shift):
    """(x - mean) scale + shift, rounded alike wherever it stands: what decides a ReLU's side is the same everywhere."""
    return (x - mean) * scale + shift


@helper
def fetch_ahead(y_at, row, lanes):
    """Asks for the lines of a row of y that is written soon, which writing waits for otherwise, where no cache holds y."""
    for byte in range(0, 4 * lanes, 64):
        fetch_to_write(y_at + 4 * (row + AHEAD) * lanes + byte)


@helper
def _clear(sums):
    for i in range(2):
        for j in range(sums.shape[1]):
            sums[i, j] = 0


@helper
def _add(run, total):
    for i in range(2):
        for j in range(total.shape[1]):
            total[i, j] += run[i, j]


@helper
def _add_moments(x, at, rows, lanes, near, total, square):
    """total += Σ (x - near), square += Σ (x - near)² over some long rows from place `at` of x on."""
    for j in range(uint64(lanes)):
        middle, sum_, sum_of_squares = near[j], float32(0), float32(0)
        for row in range(uint64(rows)):
            distance = x[at + row * lanes + j] - middle
            sum_ += distance
            sum_of_squares += distance * distance
        total[j] += sum_
        square[j] += sum_of_squares


@light_kernel
def _moments(x, near, rows, runs, totals):
    """totals[part] = Σ (x - near), Σ (x - near)² over the long rows of each part; x flat, runs is scratch."""
    parts, _, lanes = totals.shape
    for part in prange(parts):
        _clear(totals[part])
        total, square = runs[part, 0], runs[part, 1]
        start, last = part * rows // parts, (part + 1) * rows // parts
        whole = min(last, x.size // lanes)                       # the last long row may be a short one
        for first in range(start, last, RUN):
            _clear(runs[part])
            row, end = first, min(first + RUN, whole)
            while row + AT_ONCE <= end:
                _add_moments(x, uint64(row * lanes), AT_ONCE, uint64(lanes), near, total, square)
                row += AT_ONCE
            while row < min(first + RUN, last):                  # of which the very last may be a short one
                _add_moments(x, uint64(row * lanes), 1, min(lanes, x.size - row * lanes), near, total, square)
                row += 1
            _add(runs[part], totals[part])


@helper
def _add_gradients(dy, x, at, rows, lanes, mean, scale, shift, limit, total, product):
    """total += Σ g, product += Σ g (x - mean) over some long rows from place `at` on, g as in _gradients."""
    for j in range(uint64(lanes)):
        sum_, sum_of_products = float32(0), float32(0)
        for row in range(uint64(rows)):
            value = x[at + row * lanes + j]
            z = affine(value, mean[j], scale[j], shift[j])
            g = float32(0) if z <= limit else dy[at + row * lanes + j]
            sum_ += g
            sum_of_products += g * (value - mean[j])
        total[j] += sum_
        product[j] += sum_of_products


@light_kernel
def _gradients(dy, x, mean, scale, shift, limit, rows, runs, totals):
    """totals[part] = Σ g, Σ g (x - mean), where g is dy, or 0 where (x - mean) scale + shift is at most the limit."""
    parts, _, lanes = totals.shape
    limit = float32(limit)
    for part in prange(parts):
        _clear(totals[part])
        total, product = runs[part, 0], runs[part, 1]
        start, last = part * rows // parts, (part + 1) * rows // parts
        whole = min(last, x.size // lanes)
        for first in range(start, last, RUN):
            _clear(runs[part])
            row, end = first, min(first + RUN, whole)
            while row + AT_ONCE <= end:
                _add_gradients(dy, x, uint64(row * lanes), AT_ONCE, uint64(lanes), mean, scale, shift, limit, total, product)
                row += AT_ONCE
            while row < min(first + RUN, last):
                _add_gradients(dy, x, uint64(row * lanes), 1, min(lanes, x.size - row * lanes), mean, scale, shift, limit,
                               total, product)
                row += 1
            _add(runs[part], totals[part])


def moments(x):
    """Mean and biased variance over all axes but the last.  x (..., C) -> float64 (C,), (C,)."""
    C = x.shape[-1]
    M = max(1, x.size // C)
    pixels = x.reshape(-1, C)
    near = pixels[::-(-M // 8)].mean(axis=0)                     # of eight: one alone might lie far out
    total, square = _summed(_moments, x.size, C, x.reshape(-1), *repeated(near))
    distance = total / M
    # float32 distances from `near` are nearly the spread itself: the difference of these two loses a bit or two
    return near + distance, numpy.maximum(square / M - distance * distance, 0)


def gradient_sums(dy, x, mean, scale, shift, limit):
    """Σ g and Σ g (x - mean) over all axes but the last, g as in _gradients.  dy, x (..., C) -> float64 (C,), (C,)."""
    return _summed(_gradients, x.size, x.shape[-1], dy.reshape(-1), x.reshape(-1), *repeated(mean, scale, shift), limit)


def _summed(run, size, C, *arguments):
    """The two sums of a kernel, over `size` elements of C channels.  -> (2, C)"""
    rows, lanes = long_rows(size, C)
    parts = threads.chunks(rows, 16)
    totals = memory.empty((parts, 2, lanes), numpy.float64)
    run(*arguments, rows, memory.empty((parts, 2, lanes)), totals)
    # (parts, 2, m, C) -> (2, C), always in the same order
    return totals.reshape(parts, 2, lanes // C, C).sum(axis=(0, 2))


@light_kernel
def _add_parts(parts, total):
    for i in prange(total.size):
        total[i] = parts[0, i]
        for part in range(1, parts.shape[0]):
            total[i] += parts[part, i]


def add_parts(parts, total):
    """total = parts[0] + parts[1] + ..., in this order: the threads' own sums become one.  (parts, ...) -> (...)."""
    _add_parts(parts.reshape(len(parts), -1), total.reshape(-1))
