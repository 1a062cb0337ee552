"""Pointwise activations and softmax: one pass each; what makes them fast is `exponential.py`."""
import math

from numba import prange
from numpy import float32

from . import memory
from .chwn import in_one_order
from .compile import behaved, helper, light_kernel
from .exponential import exp
from .exponential import tanh as tanh_of


@light_kernel
def _relu(x, slope, max_value, threshold, y):
    slope, max_value, threshold = float32(slope), float32(max_value), float32(threshold)
    for i in prange(x.size):
        value = x[i]
        # Not 0·(x - threshold) for a zero slope: that is NaN at -inf.
        below = slope * (value - threshold) if slope != float32(0) else float32(0)
        value = below if value < threshold else value
        y[i] = max_value if value >= max_value else value


@light_kernel
def _relu_backward(dy, x, slope, max_value, threshold, dx):
    slope, max_value, threshold = float32(slope), float32(max_value), float32(threshold)
    for i in prange(x.size):
        below = slope * dy[i] if slope != float32(0) else float32(0)
        gradient = below if x[i] <= threshold else dy[i]
        dx[i] = float32(0) if x[i] >= max_value else gradient


def relu(x, negative_slope, max_value, threshold):
    """max_value if x >= max_value; x if x >= threshold; else negative_slope·(x - threshold). NaN stays NaN."""
    return _pointwise(_relu, x, constants=(float(negative_slope), _bound(max_value), float(threshold)))


def relu_backward(dy, x, negative_slope, max_value, threshold):
    """dx = 0 if x >= max_value; negative_slope·dy if x <= threshold; else dy. At the kink the left slope."""
    return _pointwise(_relu_backward, dy, x, constants=(float(negative_slope), _bound(max_value), float(threshold)))


def _bound(max_value):
    """No maximum is NaN, which nothing is >= to."""
    return math.nan if max_value is None else float(max_value)


@light_kernel
def _tanh(x, y):
    for i in prange(x.size):
        y[i] = tanh_of(x[i])


@light_kernel
def _tanh_backward(dy, y, dx):
    for i in prange(y.size):
        dx[i] = dy[i] * (float32(1) - y[i] * y[i])


def tanh(x):
    """y = tanh(x)."""
    return _pointwise(_tanh, x)


def tanh_backward(dy, y):
    """dx = dy (1 - y²)."""
    return _pointwise(_tanh_backward, dy, y)


@light_kernel
def _sigmoid(x, y):
    for i in prange(x.size):
        y[i] = float32(1) / (float32(1) + exp(-x[i]))        # exp overflows to infinity, and y to 0, as they should


@light_kernel
def _sigmoid_backward(dy, y, dx):
    for i in prange(y.size):
        dx[i] = dy[i] * y[i] * (float32(1) - y[i])


def sigmoid(x):
    """y = 1/(1 + e^-x)."""
    return _pointwise(_sigmoid, x)


def sigmoid_backward(dy, y):
    """dx = dy y (1 - y)."""
    return _pointwise(_sigmoid_backward, dy, y)


def _pointwise(run, *inputs, constants=()):
    """A new array in the shape of the inputs and the order of the last, filled by a kernel over all of them flat."""
    inputs, back = in_one_order(*inputs)
    result = memory.empty(inputs[0].shape)
    run(*[x.reshape(-1) for x in inputs], *constants, result.reshape(-1))
    return back(result)


@helper
def softmax_row(x, y):
    """y = e^(x - max x) / Σ e^(x - max x) of one row.  -> max x, Σ."""
    largest = x[0]
    for k in range(1, x.size):
        largest = x[k] if x[k] > largest or x[k] != x[k] else largest
    total = float32(0)
    for k in range(x.size):
        y[k] = exp(x[k] - largest)
        total += y[k]
    for k in range(x.size):
        y[k] /= total
    return largest, total


@light_kernel
def _softmax(x, y):
    for n in prange(x.shape[0]):
        softmax_row(x[n], y[n])


@light_kernel
def _softmax_backward(dy, y, dx):
    K = y.shape[1]
    for n in prange(y.shape[0]):
        total = float32(0)
        for k in range(K):
            total += dy[n, k] * y[n, k]
        for k in range(K):
            dx[n, k] = y[n, k] * (dy[n, k] - total)


def softmax(x):
    """y_k = e^(x_k - max x) / Σ_j e^(x_j - max x) over the last axis; the shift stops the overflow."""
    x, y = behaved(x), memory.empty(x.shape)
    if x.size:
        _softmax(_rows(x), _rows(y))
    return y


def softmax_backward(dy, y):
    """∂y_k/∂x_j = y_k (δ_kj - y_j), so dx = y (dy - Σ_k dy_k y_k)."""
    dy, y, dx = behaved(dy), behaved(y), memory.empty(y.shape)
    if y.size:
        _softmax_backward(_rows(dy), _rows(y), _rows(dx))
    return dx


def _rows(x):
    """(..., K) -> (rows, K), a view."""
    return x.reshape(-1, x.shape[-1])


# What a convolution may do to its result in the same call.
ACTIVATIONS = {None: lambda y: y, "relu": lambda y: relu(y, 0.0, None, 0.0), "tanh": tanh}
