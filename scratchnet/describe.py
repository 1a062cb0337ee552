"""A layer in words."""


def kind(layer):
    """What the layer is, its activation included: "Conv2D 5x5, valid, tanh"."""
    activation = getattr(layer, "activation", None)
    name = "" if activation is None else activation.describe()
    return layer.describe() + (f", {name.lower()}" if name not in ("", "Identity") else "")


def sizes(shape):
    """(28, 28, 6) -> "28 x 28 x 6"."""
    return " x ".join(map(str, shape))
