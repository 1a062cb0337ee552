"""Convolutions of few channels over many images, with the images along the vectors (`chwn.py`).

    y[f, oh, ow, n] = b[f] + Σ_{u, v, c} w[u, v, c, f] x[c, oh + u·DH - top, ow + v·DW - left, n]

In one row of y, ow and n are one run of OW·N numbers, and so is what each window element sees of x, W·N to a row: the
row is a matrix product (F, K) @ (K, OW·N) whose second factor is read in place, wherever its rows begin (`gemm.py`). That
fills the vectors for LeNet's 1, 6 and 16 channels, where libraries that pad channels to a vector leave most lanes idle. Near
the left and the right edge some window columns fall outside: such pixels are segments of their own.

The gradient of x is the same convolution of dy with the weights turned round; that of w is made of dot products of runs, in
the pass that makes the gradient before the activation and sums it for the bias.
"""
from functools import lru_cache

import numpy
from numba import prange
from numpy import float32

from ..shapes import output_size
from . import chwn, memory, threads
from .bias import NONE, NUMBER, activate, run_gradient
from .column_sums import LANES as LINE
from .column_sums import add_parts
from .compile import behaved, helper, kernel
from .gather import turn as turned_round
from .gather import zeros_for
from .gemm import add_dots, add_product
from .tile import LANES, WIDTH
from .windows import fill

FEW, MOST = 16, 32                               # channels for which this is the fastest way: one side's, the other's
RUN = 4 * WIDTH                                  # numbers of each row of y at a time, so that they stay in the L1 cache
LONGEST = 512 * LANES                            # products of one sum: rounding grows with their number


def suits(x_shape, w_shape, strides, groups):
    """Whether images fill the vectors better than channels, and all runs are contiguous."""
    (N, _, _, C), F = x_shape, w_shape[3]
    return N >= LANES and groups == 1 and tuple(strides) == (1, 1) and min(C, F) <= FEW and max(C, F) <= MOST


@lru_cache(maxsize=1024)
def _starts(x_shape, window, dilation):
    """(KH·KW·C,): where each window element's number lies in x (C, H, W, N), seen from the window's first place."""
    N, H, W, C = x_shape
    u, v, c = numpy.indices((*window, C)).reshape(3, -1)
    return ((c * H + u * dilation[0]) * W + v * dilation[1]) * N


@lru_cache(maxsize=1024)
def _segments(W, OW, KW, left, dilation, cuts):
    """(segments, 4): first and last pixel of an output row, and the first and the last of the window's columns that lie
    inside the image there; last ones excluded. Where all do, the row is cut in so many."""
    v = numpy.arange(OW)[:, None] - left + numpy.arange(KW) * dilation
    inside = (0 <= v) & (v < W)
    first, count = inside.argmax(axis=1), inside.sum(axis=1)
    edges = [0, *[i for i in range(1, OW) if (first[i], count[i]) != (first[i - 1], count[i - 1])], OW]
    rows = []
    for start, end in zip(edges, edges[1:]):
        pieces = min(cuts, end - start) if count[start] == KW else 1
        for piece in range(pieces):
            rows.append((start + piece * (end - start) // pieces, start + (piece + 1) * (end - start) // pieces,
                         first[start], first[start] + count[start]))
    return numpy.array(rows, "int64")


@helper
def _rows_inside(oh, top, H, KH, dilation):
    """u, u_last: the window's rows u <= . < u_last lie inside the image for output row oh."""
    first = (max(0, top - oh) + dilation - 1) // dilation
    return first, max(first, min(KH, (H - 1 + top - oh) // dilation + 1))


@helper
def _turns(u, u_last, v, v_last, KW):
    """In how many turns the window's numbers inside the image are taken: at once, or by rows where columns are missing."""
    return 1 if v_last - v == KW else u_last - u


@helper
def _elements(turn, u, u_last, v, v_last, KW, C):
    """k, k_last: the window's numbers of one turn, of (KH, KW, C) in their order."""
    if v_last - v == KW:
        return u * KW * C, u_last * KW * C
    return ((u + turn) * KW + v) * C, ((u + turn) * KW + v_last) * C


@kernel
def _convolve(x, w, bias, y, origin, dilation, starts, segments, activation):
    C, H, W, N = x.shape
    F, OH, OW, _ = y.shape
    KH, KW, _, _ = w.shape
    flat_x, flat_w, flat_y = x.reshape(x.size), w.reshape(w.size), y.reshape(y.size)
    pieces = segments.shape[0]
    for task in prange(OH * pieces):
        oh, piece = task // pieces, task % pieces
        ow, end, v, v_last = segments[piece]
        u, u_last = _rows_inside(oh, origin[0], H, KH, dilation[0])
        corner, out = ((oh - origin[0]) * W + ow - origin[1]) * N, (oh * OW + ow) * N
        for p in range(0, (end - ow) * N, RUN):
            P = min(RUN, (end - ow) * N - p)
            for f in range(F):
                fill(flat_y, f * OH * OW * N + out + p, P, bias[f])
            for turn in range(_turns(u, u_last, v, v_last, KW)):
                k, k_last = _elements(turn, u, u_last, v, v_last, KW, C)
                add_product(flat_w, k * F, 1, F, flat_x, starts[k:k_last], corner + p, flat_y, out + p, OH * OW * N, F,
                            k_last - k, P)
            if activation != NONE:
                for f in range(F):
                    first = f * OH * OW * N + out + p
                    activate(flat_y[first:first + P], activation)


@kernel
def _weights(dy, y, activation, dz, x, totals, origin, dilation, starts, segments, window):
    """totals[part] (K + 1, F): each thread's own sums over some output rows, in a fixed order, the last row
    for the bias. dz: the gradient before the activation, made here; it is dy where there is none."""
    C, H, W, N = x.shape
    F, OH, OW, _ = dy.shape
    KH, KW = window
    flat_x, flat_dy, flat_y, flat_dz = x.reshape(x.size), dy.reshape(dy.size), y.reshape(y.size), dz.reshape(dz.size)
    flat_totals = totals.reshape(totals.size)
    parts, K = totals.shape[0], KH * KW * C
    for part in prange(parts):
        own, last = part * (K + 1) * F, (part + 1) * OH // parts
        line = numpy.empty(LINE, numpy.float32)
        fill(flat_totals, own, K * F, float32(0))
        for f in range(F):
            totals[part, K, f] = run_gradient(flat_dy, flat_y, activation, flat_dz, (f * OH + part * OH // parts) * OW * N,
                                              (f * OH + last) * OW * N, line)
        for piece in range(segments.shape[0]):
            ow, end, v, v_last = segments[piece]
            P = (end - ow) * N
            oh = part * OH // parts
            while oh < last:
                u, u_last = _rows_inside(oh, origin[0], H, KH, dilation[0])
                lines = 1                        # output rows that see all of the window are summed together
                if u == 0 and u_last == KH:
                    while oh + lines < last and lines * P < LONGEST and \
                            oh + lines + (KH - 1) * dilation[0] - origin[0] < H:
                        lines += 1
                corner, out = ((oh - origin[0]) * W + ow - origin[1]) * N, (oh * OW + ow) * N
                for turn in range(_turns(u, u_last, v, v_last, KW)):
                    k, k_last = _elements(turn, u, u_last, v, v_last, KW, C)
                    add_dots(flat_x, starts[k:k_last], corner, W * N, flat_dz, out, OH * OW * N, OW * N, flat_totals,
                             own + k * F, F, k_last - k, F, P, lines)
                oh += lines


def _cuts(rows):
    """Into how many pieces to cut a row of the image, so that all threads have some."""
    return -(-2 * threads.threads() // max(1, rows))


def _correlate(x, w, bias, shape, origin, dilation, activation=NONE):
    """The sum above, for a result of this shape (N, OH, OW, F)."""
    KH, KW, _, _ = w.shape
    y = chwn.empty(shape)
    if y.size:
        _convolve(chwn.as_chwn(x), w, bias, chwn.swapped(y), origin, dilation, _starts(x.shape, (KH, KW), dilation),
                  _segments(x.shape[2], shape[2], KW, origin[1], dilation[1], _cuts(shape[1])), activation)
    return y


def conv2d(x, w, b, padding, dilation, activation=None):
    """x (N, H, W, C), w (KH, KW, C, F), b (F,) or None -> y (N, OH, OW, F), images innermost. activation: "relu", "tanh"."""
    w, bias = behaved(w), memory.zeros(w.shape[3]) if b is None else behaved(b)
    OH, OW = (output_size(x.shape[1 + axis], w.shape[axis], 1, padding[axis], dilation[axis]) for axis in range(2))
    return _correlate(x, w, bias, (len(x), OH, OW, w.shape[3]), (padding[0][0], padding[1][0]), tuple(dilation),
                      NUMBER[activation])


def conv2d_backward_data(dy, w, x_shape, padding, dilation):
    """dx = dy convolved with the weights turned by 180 degrees.  dy (N, OH, OW, F) -> dx (N, H, W, C), images innermost."""
    origin = tuple(dilation[axis] * (w.shape[axis] - 1) - padding[axis][0] for axis in range(2))
    C = w.shape[2]
    return _correlate(dy, turned_round(behaved(w)), zeros_for(C)[:C], x_shape, origin, tuple(dilation))


def conv2d_backward_weights(dy, x, w_shape, padding, dilation):
    """dw[u, v, c, f] = Σ over all pixels and images.  dy (N, OH, OW, F), x (N, H, W, C) -> dw (KH, KW, C, F)."""
    return _sums(dy, None, x, w_shape, padding, dilation, None)[1]


def _sums(dy, y, x, w_shape, padding, dilation, activation):
    """dz (F, OH, OW, N), the gradient before the activation, and with it dw and db, in one pass."""
    KH, KW, C, F = w_shape
    dy = chwn.as_chwn(dy)
    y, dz = (dy, dy) if activation is None else (chwn.as_chwn(y), memory.empty(dy.shape))
    parts = threads.chunks(dy.shape[1])
    totals, sums = memory.empty((parts, KH * KW * C + 1, F)), memory.empty((KH * KW * C + 1, F))
    if not dy.size:
        totals.fill(0)
    else:
        _weights(dy, y, NUMBER[activation], dz, chwn.as_chwn(x), totals, (padding[0][0], padding[1][0]),
                 tuple(dilation), _starts(x.shape, (KH, KW), tuple(dilation)),
                 _segments(x.shape[2], dy.shape[2], KW, padding[1][0], dilation[1], 1), (KH, KW))
    add_parts(totals, sums)
    return dz, sums[:-1].reshape(w_shape), sums[-1]


def conv2d_backward(dy, y, x, w, padding, dilation, activation, needs_dx):
    """dx or None, dw and db of y = activation(conv2d(x, w, b))."""
    dz, dw, db = _sums(dy, y, x, w.shape, padding, dilation, activation)
    return conv2d_backward_data(chwn.swapped(dz), w, x.shape, padding, dilation) if needs_dx else None, dw, db
