"""First values of weights: random, with a spread that keeps the size of signals (and gradients) from layer to layer.

fan_in and fan_out are the numbers of inputs to, and outputs fed by, one unit: for a convolution (KH, KW, C/groups, F)
they are KH·KW·C/groups and KH·KW·F, for a dense weight (IN, OUT) they are IN and OUT (Keras's counting).
"""

import math

import numpy as np

BLOCK = 1 << 18             # numbers, 2 MB of float64: they stay in the cache until they are float32


def zeros(rng, shape):
    return np.zeros(shape)


def ones(rng, shape):
    return np.ones(shape)


def glorot_uniform(rng, shape):
    """U(-a, a), a = √(6 / (fan_in + fan_out)): variance 2/(fan_in + fan_out).  Glorot & Bengio 2010, (16)."""
    return _uniform(rng, shape, 3 / np.mean(fans(shape)))


def glorot_normal(rng, shape):
    """N(0, 2 / (fan_in + fan_out)).  Glorot & Bengio 2010, (12)."""
    return _normal(rng, shape, 1 / np.mean(fans(shape)))


def he_uniform(rng, shape):
    """U(-a, a), a = √(6 / fan_in): variance 2/fan_in, for ReLUs, which halve it.  He et al. 2015b, section 2.2."""
    return _uniform(rng, shape, 6 / fans(shape)[0])


def he_normal(rng, shape):
    """N(0, 2 / fan_in).  He, Zhang, Ren, Sun 2015b, (10)."""
    return _normal(rng, shape, 2 / fans(shape)[0])


def he_normal_fan_out(rng, shape):
    """N(0, 2 / fan_out): the same for the way back; published ResNets start from it.  He et al. 2015b, (14)."""
    return _normal(rng, shape, 2 / fans(shape)[1])


def lecun_uniform(rng, shape):
    """U(-a, a), a = √(3 / fan_in): variance 1/fan_in.  LeCun, Bottou, Orr, Müller 1998, section 4.6."""
    return _uniform(rng, shape, 3 / fans(shape)[0])


def lecun_normal(rng, shape):
    """N(0, 1 / fan_in).  LeCun, Bottou, Orr, Müller 1998, section 4.6."""
    return _normal(rng, shape, 1 / fans(shape)[0])


BY_NAME = {function.__name__: function for function in (zeros, ones, glorot_uniform, glorot_normal, he_uniform,
                                                        he_normal, he_normal_fan_out, lecun_uniform, lecun_normal)}


def initializer(name_or_function):
    """A function (rng, shape) -> array for a name, or the function itself. ValueError for an unknown name."""
    if callable(name_or_function):
        return name_or_function
    if name_or_function not in BY_NAME:
        raise ValueError(f"initializer: expected a function (rng, shape) -> array or one of {', '.join(BY_NAME)}, "
                         f"got {name_or_function!r}")
    return BY_NAME[name_or_function]


def fans(shape):
    """(fan_in, fan_out) of a weight of two or more axes; a vector counts as both."""
    if len(shape) < 2:
        return shape[0], shape[0]
    window = math.prod(shape[:-2])
    return window * shape[-2], window * shape[-1]


def _uniform(rng, shape, squared_limit):
    limit = math.sqrt(squared_limit)
    return _drawn(shape, lambda count: rng.uniform(-limit, limit, count))


def _normal(rng, shape, variance):
    return _drawn(shape, lambda count: rng.normal(0.0, math.sqrt(variance), count))


def _drawn(shape, draw):
    """float32, from draw(count) -> float64 in blocks: the first dense layer of VGG would take 0.8 GB at once."""
    values = np.empty(math.prod(shape), np.float32)
    for first in range(0, values.size, BLOCK):
        block = values[first:first + BLOCK]
        block[...] = draw(block.size)
    return values.reshape(shape)
