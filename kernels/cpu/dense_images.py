"""Dense layers behind convolutions of few channels, the images along the vectors as there (`chwn.py`).

    yᵀ = activation(wᵀ xᵀ + b)          dzᵀ = dyᵀ activation'
    dw = xᵀ dz          dxᵀ = w dzᵀ          db = Σ_n dz

xᵀ (IN, N) and yᵀ (OUT, N) have a number of all images side by side, so that 64 images are whole vectors whatever IN and OUT
are, and neither w nor x has to be turned round. All of the backward pass is one launch: each thread makes dz for itself,
which is little, then the gradients that belong to its part of the inputs.
"""
import numpy
from numba import prange
from numpy import float32

from . import memory, threads
from .bias import NUMBER, activate, run_gradient
from .chwn import as_chwn, exchange_columns, is_chwn
from .compile import behaved, helper, kernel
from .gemm import add_product
from .lanes_tiles import ROWS
from .tile import LANES
from .windows import fill, row_starts

LITTLE = 2 ** 18                                 # products that a core does in 5 µs
MOST = 2 ** 18                                   # weights, and numbers of y, that a cache holds beside other things


def suits(x, w):
    """Whether x (N, IN) lies as (IN, N), in whole vectors, and w (IN, OUT) is small."""
    return is_chwn(x) and len(x) >= LANES and max(w.size, len(x) * w.shape[1]) <= MOST


@helper
def _part(part, parts, size):
    """first, last: the rows of a part, of whole tiles."""
    tiles = (size + ROWS - 1) // ROWS
    return min(size, part * tiles // parts * ROWS), min(size, (part + 1) * tiles // parts * ROWS)


@kernel
def _forward(x, rows, w, bias, y, activation, parts):
    """x (IN, N), whose rows start at `rows`, w (IN, OUT), y (OUT, N)."""
    (OUT, N), flat_w, flat_y = y.shape, w.reshape(w.size), y.reshape(y.size)
    for part in prange(parts):
        first, last = _part(part, parts, OUT)
        for o in range(first, last):
            fill(flat_y, o * N, N, bias[o])
        add_product(flat_w, first, 1, OUT, x.reshape(x.size), rows, 0, flat_y, first * N, N, last - first, rows.size, N)
        activate(flat_y[first * N:last * N], activation)


@kernel
def _backward(dy, y, x, w, activation, image_rows, output_rows, own, dx, dw, db, needs_dx):
    """dy, y (OUT, N), x, dx (IN, N), w, dw (IN, OUT); own (parts, 2, OUT·N): for dz and its transpose."""
    (OUT, N), IN, parts = y.shape, len(x), len(own)
    flat_dy, flat_y, flat_x, flat_w = dy.reshape(dy.size), y.reshape(y.size), x.reshape(x.size), w.reshape(w.size)
    flat_dx, flat_dw = dx.reshape(dx.size), dw.reshape(dw.size)
    for part in prange(parts):
        dz, turned, line = own[part, 0], own[part, 1], numpy.empty(N, numpy.float32)
        dz[:] = flat_dy                          # which stays where there is no activation
        for o in range(OUT):
            total = run_gradient(flat_dy, flat_y, activation, dz, o * N, (o + 1) * N, line)
            if part == 0:
                db[o] = total
        for n in range(0, N, LANES):
            exchange_columns(dz.reshape(OUT, 1, N), turned.reshape(N, 1, OUT), n, 0)
        first, last = _part(part, parts, IN)
        fill(flat_dw, first * OUT, (last - first) * OUT, float32(0))
        add_product(flat_x, first * N, N, 1, turned, image_rows, 0, flat_dw, first * OUT, OUT, last - first, N, OUT)
        if needs_dx:
            fill(flat_dx, first * N, (last - first) * N, float32(0))
            add_product(flat_w, first * OUT, OUT, 1, dz, output_rows, 0, flat_dx, first * N, N, last - first, OUT, N)


def _parts(size, products):
    """One a thread, of at least two tiles; one for little work, since what another core has written is slow to read."""
    return threads.chunks(size, 2 * ROWS) if products > LITTLE else 1


def dense(x, w, b, activation=None):
    """y = activation(x w + b).  x (N, IN), w (IN, OUT), b (OUT,) or None -> y (N, OUT), images innermost."""
    (N, IN), OUT, w = x.shape, w.shape[1], behaved(w)
    y = memory.empty((OUT, N))
    bias = memory.zeros(OUT) if b is None else behaved(b)
    _forward(x.T, row_starts(IN, N), w, bias, y, NUMBER[activation], _parts(OUT, w.size * N))
    return y.T


def dense_backward(dy, y, x, w, activation, needs_dx):
    """dx (N, IN), images innermost, or None, dw (IN, OUT), db (OUT,).  dy, y (N, OUT)"""
    (N, IN), OUT, w = x.shape, w.shape[1], behaved(w)
    dx, dw, db = memory.empty((IN, N) if needs_dx else (0, N)), memory.empty(w.shape), memory.empty(OUT)
    dy = as_chwn(dy)
    _backward(dy, as_chwn(y) if activation else dy, x.T, w, NUMBER[activation], row_starts(N, OUT), row_starts(OUT, N),
              memory.empty((_parts(IN, 2 * w.size * N), 2, OUT * N)), dx, dw, db, int(needs_dx))
    return dx.T if needs_dx else None, dw, db
