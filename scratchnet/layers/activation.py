"""Activations: each a function of one number (softmax: of one row), applied everywhere.

Textbook: kernels/reference/activation.py.  Fast: kernels/cpu/activation.py.
"""

from scratchnet.backend import ops
from scratchnet.layers.base import Layer


class ReLU(Layer):
    """y = max_value where x >= max_value; x where x >= threshold; else negative_slope (x - threshold).

    dx is dy times that piece's slope: 0, 1, negative_slope. Plain: y = max(x, 0), Nair & Hinton 2010; negative_slope:
    the leaky ReLU of Maas et al. 2013; max_value=6: ReLU6. kernels/reference/activation.py: relu; kernels/cpu/activation.py.
    """

    takes_images_innermost = True

    def __init__(self, negative_slope=0, max_value=None, threshold=0):
        if negative_slope < 0 or (max_value is not None and max_value < max(threshold, 0)):
            raise ValueError(f"ReLU: expected negative_slope >= 0 and max_value >= threshold, got negative_slope="
                             f"{negative_slope}, max_value={max_value}, threshold={threshold}")
        self.pieces = (float(negative_slope), None if max_value is None else float(max_value), float(threshold))

    def forward(self, x, training=True):
        y = ops(x).relu(x, *self.pieces)
        # On which piece x lies, y tells too, and the next layer keeps y anyway. (Below a negative threshold y is above it.)
        kept = y if self.pieces[2] >= 0 else x

        def backward(dy, need_dx=True):
            return ops(dy).relu_backward(dy, kept, *self.pieces)
        return y, backward


class Tanh(Layer):
    """y = tanh(x), so dL/dx = dL/dy (1 - y²).  kernels/reference/activation.py: tanh; kernels/cpu/activation.py."""

    takes_images_innermost = True

    def forward(self, x, training=True):
        y = ops(x).tanh(x)

        def backward(dy, need_dx=True):
            return ops(dy).tanh_backward(dy, y)                  # dy * (1 - y * y)
        return y, backward


class Sigmoid(Layer):
    """y = 1/(1 + e^-x), so dL/dx = dL/dy y (1 - y).  kernels/reference/activation.py: sigmoid; kernels/cpu/activation.py."""

    takes_images_innermost = True

    def forward(self, x, training=True):
        y = ops(x).sigmoid(x)

        def backward(dy, need_dx=True):
            return ops(dy).sigmoid_backward(dy, y)               # dy * y * (1 - y)
        return y, backward


class Softmax(Layer):
    """y_k = e^{x_k} / Σ_j e^{x_j} over the last axis, so dx = y (dy - Σ_j dy_j y_j).

    Before a cross-entropy use losses.softmax_cross_entropy on the logits instead: it is exact where y underflows.
    kernels/reference/activation.py: softmax; kernels/cpu/activation.py.
    """

    def forward(self, x, training=True):
        y = ops(x).softmax(x)

        def backward(dy, need_dx=True):
            return ops(dy).softmax_backward(dy, y)
        return y, backward


class Identity(Layer):
    """y = x. What `activation=None` stands for.  No kernel."""

    def forward(self, x, training=True):
        return x, lambda dy, need_dx=True: dy


BY_NAME = {"linear": Identity, "relu": ReLU, "tanh": Tanh, "sigmoid": Sigmoid, "softmax": Softmax}


def is_plain_relu(layer):
    """max(x, 0), without a slope, a maximum or a threshold: what batch norms and convolutions can do in their own pass."""
    return type(layer) is ReLU and layer.pieces == (0.0, None, 0.0)


def in_one_call(layer):
    """The name of the activation if convolutions and dense layers do it, forwards and backwards, in calls of their own."""
    return "relu" if is_plain_relu(layer) else "tanh" if type(layer) is Tanh else None


def activation_layer(owner, activation):
    """The layer for an `activation=` argument: None, a name, or a layer without parameters such as ReLU(0.1)."""
    if activation is None:
        return Identity()
    if isinstance(activation, str) and activation in BY_NAME:
        return BY_NAME[activation]()
    if isinstance(activation, tuple(BY_NAME.values())):
        return activation
    raise ValueError(f"{owner}: activation must be None, one of {', '.join(BY_NAME)}, or such a layer, "
                     f"got {activation!r}")
