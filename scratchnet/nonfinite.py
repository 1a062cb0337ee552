"""Where numbers stopped being finite: in which layer's output, in which array of the state."""

import contextlib

import numpy as np

from scratchnet.backend import array_module
from scratchnet.layers.running import watch


@contextlib.contextmanager
def naming_the_culprit(model, images):
    """A FloatingPointError raised inside it comes out with the first layer that makes NaN or infinity of `images`."""
    try:
        yield
    except FloatingPointError as error:
        raise FloatingPointError(f"{error}; {culprit(model, images)}") from None


def culprit(model, images):
    """In words: the first place with a number that is not finite, when the batch runs through the model again."""
    if not finite(images):
        return "the images of this batch already hold NaN or infinity"
    labels, found = {leaf.path: leaf.label() for leaf in model.leaves()}, []

    def look(path, when, y, *_):
        if when == "forward" and not found and not finite(y):
            found.append(labels[path])

    with watch(look), np.errstate(all="ignore"):
        model.forward(images)
    if not found:
        return "every layer's output is finite, so it is the loss itself that overflows"
    return f"the first layer whose output is not finite is {found[0]}"


def check_state(state, step):
    """FloatingPointError that names the first array of Layer.state_dict() with NaN or infinity, after so many steps."""
    for name, array in state.items():
        if not finite(array):
            raise FloatingPointError(f"{name} is not finite after step {step}; lower the learning rate")


def finite(array):
    return bool(array_module(array).isfinite(array).all())
