"""The model zoo: `create` a network by name. The table below is the whole registry."""

import difflib

from scratchnet.models.lenet import lenet5

# name: (builder, input shape, classes, paper)
MODELS = {
    "lenet5": (lenet5, (32, 32, 1), 10, "LeCun, Bottou, Bengio, Haffner 1998"),
}


def names():
    """The names that `create` knows."""
    return list(MODELS)


def input_shape(name):
    """(H, W, C) of the paper's images."""
    return MODELS[name][1]


def create(name, input_shape=None, classes=None, seed=0):
    """The network `name`, initialised from `seed`: parameters exist, and every shape has been checked.

    input_shape (H, W, C) and classes default to the paper's. ValueError for an unknown name, with the nearest one, and,
    naming the layer, for an image that is too small.
    """
    if name not in MODELS:
        near = difflib.get_close_matches(str(name).lower(), MODELS, n=1)
        raise ValueError(f"unknown model {name!r}" + (f"; did you mean {near[0]!r}?" if near else "")
                         + f" Known: {', '.join(MODELS)}")
    builder, default_shape, default_classes, _ = MODELS[name]
    classes = default_classes if classes is None else classes
    if not isinstance(classes, int) or classes < 1:
        raise ValueError(f"{name}: classes must be a positive int, got {classes!r}")
    model = builder(classes)
    model.name = name
    model.init(seed, default_shape if input_shape is None else input_shape)
    return model
