"""The steps of an inference program. Each makes the array numbered `output` from those numbered `inputs`.

A step says shape(shapes) -> shape, both without the batch axis, and run(xs, out) -> y. Where there are fast kernels for
its weights, they are also `packed` for those; on the CPU y may then be written into `out`, memory of the arena, if there
is any. All else is ops(x).
"""

from scratchnet.backend import kernels, ops
from scratchnet.layers.checks import check_array, check_operands
from scratchnet.layers.conv import DepthwiseConv2D
from scratchnet.layers.geometry import resolve_padding


class Step:
    """What all steps have. `layer` is the layer it came from; `names`, for people, of all that it does."""

    packed = fast = None                         # the weights laid out, and the name of the kernels that they are for

    def __init__(self, layer, inputs, output, name):
        self.layer, self.inputs, self.output, self.names = layer, inputs, output, [name]

    def is_packed_for(self, x):
        return self.packed is not None and ops(x) is kernels(self.fast)

    def shape(self, shapes):
        return shapes[0]


class Linear(Step):
    """y = x * w + b, then ReLU where `relu`: a convolution or a dense layer, and what was folded into it (fold.py).

    w and b are the layer's own until `finish` makes the copies that the program keeps.
    """

    takes_residual = relu = False

    def __init__(self, layer, inputs, output, name):
        super().__init__(layer, inputs, output, name)
        self.w, self.b = layer.weight.value, layer.bias.value if layer.use_bias else None
        self.dtype = self.w.dtype

    def finish(self):
        """Round the weights back to the model's dtype, and pack those that have fast kernels."""
        self.w = self.w.astype(self.dtype)
        self.b = None if self.b is None else self.b.astype(self.dtype)
        if ops(self.w) is not kernels("reference"):
            self.fast = ops(self.w).__name__.rpartition(".")[2]
            self.packed = self.pack(kernels(f"{self.fast}.packed"))

    def end(self, y):
        return ops(y).relu(y, 0.0, None, 0.0) if self.relu else y


class Convolution(Linear):
    """Of a Conv2D or DepthwiseConv2D, the latter as one group a channel. A second input is a residual:
    y = x * w + b + residual."""

    takes_residual = True

    def __init__(self, layer, inputs, output, name):
        super().__init__(layer, inputs, output, name)
        depthwise = isinstance(layer, DepthwiseConv2D)
        self.groups = self.w.shape[3] // layer.depth_multiplier if depthwise else layer.groups

    def shape(self, shapes):
        return self.layer.checked_output_shape(shapes[0])

    def pack(self, module):
        return module.PackedConv2D(self.w, self.b, self.layer.strides, self.layer.dilation, self.groups)

    def run(self, xs, out):
        x, *residual = xs
        check_operands(self.layer, x)
        strides, dilation = self.layer.strides, self.layer.dilation
        padding = resolve_padding(self.layer.padding, x.shape[1:3], self.layer.kernel_size, strides, dilation)
        if self.is_packed_for(x):
            return self.packed(x, padding, residual[0] if residual else None, self.relu, out)
        if self.groups > 1 and self.w.shape[2] == 1:
            y = ops(x).depthwise_conv2d(x, self.w, self.b, strides, padding, dilation)
        else:
            y = ops(x).conv2d(x, self.w, self.b, strides, padding, dilation, self.groups)
        return self.end(ops(x).add(residual[0], y, 1.0) if residual else y)


class Product(Linear):
    """Of a Dense layer."""

    def shape(self, shapes):
        return self.layer.checked_output_shape(shapes[0])

    def pack(self, module):
        packed = module.PackedDense(self.w, self.b)
        self.w = None                            # of VGG-16 half a gigabyte, which `packed` has
        return packed

    def run(self, xs, out):
        check_operands(self.layer, xs[0])
        if self.is_packed_for(xs[0]):
            return self.packed(xs[0], self.relu, out)
        w = self.w if self.packed is None else self.packed.weights()
        return self.end(ops(xs[0]).dense(xs[0], w, self.b))


class Norm(Step):
    """A BatchNorm that has no linear layer before it: the scale and shift of its running statistics."""

    def __init__(self, layer, inputs, output, name):
        super().__init__(layer, inputs, output, name)
        arrays = layer.weight.value, layer.bias.value, layer.buffer("running_mean"), layer.buffer("running_var")
        self.arrays = [array.copy() for array in arrays]

    def run(self, xs, out):
        check_operands(self.layer, xs[0])
        return ops(xs[0]).batch_norm_inference(xs[0], *self.arrays, self.layer.epsilon)


class Activation(Step):
    """An activation, whether a layer of its own or another one's `activation=`."""

    def run(self, xs, out):
        return self.layer.run(xs[0], training=False)[0]


class Sum(Step):
    """y = shortcut + scale · main, for the inputs (shortcut, main)."""

    def run(self, xs, out):
        return ops(xs[0]).add(*xs, self.layer.scale)


class Join(Step):
    """Branches side by side in the channels."""

    def shape(self, shapes):
        return (*shapes[0][:-1], sum(shape[-1] for shape in shapes))

    def run(self, xs, out):
        return ops(xs[0]).concat(list(xs))


class Call(Step):
    """Any other layer: its own inference call."""

    def shape(self, shapes):
        return self.layer.checked_output_shape(shapes[0])

    def run(self, xs, out):
        return check_array(self.layer, self.layer(xs[0]), "its output")
