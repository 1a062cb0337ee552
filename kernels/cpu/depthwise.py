"""Depthwise convolution: each channel is filtered alone, by m filters of its own.

w (KH, KW, 1, F) with F = C·m; output channel f = c·m + j reads input channel c = f // m. No matrix product here:
each pixel of the window is one pass over the channels, which lie along memory.
"""
from numba import prange
from numpy import uint64

from ..shapes import output_size
from . import memory, threads
from .column_sums import add_parts
from .compile import behaved, helper, kernel


@helper
def _add_filtered(x, w, y):
    """y[c·m + j] += x[c] w[c·m + j]: one window element of one output pixel."""
    C, m = x.size, y.size // x.size
    if m == 1:
        for c in range(C):
            y[c] += x[c] * w[c]
    else:
        for c in range(uint64(C)):
            for j in range(uint64(m)):
                f = c * uint64(m) + j
                y[f] += x[c] * w[f]


@helper
def _add_back(dy, w, dx):
    """dx[c] += Σ_j dy[c·m + j] w[c·m + j]."""
    C, m = dx.size, dy.size // dx.size
    if m == 1:
        for c in range(C):
            dx[c] += dy[c] * w[c]
    else:
        for c in range(uint64(C)):
            for j in range(uint64(m)):
                f = c * uint64(m) + j
                dx[c] += dy[f] * w[f]


@kernel
def _forward(x, w, bias, y, strides, origin, dilation):
    N, OH, OW, F = y.shape
    _, H, W, _ = x.shape
    KH, KW, _ = w.shape
    for task in prange(N * OH):
        n, oh = task // OH, task % OH
        for ow in range(OW):
            pixel = y[n, oh, ow]
            for f in range(F):
                pixel[f] = bias[f]
            for kh in range(KH):
                ih = oh * strides[0] - origin[0] + kh * dilation[0]
                if 0 <= ih < H:
                    for kw in range(KW):
                        iw = ow * strides[1] - origin[1] + kw * dilation[1]
                        if 0 <= iw < W:
                            _add_filtered(x[n, ih, iw], w[kh, kw], pixel)


@kernel
def _backward_data(dy, w, dx, strides, origin, dilation):
    """Gathers what the windows owe each input pixel, so that no two threads write one."""
    N, H, W, C = dx.shape
    _, OH, OW, _ = dy.shape
    KH, KW, _ = w.shape
    for task in prange(N * H):
        n, ih = task // H, task % H
        for iw in range(W):
            pixel = dx[n, ih, iw]
            for c in range(C):
                pixel[c] = 0
            for kh in range(KH):
                h = ih + origin[0] - kh * dilation[0]
                if 0 <= h < OH * strides[0] and h % strides[0] == 0:
                    for kw in range(KW):
                        v = iw + origin[1] - kw * dilation[1]
                        if 0 <= v < OW * strides[1] and v % strides[1] == 0:
                            _add_back(dy[n, h // strides[0], v // strides[1]], w[kh, kw], pixel)


@kernel
def _backward_weights(dy, x, strides, origin, dilation, rows, totals):
    """Each thread's own sum totals[part] (KH, KW, F), made of the sums of single rows: a running float32 sum over a
    whole batch would lose digits."""
    N, OH, OW, F = dy.shape
    _, H, W, _ = x.shape
    parts, KH, KW, _ = totals.shape
    for part in prange(parts):
        total, row = totals[part].reshape(KH * KW * F), rows[part].reshape(KH * KW * F)
        for i in range(total.size):
            total[i] = 0
        for task in range(part * N * OH // parts, (part + 1) * N * OH // parts):
            n, oh = task // OH, task % OH
            for i in range(row.size):
                row[i] = 0
            for kh in range(KH):
                ih = oh * strides[0] - origin[0] + kh * dilation[0]
                if 0 <= ih < H:
                    for kw in range(KW):
                        for ow in range(OW):
                            iw = ow * strides[1] - origin[1] + kw * dilation[1]
                            if 0 <= iw < W:
                                _add_filtered(x[n, ih, iw], dy[n, oh, ow], rows[part, kh, kw])
            for i in range(total.size):
                total[i] += row[i]


def depthwise_conv2d(x, w, b, strides, padding, dilation):
    """y[n,oh,ow,f] = b[f] + Σ_{kh,kw} x[n, oh·SH - top + kh·DH, ow·SW - left + kw·DW, f // m] w[kh,kw,0,f].

    x (N, H, W, C), b (F,) or None -> y (N, OH, OW, F).
    """
    x, w = behaved(x), behaved(w)
    N, H, W, _ = x.shape
    KH, KW, _, F = w.shape
    OH = output_size(H, KH, strides[0], padding[0], dilation[0])
    OW = output_size(W, KW, strides[1], padding[1], dilation[1])
    bias = memory.zeros(F) if b is None else behaved(b)
    y = memory.empty((N, OH, OW, F))
    _forward(x, w.reshape(KH, KW, F), bias, y, strides, (padding[0][0], padding[1][0]), dilation)
    return y


def depthwise_conv2d_backward_data(dy, w, x_shape, strides, padding, dilation):
    """dx[pixel, c] = Σ over the windows (kh, kw) that cover the pixel and the m filters of c: dy w."""
    dy, w = behaved(dy), behaved(w)
    KH, KW, _, F = w.shape
    dx = memory.empty(x_shape)
    _backward_data(dy, w.reshape(KH, KW, F), dx, strides, (padding[0][0], padding[1][0]), dilation)
    return dx


def depthwise_conv2d_backward_weights(dy, x, w_shape, strides, padding, dilation):
    """dw[kh,kw,0,f] = Σ_{n,oh,ow} dy[n,oh,ow,f] x[n, oh·SH - top + kh·DH, ow·SW - left + kw·DW, f // m]."""
    dy, x = behaved(dy), behaved(x)
    KH, KW, _, F = w_shape
    parts = threads.chunks(dy.shape[0] * dy.shape[1])
    rows, totals = memory.empty((parts, KH, KW, F)), memory.empty((parts, KH, KW, F))
    _backward_weights(dy, x, strides, (padding[0][0], padding[1][0]), dilation, rows, totals)
    dw = memory.empty(w_shape)
    add_parts(totals, dw)
    return dw
