"""Pointwise activations and softmax. Kernels: activation.cu."""
import math

from .cast import cast
from .launch import array, blocks, each, empty, launch, real

ROWS = 4                                         # of a softmax, at once in a block: a warp each


def relu(x, negative_slope, max_value, threshold):
    """max_value if x >= max_value; x if x >= threshold; else negative_slope·(x - threshold). NaN stays NaN."""
    x = real("relu", "x", x)
    y = empty(x.shape, x.dtype)
    each("activation", "relu", x.size, x=x, y=y, **_pieces(negative_slope, max_value, threshold))
    return y


def relu_backward(dy, x, negative_slope, max_value, threshold):
    """dx = 0 if x >= max_value; negative_slope·dy if x <= threshold; else dy."""
    x = real("relu_backward", "x", x)
    dy, dx = cast(real("relu_backward", "dy", dy, x.shape), x.dtype), empty(x.shape, x.dtype)
    each("activation", "relu_backward", x.size, dy=dy, x=x, dx=dx, **_pieces(negative_slope, max_value, threshold))
    return dx


def _pieces(negative_slope, max_value, threshold):
    return {"negative_slope": negative_slope, "max_value": math.nan if max_value is None else max_value,
            "threshold": threshold}


def tanh(x):
    """y = tanh(x)."""
    x = real("tanh", "x", x)
    y = empty(x.shape, x.dtype)
    each("activation", "tanh_forward", x.size, x=x, y=y)
    return y


def tanh_backward(dy, y):
    """dx = dy (1 - y²)."""
    return _of_y("tanh_backward", dy, y)


def sigmoid(x):
    """y = 1/(1 + e^-x)."""
    x = real("sigmoid", "x", x)
    y = empty(x.shape, x.dtype)
    each("activation", "sigmoid", x.size, x=x, y=y)
    return y


def sigmoid_backward(dy, y):
    """dx = dy y (1 - y)."""
    return _of_y("sigmoid_backward", dy, y)


def _of_y(operation, dy, y):
    y = real(operation, "y", y)
    dy, dx = array(operation, "dy", dy, y.shape, y.dtype), empty(y.shape, y.dtype)
    each("activation", operation, y.size, dy=dy, y=y, dx=dx)
    return dx


def softmax(x):
    """y_k = e^(x_k - max x) / Σ_j e^(x_j - max x) over the last axis, in float32."""
    x = real("softmax", "x", x)
    y, rows, K = empty(x.shape), math.prod(x.shape[:-1]), x.shape[-1]
    launch("activation", "softmax", (blocks(rows, ROWS),), (32, ROWS), x=x, y=y, rows=rows, K=K)
    return y


def softmax_backward(dy, y):
    """dx = y (dy - Σ_k dy_k y_k)."""
    y = array("softmax_backward", "y", y)
    dy, dx, rows, K = array("softmax_backward", "dy", dy, y.shape), empty(y.shape), math.prod(y.shape[:-1]), y.shape[-1]
    launch("activation", "softmax_backward", (blocks(rows, ROWS),), (32, ROWS), dy=dy, y=y, dx=dx, rows=rows, K=K)
    return dx
