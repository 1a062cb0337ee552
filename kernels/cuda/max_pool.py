"""Max pooling: the largest element of each window, and where it was. Kernels: max_pool.cu."""
import numpy

from ..shapes import output_size
from .launch import array, each, empty, real
from .windows import window


def max_pool2d(x, pool_size, strides, padding, dilation, ceil_mode):
    """y = max over the window; winners = ih·W + iw of the first maximum.  x (N, H, W, C) -> both (N, OH, OW, C)."""
    x = real("max_pool2d", "x", x, (None,) * 4)
    OH, OW = (output_size(*axis, ceil_mode) for axis in zip(x.shape[1:3], pool_size, strides, padding, dilation))
    shape = x.shape[0], OH, OW, x.shape[3]
    y, winners = empty(shape, x.dtype), empty(shape, numpy.int32)
    each("max_pool", "max_pool2d", y.size, x=x, y=y, winners=winners,
         **window(x.shape, (OH, OW), pool_size, strides, padding, dilation))
    return y, winners


def max_pool2d_backward(dy, winners, x_shape, pool_size, strides, padding, dilation):
    """dx = Σ dy over the windows that the element has won."""
    dy = real("max_pool2d_backward", "dy", dy, (x_shape[0], None, None, x_shape[3]))
    winners = array("max_pool2d_backward", "winners", winners, dy.shape, numpy.int32)
    dx = empty(x_shape, dy.dtype)
    each("max_pool", "max_pool2d_backward", dx.size, dy=dy, winners=winners, dx=dx,
         **window(x_shape, dy.shape[1:3], pool_size, strides, padding, dilation))
    return dx
