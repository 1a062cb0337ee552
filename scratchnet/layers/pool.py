"""Pooling: a window slides over each channel and leaves one number, its maximum or its mean.

Textbook: kernels/reference/max_pool.py, avg_pool.py.  Fast: kernels/cpu/max_pool.py, avg_pool.py.
"""

from scratchnet.backend import ops
from scratchnet.layers.base import Layer
from scratchnet.layers.geometry import (TooSmall, describe_window, image_shape, pair, padding_argument, resolve_padding,
                                        sliding_shape)


class MaxPool2D(Layer):
    """y[i, j] = max of the window at (i·s, j·s). dy goes to the pixel that won, the first one on a tie.

    Padding never wins. strides: pool_size unless given. ceil_mode rounds the output size up: the last window may hang
    over the edge. ValueError where a window would see padding only.  Boureau, Ponce, LeCun 2010.
    kernels/reference/max_pool.py: max_pool2d; kernels/cpu/max_pool.py.
    """

    takes_images_innermost = True

    def __init__(self, pool_size, strides=None, padding="valid", dilation=1, ceil_mode=False):
        self.pool_size = pair("MaxPool2D", "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else pair("MaxPool2D", "strides", strides)
        self.padding = padding_argument("MaxPool2D", padding)
        self.dilation = pair("MaxPool2D", "dilation", dilation)
        self.ceil_mode = bool(ceil_mode)

    def output_shape(self, input_shape):
        return pooled_shape(self, input_shape, self.dilation)

    def forward(self, x, training=True):
        shape = x.shape
        padding = resolve_padding(self.padding, shape[1:3], self.pool_size, self.strides, self.dilation)
        y, winners = ops(x).max_pool2d(x, self.pool_size, self.strides, padding, self.dilation, self.ceil_mode)

        def backward(dy, need_dx=True):
            return ops(dy).max_pool2d_backward(dy, winners, shape, self.pool_size, self.strides, padding,
                                               self.dilation)
        return y, backward

    def describe(self):
        return describe_window("MaxPool2D", self.pool_size, self.strides, self.padding, self.dilation) \
            + ", rounded up" * self.ceil_mode


class AvgPool2D(Layer):
    """y[i, j] = mean of the window at (i·s, j·s). Each pixel receives dy / (size of the window), of all its windows.

    count_include_pad=True divides by the whole window, padded zeros included, False by the pixels in it; what hangs
    over the edge in ceil_mode is never counted. strides: pool_size unless given.  LeCun et al. 1998, section II.B.
    kernels/reference/avg_pool.py: avg_pool2d; kernels/cpu/avg_pool.py.
    """

    takes_images_innermost = True

    def __init__(self, pool_size, strides=None, padding="valid", ceil_mode=False, count_include_pad=False):
        self.pool_size = pair("AvgPool2D", "pool_size", pool_size)
        self.strides = self.pool_size if strides is None else pair("AvgPool2D", "strides", strides)
        self.padding = padding_argument("AvgPool2D", padding)
        self.ceil_mode, self.count_include_pad = bool(ceil_mode), bool(count_include_pad)

    def output_shape(self, input_shape):
        return pooled_shape(self, input_shape, (1, 1))

    def forward(self, x, training=True):
        shape = x.shape
        padding = resolve_padding(self.padding, shape[1:3], self.pool_size, self.strides)
        window = (self.pool_size, self.strides, padding, self.ceil_mode, self.count_include_pad)
        y = ops(x).avg_pool2d(x, *window)

        def backward(dy, need_dx=True):
            return ops(dy).avg_pool2d_backward(dy, shape, *window)
        return y, backward

    def describe(self):
        return describe_window("AvgPool2D", self.pool_size, self.strides, self.padding) + ", rounded up" * self.ceil_mode


class AdaptiveAvgPool2D(Layer):
    """Means over an output_size grid of bins that cover the image: rows ⌊i·H/OH⌋ to ⌈(i + 1)·H/OH⌉ - 1 for bin i.

    Bins overlap by a row where OH does not divide H. Each pixel receives dy / (size of the bin) of all its bins.
    kernels/reference/avg_pool.py: adaptive_avg_pool2d; kernels/cpu/avg_pool.py.
    """

    def __init__(self, output_size):
        self.output_size = pair("AdaptiveAvgPool2D", "output_size", output_size)

    def output_shape(self, input_shape):
        return (*self.output_size, image_shape(self, input_shape)[-1])

    def forward(self, x, training=True):
        shape = x.shape

        def backward(dy, need_dx=True):
            return ops(dy).adaptive_avg_pool2d_backward(dy, shape)
        return ops(x).adaptive_avg_pool2d(x, self.output_size), backward

    def describe(self):
        return f"AdaptiveAvgPool2D to {self.output_size[0]}x{self.output_size[1]}"


class GlobalAvgPool2D(Layer):
    """y[n, c] = mean of channel c: (N, H, W, C) -> (N, C), so dx = dy / (H·W) everywhere.  Lin, Chen, Yan 2013, 3.2.

    kernels/reference/avg_pool.py: global_avg_pool2d; kernels/cpu/avg_pool.py.
    """

    def output_shape(self, input_shape):
        return (image_shape(self, input_shape)[-1],)

    def forward(self, x, training=True):
        shape = x.shape

        def backward(dy, need_dx=True):
            return ops(dy).global_avg_pool2d_backward(dy, shape)
        return ops(x).global_avg_pool2d(x), backward


def pooled_shape(layer, input_shape, dilation):
    """(OH, OW, C); ValueError where the window does not fit, or some window would hold padding only."""
    *sizes, channels = image_shape(layer, input_shape)
    padding = resolve_padding(layer.padding, sizes, layer.pool_size, layer.strides, dilation)
    shape = sliding_shape(layer, sizes, layer.pool_size, layer.strides, padding, dilation, layer.ceil_mode)
    for size, outputs, window, stride, (before, _), step in zip(sizes, shape, layer.pool_size, layer.strides, padding,
                                                                dilation):
        for start in range(-before, outputs * stride - before, stride):
            if not any(0 <= start + step * tap < size for tap in range(window)):
                raise TooSmall(f"{layer.label()}: with padding {padding} on an input of {tuple(sizes)} pixels some "
                               "window holds padding only; use less padding")
    return (*shape, channels)
