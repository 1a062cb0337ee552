"""The gradient of a bias (the forward passes of dense and conv add it themselves)."""
import numpy
from numba import prange

from . import memory, threads
from .column_sums import long_rows
from .compile import behaved, kernel

BLOCK = 64                                       # long rows that are summed in float32 before float64 takes over


@kernel
def _sums(x, rows, blocks, totals):
    """totals[part] = Σ of the long rows of each part; x flat, blocks (parts, lanes) is scratch."""
    parts, lanes = totals.shape
    for part in prange(parts):
        total, block = totals[part], blocks[part]
        last = (part + 1) * rows // parts
        for j in range(lanes):
            total[j] = 0
        for first in range(part * rows // parts, last, BLOCK):
            for j in range(lanes):
                block[j] = 0
            for row in range(first, min(first + BLOCK, last)):
                values = x[row * lanes:(row + 1) * lanes]        # the last long row may be a short one
                for j in range(values.size):
                    block[j] += values[j]
            for j in range(lanes):
                total[j] += block[j]


def bias_backward(dy):
    """y = ... + b, so db = Σ dy over every axis but the last.  dy (..., C) -> db (C,)."""
    dy = behaved(dy)
    C = dy.shape[-1]
    rows, lanes = long_rows(dy.size, C)
    parts = threads.chunks(rows, BLOCK)
    totals = memory.empty((parts, lanes), numpy.float64)
    _sums(dy.reshape(-1), rows, memory.empty((parts, lanes)), totals)
    # (parts, m, C) -> (C,), always in the same order
    return totals.reshape(parts, lanes // C, C).sum(axis=(0, 1)).astype(numpy.float32)
