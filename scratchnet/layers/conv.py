"""Convolution, in the sense of every network: a correlation of each image with F small filters.

    y[n, i, j, f] = b[f] + Σ_{u, v, c} x[n, i·s + u·d - top, j·s + v·d - left, c] w[u, v, c, f]

Each output is linear in x and in w, so both gradients are sums of the same products, gathered the other way round:

    dw[u, v, c, f] = Σ_{n, i, j} x[n, i·s + u·d - top, j·s + v·d - left, c] dy[n, i, j, f]
    dx[n, p, q, c] = Σ dy[n, i, j, f] w[u, v, c, f]    over all (i, j, u, v) that read pixel (p, q)

LeCun, Bottou, Bengio, Haffner 1998, section II; as a matrix product: Chellapilla, Puri, Simard 2006.
Textbook: kernels/reference/conv.py, depthwise.py.  Fast: kernels/cpu/conv.py, depthwise.py.
"""

from scratchnet.backend import ops
from scratchnet.initializers import initializer
from scratchnet.layers.activation import activation_layer, in_one_call
from scratchnet.layers.base import Layer
from scratchnet.layers.geometry import (describe_window, image_shape, pair, padding_argument, positive,
                                        resolve_padding, sliding_shape)
from scratchnet.layers.parameter import add_gradients


class Conv2D(Layer):
    """y = activation(x * w + b): (N, H, W, C) -> (N, OH, OW, filters), OH = ⌊(H + top + bottom - d(KH - 1) - 1)/s⌋ + 1.

    weight (KH, KW, C/groups, filters), bias (filters,). With groups, filter f sees the channels of its own group only
    (Krizhevsky et al. 2012, section 3.2). padding: "valid", "same" (OH = ⌈H/s⌉), int, pair, ((top, bottom), (left,
    right)); of zeros. ValueError where the window does not fit or groups do not divide the channels.
    relu: what a container adds to the pass (fusion.py). kernels/reference/conv.py: conv2d; kernels/cpu/conv.py.
    """

    takes_images_innermost = True

    def __init__(self, filters, kernel_size, strides=1, padding="valid", dilation=1, groups=1, use_bias=True,
                 activation=None, kernel_initializer="glorot_uniform", bias_initializer="zeros"):
        self.filters = positive("Conv2D", "filters", filters)
        self.kernel_size = pair("Conv2D", "kernel_size", kernel_size)
        self.strides = pair("Conv2D", "strides", strides)
        self.padding = padding_argument("Conv2D", padding)
        self.dilation = pair("Conv2D", "dilation", dilation)
        self.groups = positive("Conv2D", "groups", groups)
        self.use_bias = use_bias
        self.activation = activation_layer("Conv2D", activation)
        self.kernel_initializer = initializer(kernel_initializer)
        self.bias_initializer = initializer(bias_initializer)

    def output_shape(self, input_shape):
        height, width, channels = image_shape(self, input_shape)
        if channels % self.groups or self.filters % self.groups:
            raise ValueError(f"{self.label()}: {self.groups} groups must divide the {channels} input channels and the "
                             f"{self.filters} filters")
        return (*sliding_shape(self, (height, width), self.kernel_size, self.strides, self.padding, self.dilation),
                self.filters)

    def build(self, rng, input_shape):
        shape = (*self.kernel_size, input_shape[-1] // self.groups, self.filters)
        self.weight = self.add_parameter("weight", self.kernel_initializer(rng, shape))
        self.bias = self.add_parameter("bias", self.bias_initializer(rng, (self.filters,))) if self.use_bias else None

    def forward(self, x, training=True, relu=False):
        w, b = self.weight.value, self.bias.value if self.use_bias else None
        activation = "relu" if relu else in_one_call(self.activation)
        padding = resolve_padding(self.padding, x.shape[1:3], self.kernel_size, self.strides, self.dilation)
        window = (self.strides, padding, self.dilation, self.groups)
        x = ops(x).conv2d_input(x, w.shape, *window)
        y = ops(x).conv2d(x, w, b, *window, activation)
        if not activation:
            y, activation_backward = self.activation.run(y, training)
        shape = x.shape
        kept = y if activation else None
        if not self.weight.trainable:
            x = None

        def backward(dy, need_dx=True):
            dz = dy if activation else activation_backward(dy)
            needs = need_dx, x is not None, self.use_bias and self.bias.trainable
            dx, dw, db = ops(dy).conv2d_backward(dz, kept, x, shape, w, *window, activation, needs)
            add_gradients(self, dw, db)
            return dx
        return y, backward

    def multiply_adds(self, input_shape):
        height, width, _ = self.output_shape(input_shape)
        kh, kw = self.kernel_size
        return height * width * self.filters * kh * kw * (input_shape[-1] // self.groups)

    def describe(self):
        return describe_window("Conv2D", self.kernel_size, self.strides, self.padding, self.dilation)


class DepthwiseConv2D(Layer):
    """One set of `depth_multiplier` filters for each channel: y[…, c·m + k] = x[…, c] * w[…, 0, c·m + k] + b.

    weight (KH, KW, 1, C·m): a Conv2D with groups = C. Sifre 2014; Chollet 2016, section 1.
    kernels/reference/depthwise.py: depthwise_conv2d; kernels/cpu/depthwise.py.
    """

    def __init__(self, kernel_size, strides=1, padding="valid", dilation=1, depth_multiplier=1, use_bias=True,
                 activation=None, kernel_initializer="glorot_uniform", bias_initializer="zeros"):
        self.kernel_size = pair("DepthwiseConv2D", "kernel_size", kernel_size)
        self.strides = pair("DepthwiseConv2D", "strides", strides)
        self.padding = padding_argument("DepthwiseConv2D", padding)
        self.dilation = pair("DepthwiseConv2D", "dilation", dilation)
        self.depth_multiplier = positive("DepthwiseConv2D", "depth_multiplier", depth_multiplier)
        self.use_bias = use_bias
        self.activation = activation_layer("DepthwiseConv2D", activation)
        self.kernel_initializer = initializer(kernel_initializer)
        self.bias_initializer = initializer(bias_initializer)

    def output_shape(self, input_shape):
        height, width, channels = image_shape(self, input_shape)
        return (*sliding_shape(self, (height, width), self.kernel_size, self.strides, self.padding, self.dilation),
                channels * self.depth_multiplier)

    def build(self, rng, input_shape):
        filters = input_shape[-1] * self.depth_multiplier
        self.weight = self.add_parameter("weight", self.kernel_initializer(rng, (*self.kernel_size, 1, filters)))
        self.bias = self.add_parameter("bias", self.bias_initializer(rng, (filters,))) if self.use_bias else None

    def forward(self, x, training=True):
        w, b = self.weight.value, self.bias.value if self.use_bias else None
        padding = resolve_padding(self.padding, x.shape[1:3], self.kernel_size, self.strides, self.dilation)
        window = (self.strides, padding, self.dilation)
        y = ops(x).depthwise_conv2d(x, w, b, *window)
        y, activation_backward = self.activation.run(y, training)
        shape = x.shape
        if not self.weight.trainable:
            x = None

        def backward(dy, need_dx=True):
            dy = activation_backward(dy)
            add_gradients(
                self, None if x is None else ops(dy).depthwise_conv2d_backward_weights(dy, x, w.shape, *window),
                ops(dy).bias_backward(dy) if self.use_bias and self.bias.trainable else None)
            return ops(dy).depthwise_conv2d_backward_data(dy, w, shape, *window) if need_dx else None
        return y, backward

    def multiply_adds(self, input_shape):
        height, width, filters = self.output_shape(input_shape)
        return height * width * filters * self.kernel_size[0] * self.kernel_size[1]

    def describe(self):
        return describe_window("DepthwiseConv2D", self.kernel_size, self.strides, self.padding, self.dilation)


class SeparableConv2D(Layer):
    """A depthwise convolution, then a 1x1 convolution that mixes its channels, nothing between them. Chollet 2016.

    Children `depthwise` (no bias) and `pointwise`. Its pieces stand in kernels/reference/depthwise.py and conv.py;
    fast in kernels/cpu/depthwise.py and conv.py.
    """

    def __init__(self, filters, kernel_size, strides=1, padding="valid", dilation=1, depth_multiplier=1, use_bias=True,
                 activation=None, kernel_initializer="glorot_uniform", bias_initializer="zeros"):
        self.add_child("depthwise", DepthwiseConv2D(kernel_size, strides, padding, dilation, depth_multiplier,
                                                    use_bias=False, kernel_initializer=kernel_initializer))
        self.add_child("pointwise", Conv2D(filters, 1, use_bias=use_bias, activation=activation,
                                           kernel_initializer=kernel_initializer, bias_initializer=bias_initializer))

    def output_shape(self, input_shape):
        depthwise, pointwise = self._children.values()
        return pointwise.checked_output_shape(depthwise.checked_output_shape(input_shape))

    def build(self, rng, input_shape):
        depthwise, pointwise = self._children.values()
        pointwise.init(rng, depthwise.init(rng, input_shape))

    def forward(self, x, training=True):
        depthwise, pointwise = self._children.values()
        x, depthwise_backward = depthwise.forward(x, training)
        y, pointwise_backward = pointwise.forward(x, training)

        def backward(dy, need_dx=True):
            return depthwise_backward(pointwise_backward(dy), need_dx)
        return y, backward

    def multiply_adds(self, input_shape):
        depthwise, pointwise = self._children.values()
        return depthwise.multiply_adds(input_shape) + pointwise.multiply_adds(depthwise.output_shape(input_shape))

    def describe(self):
        depthwise = self._children["depthwise"]
        return describe_window("SeparableConv2D", depthwise.kernel_size, depthwise.strides, depthwise.padding,
                               depthwise.dilation)
