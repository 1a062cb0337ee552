"""Dense (fully connected) layers, and the reshape that leads to them."""

import math

from scratchnet.backend import ops
from scratchnet.initializers import initializer
from scratchnet.layers.activation import activation_and_bias_backward, activation_layer, in_one_call
from scratchnet.layers.base import Layer
from scratchnet.layers.checks import images_innermost
from scratchnet.layers.geometry import positive


class Dense(Layer):
    """y = activation(x w + b): (N, IN) -> (N, units).  So dw = xᵀ dy, db = Σ_n dy, dx = dy wᵀ.

    weight (IN, units), bias (units,). ValueError for inputs with more axes: put a Flatten before it.
    kernels/reference/dense.py: dense; kernels/cpu/dense.py.  Rumelhart, Hinton, Williams 1986.
    """

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
        y, activation_backward = self.activation.run(ops(x).dense(x, w, b), training)
        if not self.weight.trainable:
            x = None

        def backward(dy, need_dx=True):
            if activation:
                dy, db = activation_and_bias_backward(activation, dy, y)
            else:
                dy = activation_backward(dy)
                db = ops(dy).bias_backward(dy) if self.use_bias and self.bias.trainable else None
            if self.use_bias:
                self.bias.add_grad(db)
            if x is not None:
                self.weight.add_grad(ops(dy).dense_backward_weights(dy, x))
            return ops(dy).dense_backward_data(dy, w) if need_dx else None
        return y, backward

    def multiply_adds(self, input_shape):
        return input_shape[0] * self.units

    def describe(self):
        return f"Dense {self.units}"


class Flatten(Layer):
    """(N, H, W, C) -> (N, H·W·C), in that order; backward is the reshape back, into the order in memory that x had.

    kernels/reference/chwn.py: contiguous; kernels/cpu/chwn.py.
    """

    takes_images_innermost = True

    def output_shape(self, input_shape):
        return (math.prod(input_shape),)

    def forward(self, x, training=True):
        shape, turned = x.shape, not x.flags.c_contiguous and images_innermost(x)

        def backward(dy, need_dx=True):
            dx = dy.reshape(shape)                               # (N, H*W*C) -> (N, H, W, C)
            return ops(dx).images_innermost(dx) if turned else dx
        return ops(x).contiguous(x).reshape(shape[0], math.prod(shape[1:])), backward
