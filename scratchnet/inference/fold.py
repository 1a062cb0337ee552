"""Fewer steps for the same function: batch norms, residual sums and ReLUs become part of the convolution before them.

A batch norm in inference is y = s z + t for each channel, s = γ/√(σ² + ε), t = β - s μ. Behind z = x * w + b it is
x * (s w) + (s b + t): a convolution with other weights, which are computed in float64 and rounded once.
Jacob et al. 2018, "Quantization and training of neural networks", section 3.2.
"""

from collections import Counter

from scratchnet.backend import array_module
from scratchnet.inference.steps import Activation, Linear, Norm, Sum
from scratchnet.layers.activation import ReLU

PLAIN = (0.0, None, 0.0)                         # the pieces of max(x, 0)


def fold(steps):
    """The steps with everything taken in that can be. Of a linear layer that nobody else looks at, that is.

    A step that takes in another moves to that one's place, where all it needs has been made.
    """
    uses = Counter(value for step in steps for value in step.inputs)
    makers = {}                                  # array -> the step that makes it, in order
    for step in steps:
        for value in reversed(step.inputs):      # of a sum: main before shortcut
            maker = makers.get(value)
            if isinstance(maker, Linear) and uses[value] == 1 and _takes_in(maker, step):
                del makers[value]
                maker.output, maker.names = step.output, maker.names + step.names
                step = maker
                break
        makers[step.output] = step
    return list(makers.values())


def _takes_in(linear, step):
    """Whether `linear` can do what `step` does with its output; if so, it does from now on."""
    if linear.relu:
        return False
    has_residual = len(linear.inputs) > 1
    if isinstance(step, Activation) and type(step.layer) is ReLU and step.layer.pieces == PLAIN:
        linear.relu = True
    elif isinstance(step, Norm) and not has_residual:
        s, t = _line(step)
        _scale(linear, s)
        linear.b = t if linear.b is None else linear.b + t
    elif isinstance(step, Sum) and linear.takes_residual and not has_residual:
        return _takes_in_sum(linear, step)
    else:
        return False
    return True


def _takes_in_sum(linear, step):
    """shortcut + scale · main, whichever of the two is `linear`'s output; only main can be scaled."""
    shortcut, main = step.inputs
    if linear.output == main:
        if step.layer.scale != 1:
            _scale(linear, step.layer.scale)
        linear.inputs += (shortcut,)
    elif step.layer.scale == 1:
        linear.inputs += (main,)
    else:
        return False
    return True


def _line(norm):
    """s, t (C,), in float64."""
    gamma, beta, mean, var = (array.astype("float64") for array in norm.arrays)
    s = gamma / array_module(var).sqrt(var + norm.layer.epsilon)
    return s, beta - s * mean


def _scale(linear, s):
    linear.w = linear.w.astype("float64") * s                    # (..., F) * (F,)
    linear.b = None if linear.b is None else linear.b.astype("float64") * s
