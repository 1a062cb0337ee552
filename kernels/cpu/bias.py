"""The gradient of a bias, alone or behind an activation (the forward passes of dense and conv add it themselves)."""
import numpy
from numba import prange
from numpy import float32, uint64

from . import memory, threads
from .chwn import as_chwn, contiguous, is_chwn, swapped
from .column_sums import LANES, fetch_ahead, long_rows
from .compile import behaved, helper, light_kernel
from .exponential import tanh
from .recording import computed

BLOCK = 64                                       # long rows that are summed in float32 before float64 takes over
NONE, RELU, TANH = range(3)                      # the activation that stands behind the bias
NUMBER = {None: NONE, "relu": RELU, "tanh": TANH}


@helper
def _add_gradients(dy, y, activation, dz, first, count, block):
    """dz = the gradient before the activation, and block += dz; `count` numbers from place `first` on."""
    at = uint64(first)
    if activation == NONE:
        for j in range(uint64(count)):
            block[j] += dy[at + j]
    elif activation == RELU:
        for j in range(uint64(count)):
            gradient = float32(0) if y[at + j] <= float32(0) else dy[at + j]
            dz[at + j] = gradient
            block[j] += gradient
    else:
        for j in range(uint64(count)):
            gradient = dy[at + j] * (float32(1) - y[at + j] * y[at + j])
            dz[at + j] = gradient
            block[j] += gradient


@light_kernel
def _sums(dy, y, activation, dz, rows, blocks, totals):
    """totals[part] = Σ dz of the long rows of each part; dy, y, dz flat, blocks (parts, lanes) is scratch."""
    (parts, lanes), dz_at = totals.shape, dz.ctypes.data
    for part in prange(parts):
        total, block = totals[part], blocks[part]
        last = (part + 1) * rows // parts
        for j in range(lanes):
            total[j] = 0
        for first in range(part * rows // parts, last, BLOCK):
            for j in range(lanes):
                block[j] = 0
            for row in range(first, min(first + BLOCK, last)):
                if activation != NONE:
                    fetch_ahead(dz_at, row, lanes)
                # The last long row may be a short one.
                _add_gradients(dy, y, activation, dz, row * lanes, min(lanes, dy.size - row * lanes), block)
            for j in range(lanes):
                total[j] += block[j]


@helper
def activate(y, activation):
    """y = its activation, in place."""
    if activation == RELU:
        for i in range(y.size):
            y[i] = float32(0) if y[i] < float32(0) else y[i]
    elif activation == TANH:
        for i in range(y.size):
            y[i] = tanh(y[i])


@helper
def run_gradient(dy, y, activation, dz, first, last, block):
    """dz of places first <= . < last, and their sum; block is scratch, a line of sums as long as it is."""
    total, lanes = 0.0, block.size
    for start in range(first, last, BLOCK * lanes):
        for j in range(lanes):
            block[j] = 0
        for at in range(start, min(last, start + BLOCK * lanes), lanes):
            _add_gradients(dy, y, activation, dz, at, min(lanes, last - at), block)
        for j in range(uint64(lanes)):
            total += block[j]
    return total


@light_kernel
def _row_sums(dy, y, activation, dz, C, totals):
    """totals[part, c] = Σ dz of the part's piece of row c; dy, y, dz (C rows, flat)."""
    parts, length = totals.shape[0], dy.size // C
    for part in prange(parts):
        block = numpy.empty(LANES, numpy.float32)
        for c in range(C):
            totals[part, c] = run_gradient(dy, y, activation, dz, c * length + part * length // parts,
                                           c * length + (part + 1) * length // parts, block)


def bias_backward(dy):
    """y = ... + b, so db = Σ dy over every axis but the last.  dy (..., C) -> db (C,)."""
    return _summed(dy, None, NONE)[1]


def relu_bias_backward(dy, y):
    """y = max(... + b, 0), so dz = dy where y > 0, else 0, and db = Σ dz over all axes but the last.  -> dz, db"""
    return _summed(dy, y, RELU)


def tanh_bias_backward(dy, y):
    """y = tanh(... + b), so dz = dy (1 - y²), and db = Σ dz over all axes but the last.  -> dz, db"""
    return _summed(dy, y, TANH)


def _summed(dy, y, activation):
    """dz, an array like y, or dy itself where there is no activation, and db (C,), always summed in the same order."""
    rows_are_channels, C = is_chwn(dy if y is None else y), dy.shape[-1]
    dy = as_chwn(dy) if rows_are_channels else contiguous(dy)
    y = dy if y is None else swapped(y) if rows_are_channels else behaved(y)
    dz = dy if activation == NONE else memory.empty(dy.shape)
    flat = dy.reshape(-1), y.reshape(-1), activation, dz.reshape(-1)
    if rows_are_channels:
        totals = memory.empty((threads.threads(), C), numpy.float64)
        _row_sums(*flat, C, totals)
        return swapped(dz), computed(lambda: totals.sum(axis=0).astype(numpy.float32))
    rows, lanes = long_rows(dy.size, C)
    parts = threads.chunks(rows, BLOCK)
    totals = memory.empty((parts, lanes), numpy.float64)
    _sums(*flat, rows, memory.empty((parts, lanes)), totals)
    return dz, computed(lambda: totals.reshape(parts, lanes // C, C).sum(axis=(0, 1)).astype(numpy.float32))


def activation_and_bias_backward(dy, y, activation, needs_bias):
    """dz, and db or None, of y = activation(... + b), for None, "relu" or "tanh"."""
    if activation is None and not needs_bias:
        return dy, None
    dz, db = _summed(dy, y if activation else None, NUMBER[activation])
    return dz, db if needs_bias else None
