"""Pointwise activations and softmax. Those whose derivative is simplest in y take y in their backward."""
from .array_module import accumulator, get_array_module


def relu(x, negative_slope, max_value, threshold):
    """max_value if x >= max_value; x if x >= threshold; else negative_slope·(x - threshold). NaN stays NaN.

    Nair & Hinton 2010; Maas et al. 2013 (leaky); Krizhevsky 2010 (ReLU6). max_value None: no upper bound.
    """
    xp = get_array_module(x)
    # Not 0·(x - threshold) for a zero slope: that is NaN at -inf.
    below = negative_slope * (x - threshold) if negative_slope else xp.zeros_like(x)
    y = xp.where(x < threshold, below, x)
    if max_value is not None:
        y = xp.where(x >= max_value, max_value, y)
    return y.astype(x.dtype, copy=False)


def relu_backward(dy, x, negative_slope, max_value, threshold):
    """dx = 0 if x >= max_value; negative_slope·dy if x <= threshold; else dy. At the kink the left slope."""
    xp = get_array_module(x)
    below = negative_slope * dy if negative_slope else xp.zeros_like(dy)
    dx = xp.where(x <= threshold, below, dy)
    if max_value is not None:
        dx = xp.where(x >= max_value, 0, dx)
    return dx.astype(dy.dtype, copy=False)


def tanh(x):
    """y = tanh(x)."""
    return get_array_module(x).tanh(x)


def tanh_backward(dy, y):
    """dx = dy (1 - y²)."""
    return dy * (1 - y * y)


def sigmoid(x):
    """y = 1/(1 + e^-x), written e^x/(1 + e^x) for negative x, so that no exponential overflows."""
    xp = get_array_module(x)
    small = xp.exp(-xp.abs(x))
    return xp.where(x >= 0, 1, small) / (1 + small)


def sigmoid_backward(dy, y):
    """dx = dy y (1 - y)."""
    return dy * y * (1 - y)


def softmax(x):
    """y_k = e^(x_k - max x) / Σ_j e^(x_j - max x) over the last axis; the shift leaves y as it is and stops
    the overflow.  Bridle 1990."""
    xp = get_array_module(x)
    wide = x.astype(accumulator(x.dtype), copy=False)
    exponentials = xp.exp(wide - wide.max(axis=-1, keepdims=True))
    return (exponentials / exponentials.sum(axis=-1, keepdims=True)).astype(x.dtype, copy=False)


def softmax_backward(dy, y):
    """∂y_k/∂x_j = y_k (δ_kj - y_j), so dx = y (dy - Σ_k dy_k y_k)."""
    wide = accumulator(dy.dtype)
    dy_wide, y_wide = dy.astype(wide, copy=False), y.astype(wide, copy=False)
    dx = y_wide * (dy_wide - (dy_wide * y_wide).sum(axis=-1, keepdims=True))
    return dx.astype(dy.dtype, copy=False)


# What a convolution may do to its result in the same call.
ACTIVATIONS = {None: lambda y: y, "relu": lambda y: relu(y, 0.0, None, 0.0), "tanh": tanh}
