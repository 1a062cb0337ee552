"""Dense (fully connected) layers, and the reshape that leads to them."""

import math

from scratchnet.backend import ops
from scratchnet.initializers import initializer
from scratchnet.layers.activation import activation_layer, in_one_call
from scratchnet.layers.base import Layer
from scratchnet.layers.geometry import positive
from scratchnet.layers.parameter import add_gradients


class Dense(Layer):
    """y = activation(x w + b): (N, IN) -> (N, units).  So dw = xᵀ dy, db = Σ_n dy, dx = dy wᵀ.

    weight (IN, units), bias (units,). ValueError for inputs with more axes: put a Flatten before it.
    kernels/reference/dense.py: dense; kernels/cpu/dense.py.  Rumelhart, Hinton, Williams 1986.
    """

    takes_images_innermost = True

    def __init__(self, units, use_bias=True, activation=None, kernel_initializer="glorot_uniform",
                 bias_initializer="zeros"):
        self.units = positive("Dense", "units", units)
        self.use_bias = use_bias
        self.activation = activation_layer("Dense", activation)
        self.kernel_initializer = initializer(kernel_initializer)
        self.bias_initializer = initializer(bias_initializer)

    def output_shape(self, input_shape):
        if len(input_shape) != 1:
            raise ValueError(f"{self.label()}: expected rows (IN,), got an input of shape {input_shape}; "
                             "put Flatten() or GlobalAvgPool2D() before it")
        return (self.units,)

    def build(self, rng, input_shape):
        self.weight = self.add_parameter("weight", self.kernel_initializer(rng, (*input_shape, self.units)))
        self.bias = self.add_parameter("bias", self.bias_initializer(rng, (self.units,))) if self.use_bias else None

    def forward(self, x, training=True):
        w, b = self.weight.value, self.bias.value if self.use_bias else None
        activation = in_one_call(self.activation)
        y = ops(x).dense(x, w, b, activation)
        if not activation:
            y, activation_backward = self.activation.run(y, training)
        kept = y if activation else None
        if not self.weight.trainable:
            x = None

        def backward(dy, need_dx=True):
            dz = dy if activation else activation_backward(dy)
            needs = need_dx, x is not None, self.use_bias and self.bias.trainable
            dx, dw, db = ops(dy).dense_backward(dz, kept, x, w, activation, needs)
            add_gradients(self, dw, db)
            return dx
        return y, backward

    def multiply_adds(self, input_shape):
        return input_shape[0] * self.units

    def describe(self):
        return f"Dense {self.units}"


class Flatten(Layer):
    """(N, H, W, C) -> (N, H·W·C), in that order; backward is the reshape back.

    kernels/reference/chwn.py: flatten; kernels/cpu/chwn.py.
    """

    takes_images_innermost = True

    def output_shape(self, input_shape):
        return (math.prod(input_shape),)

    def forward(self, x, training=True):
        shape = x.shape

        def backward(dy, need_dx=True):
            return ops(dy).flatten_backward(dy, shape)
        return ops(x).flatten(x), backward
