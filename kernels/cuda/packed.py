"""Convolutions and dense layers for inference: in bfloat16, weights are rounded once and not at every call; what
follows a product, bias, residual and ReLU, is one launch.

Called from several threads at once: two may round the same weights, to the same numbers.
"""
from .batch_norm import batch_norm_inference
from .cast import cast
from .conv import conv2d
from .dense import dense
from .depthwise import depthwise_conv2d
from .launch import FLOAT32, bfloat16, empty
from .precision import precision


class Weights:
    """w as its products take it."""

    def __init__(self, w):
        self.w, self.rounded = w, None

    def beside(self, x):
        """w in the dtype that a product with x is computed in (precision.factors)."""
        if precision.name != "bf16" and x.dtype == FLOAT32:
            return self.w
        if self.rounded is None:
            import cupy
            rounded = cast(self.w, bfloat16())
            cupy.cuda.get_current_stream().synchronize()             # that of a thread which finds them does not wait
            self.rounded = rounded
        return self.rounded


class PackedConv2D:
    """y = x * w + b (+ residual), then max(·, 0) if relu.  w (KH, KW, C/groups, F), b (F,) or None.

    A residual is added by the kernel that applies a batch norm, here one with scale 1, shift b, mean 0 and variance 1.
    `out` is the CPU's: results are new arrays.
    """

    def __init__(self, w, b, strides, dilation, groups):
        self.weights, self.b, self.strides, self.dilation, self.groups = Weights(w), b, strides, dilation, groups
        self.zeros, self.ones = _filled(w.shape[3:], 0.0), _filled(w.shape[3:], 1.0)

    def __call__(self, x, padding, residual=None, relu=False, out=None):
        w, window = self.weights.w, (self.strides, padding, self.dilation)
        if self.groups > 1 and w.shape[2] == 1:
            if residual is None and not relu:
                return depthwise_conv2d(x, w, self.b, *window)
            y = depthwise_conv2d(x, w, None, *window)
        elif residual is None:
            return conv2d(x, self.weights.beside(x), self.b, *window, self.groups, "relu" if relu else None)
        else:
            y = conv2d(x, self.weights.beside(x), None, *window, self.groups)
        shift = self.zeros if self.b is None else self.b
        return batch_norm_inference(y, self.ones, shift, self.zeros, self.ones, 0.0, residual, relu)


class PackedDense:
    """y = x w + b, then max(·, 0) if relu.  w (IN, OUT), b (OUT,) or None."""

    def __init__(self, w, b):
        self.w, self.b = Weights(w), b

    def weights(self):
        return self.w.w

    def __call__(self, x, relu=False, out=None):
        return dense(x, self.w.beside(x), self.b, "relu" if relu else None)


def _filled(shape, value):
    array = empty(shape)
    array[...] = value
    return array
