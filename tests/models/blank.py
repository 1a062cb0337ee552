"""Networks of the zoo at full size, without the seconds that drawing their weights takes."""

from scratchnet import initializers
from scratchnet.models import MODELS


def blank(name):
    """The network `name` for the paper's images and classes, its convolutions' and dense layers' weights 0."""
    row = MODELS[name]
    model = row.builder(row.classes)
    model.name = name
    for leaf in model.leaves():
        if hasattr(leaf, "kernel_initializer"):
            leaf.kernel_initializer = initializers.zeros
    model.init(0, row.input_shape)
    return model


def size(model):
    """How many numbers it learns."""
    return sum(parameter.value.size for parameter in model.parameters().values())
