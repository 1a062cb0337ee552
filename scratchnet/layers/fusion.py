"""What stands behind a batch norm or a convolution and is run in its pass over memory: a residual that is added, a ReLU.

A container asks here which of its neighbours go together. They do so on the fast kernels only, and never under a watch:
those who look are shown one layer after the other. BatchNorm.forward does the work, with two more arguments, of which
Conv2D.forward takes the second,

    residual    y = BN(x) + residual
    relu        y = max(that, 0)

which a Sequential hands on to its last layer. On the way back Conv2D's backward takes two,

    init    dx = what goes through it + init, the gradient of a shortcut around it, which it may write into
    gate    dx = 0 where the gate, its x and some ReLU's result, is 0

which a Sequential hands on to its first layer: a Residual has them, and of two in a row the second does the ReLU of the
first, whose dy is then `gated`. A model file knows nothing of it.
"""

from functools import partial

from scratchnet.backend import kernels, ops
from scratchnet.layers.activation import Identity, is_plain_relu
from scratchnet.layers.conv import Conv2D
from scratchnet.layers.norm import BatchNorm
from scratchnet.layers.running import Backward, local


def one_pass(x):
    """Whether neighbours that receive an array like x may be run together."""
    return not local.watchers and ops(x) is not kernels("reference")


def is_open(layer):
    """Whether layer.forward(x, training, residual=..., relu=...) may be asked for: a batch norm with nothing behind it."""
    return type(layer) is BatchNorm and type(layer.activation) is Identity


def _takes_relu(layer):
    """Whether layer.forward(x, training, relu=...) may be asked for."""
    return type(layer) in (BatchNorm, Conv2D) and type(layer.activation) is Identity


def takes_init(layer):
    """Whether the layer's backward(dy, need_dx, init=..., gate=...) may be asked for."""
    return type(layer) is Conv2D


def passes(layers, x):
    """The forward of each layer; where a ReLU stands behind a batch norm or a convolution it is in that one's, and has
    nothing left."""
    forwards = [layer.forward for layer in layers]
    if one_pass(x):
        for index, (layer, follower) in enumerate(zip(layers, layers[1:])):
            if _takes_relu(layer) and is_plain_relu(follower):
                forwards[index:index + 2] = partial(layer.forward, relu=True), partial(_done, follower)
    return forwards


def _done(relu, y, training=True):
    """The forward of a ReLU that is part of y already. Its backward is in the other layer's too, which, should a watcher
    have come in between and want to see both, finds nothing left to do."""
    def backward(dy, need_dx=True):
        return ops(dy).relu_backward(dy, y, *relu.pieces) if local.watchers else dy
    return y, None if local.inference else Backward(relu, backward, y)
