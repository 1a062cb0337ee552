"""From the tree of layers to a flat list of steps over numbered arrays; 0 is the images."""

from scratchnet.inference.steps import Activation, Call, Convolution, Join, Norm, Product, Sum
from scratchnet.layers.activation import BY_NAME, Identity
from scratchnet.layers.auxiliary import Auxiliary
from scratchnet.layers.containers import Concat, Residual, Sequential
from scratchnet.layers.conv import Conv2D, DepthwiseConv2D, SeparableConv2D
from scratchnet.layers.dense import Dense
from scratchnet.layers.dropout import Dropout
from scratchnet.layers.norm import BatchNorm

IDENTITIES = {Identity.forward, Dropout.forward, Auxiliary.forward}      # in inference
ACTIVATIONS = {kind.forward for kind in BY_NAME.values()}
LINEAR = {Conv2D.forward: Convolution, DepthwiseConv2D.forward: Convolution, Dense.forward: Product,
          BatchNorm.forward: Norm}


class Trace:
    """steps of `model` in the order of its forward, and `result`, the number of the array that it returns.

    A layer is known by its forward: a class of the user's own that has another is called as it stands.
    """

    def __init__(self, model):
        self.steps = []
        self.result = self.layer(model, 0)

    def layer(self, layer, x):
        """The number of the array that `layer` makes of array x, after adding the steps that do."""
        forward = type(layer).forward
        if forward in IDENTITIES:
            return x
        if forward in ACTIVATIONS:
            return self.add(Activation, layer, x)
        if forward in LINEAR:
            return self.activation(layer, self.add(LINEAR[forward], layer, x))
        if forward in (Sequential.forward, SeparableConv2D.forward):
            for child in layer.children().values():
                x = self.layer(child, x)
            return x
        if forward is Residual.forward:
            children = layer.children()
            shortcut = self.layer(children["shortcut"], x) if "shortcut" in children else x
            main = self.layer(children["main"], x)
            return self.activation(layer, self.add(Sum, layer, shortcut, main))
        if forward is Concat.forward:
            return self.add(Join, layer, *(self.layer(branch, x) for branch in layer.children().values()))
        return self.add(Call, layer, x)

    def activation(self, owner, x):
        """That of an `activation=` argument."""
        layer = owner.activation
        return x if type(layer).forward is Identity.forward else self.add(Activation, layer, x)

    def add(self, kind, layer, *inputs):
        output = len(self.steps) + 1
        self.steps.append(kind(layer, inputs, output, layer.path or type(layer).__name__))
        return output
