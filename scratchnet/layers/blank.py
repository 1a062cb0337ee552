"""A network whose parameters are all zero, for who fills them from a file, or only counts them."""

from functools import partial

import numpy as np

from scratchnet.layers.parameter import Parameter

INITIALIZERS = ("kernel_initializer", "bias_initializer")


def init_with_zeros(model, input_shape):
    """model.init(…, input_shape) without drawing a number for its initializers; returns the output shape.

    Large arrays of zeros take no memory before something is written into them, so that half a gigabyte of VGG costs a
    millisecond.
    """
    layers = _all(model).values()
    drawing = [(layer, name, vars(layer)[name]) for layer in layers for name in INITIALIZERS if name in vars(layer)]
    for layer, name, _ in drawing:
        setattr(layer, name, lambda rng, shape: np.broadcast_to(np.float32(0), shape))
    for layer in layers:
        layer.add_parameter = partial(_add_zeros, layer)
    try:
        return model.init(0, input_shape)
    finally:
        for layer in layers:
            del layer.add_parameter
        for layer, name, initializer in drawing:
            setattr(layer, name, initializer)


def _add_zeros(layer, name, value):
    """Layer.add_parameter, but for the value."""
    layer._parameters[name] = Parameter(np.zeros(np.shape(value), np.float32), layer.trainable)
    return layer._parameters[name]


def _all(layer):
    """{id: layer} of the whole tree."""
    found = {id(layer): layer}
    for child in layer.children().values():
        found |= _all(child)
    return found
