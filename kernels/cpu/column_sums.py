"""The sums over all axes but the last that batch norm needs: in float64, one pass, whatever C is.

The rows are taken several at a time, as one long row of `lanes` = C·m elements with m sums per channel, so that the
innermost loop is long enough to vectorise also for the few channels of a first layer.
"""
import numpy
from numba import prange

from . import memory, threads
from .compile import kernel

LANES = 128


def long_rows(size, C):
    """How many long rows `size` elements of C channels make (the last may be short), and how long they are."""
    lanes = C * max(1, LANES // C)
    return -(-size // lanes), lanes


@kernel
def _sums(x, y, rows, totals):
    """totals[part, 0] = Σ x and totals[part, 1] = Σ x y, over the long rows of each part; x, y flat."""
    parts, _, lanes = totals.shape
    for part in prange(parts):
        total, product = totals[part, 0], totals[part, 1]
        for j in range(lanes):
            total[j] = 0
            product[j] = 0
        for row in range(part * rows // parts, (part + 1) * rows // parts):
            values, others = x[row * lanes:(row + 1) * lanes], y[row * lanes:(row + 1) * lanes]
            for j in range(values.size):
                value = numpy.float64(values[j])
                total[j] += value
                product[j] += value * numpy.float64(others[j])


def column_sums(x, y):
    """Σ x and Σ x y over all axes but the last.  x, y (..., C) -> float64 (C,), (C,)."""
    C = x.shape[-1]
    rows, lanes = long_rows(x.size, C)
    parts = threads.chunks(rows, 16)
    totals = memory.empty((parts, 2, lanes), numpy.float64)
    _sums(x.reshape(-1), y.reshape(-1), rows, totals)
    # (parts, 2, m, C) -> (2, C), always in the same order
    return totals.reshape(parts, 2, lanes // C, C).sum(axis=(0, 2))


@kernel
def _add_parts(parts, total):
    for i in prange(total.size):
        total[i] = parts[0, i]
        for part in range(1, parts.shape[0]):
            total[i] += parts[part, i]


def add_parts(parts, total):
    """total = parts[0] + parts[1] + ..., in this order: the threads' own sums become one.  (parts, ...) -> (...)."""
    _add_parts(parts.reshape(len(parts), -1), total.reshape(-1))
