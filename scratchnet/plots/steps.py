"""A model as the chain of steps its Sequentials make, run for one image with every output and gradient in sight."""

import contextlib

import numpy as np

from scratchnet.backend import array_like
from scratchnet.layers.containers import Sequential
from scratchnet.layers.running import watch


def steps(model):
    """The layers that run one after the other: Sequentials opened, blocks (Residual, Concat, your own) whole."""
    if not isinstance(model, Sequential):
        return [model]
    return [step for child in model.children().values() for step in steps(child)]


def follow(model, image, look, chain=None):
    """Run `model` for one image (H, W, C) as in inference; look(path, "forward", y) sees every leaf's output and
    every block's, in order. Returns (scores (1, classes), back), where back(dy) goes through the network once, and
    look(path, "backward", dy) sees dL/dy of each.

    back leaves the gradients of parameters as they were. Frozen layers are seen, too: every step runs for itself, and
    the frozen beginning of a Sequential inside a block, whose closures are not kept, is run again by its backward.
    ValueError for an image that does not fit.
    """
    image = np.asarray(image)
    if model.input_shape is None or image.shape != tuple(model.input_shape):
        raise ValueError(f"{model.label()}: expected one image {model.input_shape}, got {image.shape}; "
                         "make it with the checkpoint's preprocessing")
    parameters = list(model.parameters().values())
    x = image[None]                                                     # (H, W, C) -> (1, H, W, C)
    x = array_like(parameters[0].value, x) if parameters else x
    closures = []

    def seen(path, when, array, dx=None):
        look(path, when, array)

    with watch(seen):
        for step in steps(model) if chain is None else chain:
            x, backward = step.forward(x, training=False)
            if step.children():                                         # what is no leaf is not watched
                look(step.path, "forward", x)
            closures.append((step, backward))

    def back(dy):
        with watch(seen), untouched(parameters):
            while closures:
                step, backward = closures.pop()
                if step.children():
                    look(step.path, "backward", dy)
                dy = backward(dy)                                       # need_dx: dy of the step before
    return x, back


@contextlib.contextmanager
def untouched(parameters):
    """Inside it no backward adds to a parameter's gradient, as if all were frozen."""
    trained = [parameter for parameter in parameters if parameter.trainable]
    for parameter in trained:
        parameter.trainable = False
    try:
        yield
    finally:
        for parameter in trained:
            parameter.trainable = True
