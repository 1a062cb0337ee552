"""Convolution: which way each one is computed, and its three passes as products of gathered rows.

Few filters or channels (LeNet's 1, 6 and 16) go to `conv_images.py`, where images fill the vectors, or to
`conv_planes.py`, where pixels do; all else to `gather.py` and `conv_weights.py`, where channels do. A first layer's few
channels are taken with the window's columns, which lie next to them in memory, as rows of KW·C numbers.
"""
from functools import lru_cache

import numpy

from ..shapes import output_size
from . import conv_images, conv_planes, memory, winograd
from .activation import ACTIVATIONS, relu_backward
from .arithmetic import add
from .bias import activation_and_bias_backward
from .chwn import contiguous, images_innermost
from .compile import behaved
from .conv_weights import gather_weights
from .gather import gather, pack, pack_bias, pack_turned, turn
from .pad import pad2d
from .recording import computed
from .tile import FEW_DEEP, LANES
from .winograd_weights import backward_weights

FEW = 8                                          # channels that are fewer than a vector should hold


def suits_planes(w_shape, C, dilation, groups):
    """Whether channels would leave most of a vector empty: of the result, or of what is summed over."""
    KH, KW, CG, F = w_shape
    depth = KW * CG if is_merged(w_shape, C, dilation, groups) else CG
    return 2 * (F // groups) <= LANES or depth < FEW_DEEP


def is_merged(w_shape, C, dilation, groups):
    """Whether a row of the window is better taken as one row of KW·C numbers."""
    return groups == 1 and dilation[1] == 1 and w_shape[1] > 1 and C <= FEW


def padded(x, padding):
    """x with the zeros around it that `is_merged` needs: what is read from a pixel on are KW pixels."""
    return pad2d(x, padding, "zeros") if padding != ((0, 0), (0, 0)) else x


@lru_cache(maxsize=1024)
def first_taps(window, dilation, origin):
    """(rows, columns, numbers): where each window element reads, seen from the output pixel's first place; its number."""
    KH, KW = window
    number = numpy.arange(KH * KW)
    return number // KW * dilation[0] - origin[0], number % KW * dilation[1] - origin[1], number


@lru_cache(maxsize=1024)
def _taps_of_phase(window, strides, dilation, origin, phase):
    """The window elements that reach the input pixels (i·SH + a, j·SW + b) of phase (a, b): a + top - kh·DH is a multiple
    of SH; such an element sees dy's row i + (a + top - kh·DH)/SH."""
    KH, KW = window
    number = numpy.arange(KH * KW)
    down = phase[0] + origin[0] - number // KW * dilation[0]
    right = phase[1] + origin[1] - number % KW * dilation[1]
    reach = (down % strides[0] == 0) & (right % strides[1] == 0)
    return down[reach] // strides[0], right[reach] // strides[1], number[reach]


def conv2d_input(x, w_shape, strides, padding, dilation, groups):
    """x as both passes that read it want it in memory: for who keeps it until the second one."""
    return images_innermost(x) if conv_images.suits(x.shape, w_shape, strides, groups) else contiguous(x)


def conv2d(x, w, b, strides, padding, dilation, groups, activation=None):
    """y[n,oh,ow,f] = b[f] + Σ_{kh,kw,c} x[n, oh·SH - top + kh·DH, ow·SW - left + kw·DW, c] w[kh,kw,c,f].

    x (N, H, W, C), w (KH, KW, C/groups, F), b (F,) or None -> y (N, OH, OW, F); x is 0 outside the image.
    activation: "relu" or "tanh", of y.
    """
    w = behaved(w)
    KH, KW, CG, F = w.shape
    N, H, W, C = x.shape
    if conv_images.suits(x.shape, w.shape, strides, groups):
        return conv_images.conv2d(x, w, b, padding, dilation, activation)
    x = contiguous(x)
    if suits_planes(w.shape, C, dilation, groups):
        return ACTIVATIONS[activation](conv_planes.conv2d(x, w, b, strides, padding, dilation, groups))
    OH = output_size(H, KH, strides[0], padding[0], dilation[0])
    OW = output_size(W, KW, strides[1], padding[1], dilation[1])
    y = memory.empty((N, OH, OW, F))
    if not y.size:
        return y
    relu, last = activation == "relu", ACTIVATIONS["tanh" if activation == "tanh" else None]
    m = winograd.tile_size(x.shape, y.shape, strides, dilation, groups, (KH, KW))
    if m:
        return last(winograd.convolve(x, winograd.filters(w, m), pack_bias(b, F), None, y, m,
                                      (padding[0][0], padding[1][0]), relu))
    origin = (padding[0][0], padding[1][0])
    if is_merged(w.shape, C, dilation, groups):
        x, w, origin = padded(x, padding), w.reshape(KH, 1, KW * C, F), (0, 0)
    rows, columns, numbers = first_taps(w.shape[:2], dilation, origin)
    return last(gather(x, pack(w, numbers, groups), pack_bias(b, F, groups), None, y, (rows, columns), (N, OH, OW),
                       (*x.shape[1:], *strides), (OH, OW, F, 1, 0, 1, 0), w.shape[2], groups, relu))


def conv2d_backward_data(dy, w, x_shape, strides, padding, dilation, groups, init=None, gate=None):
    """dx[pixel] = Σ over the windows (kh, kw) that cover the pixel: dy[window] @ w[kh, kw]ᵀ; + init; 0 where gate <= 0.

    dy (N, OH, OW, F) -> dx (N, H, W, C). With strides, pixels of one phase, (H mod SH, W mod SW), are covered by the same
    window elements, so dx is SH·SW convolutions without strides. init, gate as dx; dx may take the place of init.
    """
    if conv_images.suits(x_shape, w.shape, strides, groups):
        return _finished(conv_images.conv2d_backward_data(dy, w, x_shape, padding, dilation), init, gate)
    dy, w = contiguous(dy), behaved(w)
    KH, KW, CG, F = w.shape
    if 2 * CG <= LANES or F // groups < FEW_DEEP:
        return _finished(conv_planes.conv2d_backward_data(dy, w, x_shape, strides, padding, dilation, groups), init, gate)
    N, H, W, C = x_shape
    phases = [(a, b, _taps_of_phase((KH, KW), strides, dilation, (padding[0][0], padding[1][0]), (a, b)))
              for a in range(min(strides[0], H)) for b in range(min(strides[1], W))]
    untouched = dy.size == 0 or any(len(numbers) == 0 for _, _, (_, _, numbers) in phases)
    if init is not None:
        init = computed(init.copy) if numpy.may_share_memory(init, dy) else behaved(init)
    dx = init if init is not None else memory.zeros(x_shape) if untouched else memory.empty(x_shape)
    if not dy.size or not dx.size:
        return _finished(dx, None, gate)
    bias = pack_bias(None, C, groups)
    m = winograd.tile_size(dy.shape, x_shape, strides, dilation, groups, (KH, KW))
    if m:
        return _finished(winograd.convolve(dy, winograd.filters(turn(w), m), bias, init, dx, m,
                                           (2 - padding[0][0], 2 - padding[1][0])), None, gate)
    for a, b, (rows, columns, numbers) in phases:
        if len(numbers):
            grid = (N, -(-(H - a) // strides[0]), -(-(W - b) // strides[1]))
            gather(dy, pack_turned(w, numbers, groups), bias, init, dx, (rows, columns), grid, (*dy.shape[1:], 1, 1),
                   (H, W, C, strides[0], a, strides[1], b), F // groups, groups, gate=None if untouched else gate)
    return _finished(dx, None, gate if untouched else None)


def _finished(dx, init, gate):
    """What ways without an epilogue leave to be done."""
    dx = dx if init is None else add(init, dx, 1.0)
    return dx if gate is None else relu_backward(dx, gate, 0.0, None, 0.0)


def conv2d_backward_weights(dy, x, w_shape, strides, padding, dilation, groups):
    """dw[kh, kw] = Σ_{n,oh,ow} x[n, oh·SH - top + kh·DH, ow·SW - left + kw·DW]ᵀ dy[n,oh,ow].

    dy (N, OH, OW, F), x (N, H, W, C) -> dw (KH, KW, C/groups, F).
    """
    if conv_images.suits(x.shape, w_shape, strides, groups):
        return conv_images.conv2d_backward_weights(dy, x, w_shape, padding, dilation)
    dy, x = contiguous(dy), contiguous(x)
    KH, KW, CG, F = w_shape
    if suits_planes(w_shape, x.shape[3], dilation, groups) or F // groups <= LANES and CG <= FEW:
        return conv_planes.conv2d_backward_weights(dy, x, w_shape, strides, padding, dilation, groups)
    m = winograd.tile_size(x.shape, dy.shape, strides, dilation, groups, (KH, KW))
    if m:
        return backward_weights(x, dy, m, (padding[0][0], padding[1][0])).reshape(w_shape)
    origin = (padding[0][0], padding[1][0])
    if is_merged(w_shape, x.shape[3], dilation, groups):
        x, KW, CG, origin = padded(x, padding), 1, KW * CG, (0, 0)
    rows, columns, _ = first_taps((KH, KW), dilation, origin)
    return gather_weights(x, dy, (rows, columns), dy.shape[:3], (*x.shape[1:], *strides), CG, groups).reshape(w_shape)


def conv2d_backward(dy, y, x, x_shape, w, strides, padding, dilation, groups, activation, needs, init=None, gate=None):
    """dx, dw and db of y = activation(conv2d(x, w, b)), None for those that `needs` does not name: three flags. y and x are
    used for the activation and for dw only. init, gate: of conv2d_backward_data."""
    if needs[1] and conv_images.suits(x_shape, w.shape, strides, groups):
        dx, dw, db = conv_images.conv2d_backward(dy, y, x, w, padding, dilation, activation, needs[0])
        return _finished(dx, init, gate), dw, db if needs[2] else None
    window = strides, padding, dilation, groups
    dz, db = activation_and_bias_backward(dy, y, activation, needs[2])
    dw = conv2d_backward_weights(dz, x, w.shape, *window) if needs[1] else None
    return conv2d_backward_data(dz, w, x_shape, *window, init, gate) if needs[0] else None, dw, db
