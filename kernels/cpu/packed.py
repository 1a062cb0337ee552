"""Convolutions and dense layers whose weights are laid out once, for inference: the same products, nothing packed a call.

Called from several threads at once: whatever a call writes to is its own.
"""
import math

import numpy

from ..shapes import output_size
from . import conv_images, memory, threads, winograd
from .activation import relu as apply_relu
from .arithmetic import add
from .chwn import contiguous
from .compile import behaved
from .conv import conv2d, first_taps, is_merged, padded, suits_planes
from .depthwise import depthwise_conv2d
from .gather import gather, pack, pack_bias, prepared, run
from .recording import each_time
from .tile import WIDTH

SHAPES = 64                                      # of images, for which a convolution keeps what it found out
TAP = numpy.zeros(1, numpy.int64), numpy.zeros(1, numpy.int64)       # of a dense layer


class PackedConv2D:
    """y = x * w + b (+ residual), then max(·, 0) if relu.  w (KH, KW, C/groups, F), b (F,) or None.

    Weights are packed, or transformed for Winograd, and the way is chosen, when images of a shape are first seen: with one
    image a network's many small decisions would take a twentieth of its time.
    A depthwise convolution is the one with w.shape[2] == 1 and as many groups as channels, of which there are several. `out`
    has to be C-contiguous; where images fill the vectors (conv_images.py) the result is another array, which lies as there.
    """

    def __init__(self, w, b, strides, dilation, groups):
        self.w, self.b = behaved(w), None if b is None else behaved(b)
        self.strides, self.dilation, self.groups = strides, dilation, groups
        self.bias = pack_bias(self.b, w.shape[3], groups)
        self.layouts = {}                        # Winograd's m, 0 for none -> the weights laid out for it
        self.ways = {}

    def __getstate__(self):
        """For a copy or a pickle: functions, which the ways are, have none."""
        return {**vars(self), "ways": {}}

    def __call__(self, x, padding, residual=None, relu=False, out=None):
        case = x.shape, padding, relu, threads.threads()
        way = self.ways.get(case)
        if way is None:
            way = self._way(x.shape, padding, relu)
            self.ways = {**self.ways, case: way} if len(self.ways) < SHAPES else {case: way}
        y_shape, convolve = way
        return convolve(x, residual, memory.empty(y_shape) if out is None else out)

    def _way(self, x_shape, padding, relu):
        """y's shape, and the function (x, residual, y) -> y for such images."""
        (KH, KW, CG, F), (N, H, W, C) = self.w.shape, x_shape
        w, b, bias, groups, window = self.w, self.b, self.bias, self.groups, (self.strides, padding, self.dilation)
        y_shape = (N, output_size(H, KH, self.strides[0], padding[0], self.dilation[0]),
                   output_size(W, KW, self.strides[1], padding[1], self.dilation[1]), F)
        if not math.prod(y_shape):
            return y_shape, lambda x, residual, y: y
        if conv_images.suits(x_shape, w.shape, self.strides, groups):
            return y_shape, lambda x, residual, y: _ended(conv2d(x, w, b, *window, groups), residual, relu)
        if groups == C > 1 and CG == 1:
            return y_shape, lambda x, residual, y: _finish(depthwise_conv2d(x, w, b, *window), residual, relu, y)
        if suits_planes(w.shape, C, self.dilation, groups):
            return y_shape, lambda x, residual, y: _finish(conv2d(x, w, b, *window, groups), residual, relu, y)
        m = winograd.tile_size(x_shape, y_shape, self.strides, self.dilation, groups, (KH, KW), True)
        origin = (padding[0][0], padding[1][0])
        if m:
            U = self._layout(m, lambda: winograd.filters(w, m))
            return y_shape, lambda x, residual, y: winograd.convolve(contiguous(x), U, bias, residual, y, m, origin, relu)
        merged = is_merged(w.shape, C, self.dilation, groups)
        if merged:
            x_shape = N, H + sum(padding[0]), W + sum(padding[1]), C
            w, origin = w.reshape(KH, 1, KW * C, F), (0, 0)
        rows, columns, numbers = first_taps(w.shape[:2], self.dilation, origin)
        packed = self._layout(0, lambda: pack(w, numbers, groups))
        known = prepared((rows, columns), y_shape[:3], (*x_shape[1:], *self.strides), (*y_shape[1:], 1, 0, 1, 0), w.shape[2],
                         groups, relu)

        def convolve(x, residual, y):
            x = contiguous(x)                    # it may come from a convolution that left its images innermost
            return run(padded(x, padding) if merged else x, packed, bias, residual, y, known)
        return y_shape, convolve

    def _layout(self, key, make):
        if key not in self.layouts:              # two threads may both make it: the same
            self.layouts[key] = make()
        return self.layouts[key]


class PackedDense:
    """y = x w + b, then max(·, 0) if relu.  w (IN, OUT), b (OUT,) or None. Only the packed w is kept."""

    def __init__(self, w, b):
        self.shape = w.shape
        self.packed, self.bias = pack(behaved(w)[None, None], TAP[0], 1), pack_bias(b, w.shape[1])

    def weights(self):
        """w as it was: panels (OUT/WIDTH, IN, WIDTH) -> (IN, OUT)."""
        IN, OUT = self.shape
        return self.packed.reshape(-1, IN, WIDTH).swapaxes(0, 1).reshape(IN, -1)[:, :OUT]

    def __call__(self, x, relu=False, out=None):
        N, (IN, OUT) = len(x), self.shape
        y = memory.empty((N, OUT)) if out is None else out
        if y.size:
            gather(contiguous(x), self.packed, self.bias, None, y, TAP, (1, 1, N), (1, N, IN, 1, 1), (1, N, OUT, 1, 0, 1, 0), IN,
                   relu=relu)
        return y


def _ended(y, residual, relu):
    """With what the ways without an epilogue leave to be done."""
    y = y if residual is None else add(residual, y, 1.0)
    return apply_relu(y, 0.0, None, 0.0) if relu else y


def _finish(y, residual, relu, out):
    y = _ended(y, residual, relu)
    each_time(lambda: numpy.copyto(out, y))
    return out
