"""A network whose parameters are all zero, for who fills them from a file, or only counts them."""

import numpy as np

from scratchnet.layers.parameter import Parameter


def init_with_zeros(model, input_shape):
    """model.init(…, input_shape) without drawing a number for its initializers; returns the output shape.

    Large arrays of zeros take no memory before something is written into them, so that half a gigabyte of VGG costs a
    millisecond.
    """
    layers = list(_all(model, {}).values())
    drawn = [dict(vars(layer)) for layer in layers]
    for layer in layers:
        for name in {"kernel_initializer", "bias_initializer"} & set(vars(layer)):
            setattr(layer, name, lambda rng, shape: np.broadcast_to(np.float32(0), shape))
        layer.add_parameter = lambda name, value, layer=layer: layer._parameters.setdefault(
            name, Parameter(np.zeros(np.shape(value), np.float32), layer.trainable))
    try:
        return model.init(0, input_shape)
    finally:
        for layer, before in zip(layers, drawn):
            del layer.add_parameter
            for name in {"kernel_initializer", "bias_initializer"} & set(before):
                setattr(layer, name, before[name])


def _all(layer, found):
    """{id: layer} of the whole tree."""
    if id(layer) not in found:
        found[id(layer)] = layer
        for child in layer.children().values():
            _all(child, found)
    return found
