"""Convolutions and dense layers whose weights are prepared once, for inference."""
import numpy

from .activation import relu as _relu
from .arithmetic import add
from .conv import conv2d
from .dense import dense
from .depthwise import depthwise_conv2d


class PackedConv2D:
    """y = max(x * w + b + residual, 0), the last two steps where they are asked for.

    w (KH, KW, C/groups, F), b (F,) or None; depthwise where w has one channel and groups are more. Both are copied.
    """

    def __init__(self, w, b, strides, dilation, groups, input_shape=None):
        self.w, self.b = w.copy(), None if b is None else b.copy()
        self.strides, self.dilation, self.groups = strides, dilation, groups

    def __call__(self, x, padding, residual=None, relu=False, out=None):
        """x (N, H, W, C), padding ((top, bottom), (left, right)) -> y (N, OH, OW, F), in `out` if it is given."""
        if self.groups > 1 and self.w.shape[2] == 1:
            y = depthwise_conv2d(x, self.w, self.b, self.strides, padding, self.dilation)
        else:
            y = conv2d(x, self.w, self.b, self.strides, padding, self.dilation, self.groups)
        if residual is not None:
            y = add(residual, y, 1.0)
        return _finish(y, relu, out)


class PackedDense:
    """y = max(x w + b, 0), the maximum where it is asked for.  w (IN, OUT), b (OUT,) or None. Both are copied."""

    def __init__(self, w, b):
        self.w, self.b = w.copy(), None if b is None else b.copy()

    def __call__(self, x, relu=False, out=None):
        """x (N, IN) -> y (N, OUT), in `out` if it is given."""
        return _finish(dense(x, self.w, self.b), relu, out)


def _finish(y, relu, out):
    y = _relu(y, 0.0, None, 0.0) if relu else y
    if out is None:
        return y
    numpy.copyto(out, y)
    return out
