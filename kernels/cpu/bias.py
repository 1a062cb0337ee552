"""The gradient of a bias, alone or behind a ReLU (the forward passes of dense and conv add it themselves)."""
import numpy
from numba import prange

from . import memory, threads
from .column_sums import long_rows
from .compile import behaved, light_kernel

BLOCK = 64                                       # long rows that are summed in float32 before float64 takes over


@light_kernel
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


@light_kernel
def _masked_sums(dy, y, dz, rows, blocks, totals):
    """dz = dy, or 0 where y is not above 0, and totals[part] = Σ of its long rows, as in _sums."""
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
                at = row * lanes
                gradients, outputs, results = dy[at:at + lanes], y[at:at + lanes], dz[at:at + lanes]
                for j in range(results.size):
                    gradient = numpy.float32(0) if outputs[j] <= numpy.float32(0) else gradients[j]
                    results[j] = gradient
                    block[j] += gradient
            for j in range(lanes):
                total[j] += block[j]


def bias_backward(dy):
    """y = ... + b, so db = Σ dy over every axis but the last.  dy (..., C) -> db (C,)."""
    dy = behaved(dy)
    return _summed(_sums, dy)


def relu_bias_backward(dy, y):
    """y = max(... + b, 0), so dz = dy where y > 0, else 0, and db = Σ dz over all axes but the last.  -> dz, db"""
    dy, y, dz = behaved(dy), behaved(y), memory.empty(y.shape)
    return dz, _summed(_masked_sums, dy, y, dz)


def _summed(run, *arrays):
    """The sums of a kernel over arrays (..., C).  -> (C,)"""
    C = arrays[0].shape[-1]
    rows, lanes = long_rows(arrays[0].size, C)
    parts = threads.chunks(rows, BLOCK)
    totals = memory.empty((parts, lanes), numpy.float64)
    run(*[array.reshape(-1) for array in arrays], rows, memory.empty((parts, lanes)), totals)
    # (parts, m, C) -> (C,), always in the same order
    return totals.reshape(parts, lanes // C, C).sum(axis=(0, 1)).astype(numpy.float32)
