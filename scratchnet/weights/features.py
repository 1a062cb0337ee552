"""In which order a layer's features come: the axes of an image that was flattened on the way, followed through a model.

A Flatten of (H, W, C) counts the channels fastest; PyTorch's, of (C, H, W), the pixels of a row. All that comes behind
it, up to the next dense layer, has its features in another order there.
"""

import math

from scratchnet.layers import Auxiliary, BatchNorm, Concat, Dense, Flatten, Residual, Sequential


def orders(model):
    """{id(layer): the images ((H, W, C), …) whose pixels, side by side, are its input}, for each layer of the tree.

    () where the input is an image still; (1, 1, n) stands for n features that have one order only. ValueError where
    that cannot be known: in a container of someone's own, around dense layers; and where flattened features go into
    arrays of which it is not known how they are ordered.
    """
    found = {}
    _walk(model, model.input_shape, _plain(model.input_shape), found)
    return found


def _plain(shape):
    """The order of features that nobody has flattened."""
    return ((1, 1, shape[0]),) if len(shape) == 1 else ()


def _walk(layer, shape, order, found):
    """Note the orders at and below `layer`, which takes features of this shape and order; return its output's."""
    if found.setdefault(id(layer), order) != order:
        raise ValueError(_cannot(layer, "it stands in two places, and its inputs come in another order in each"))
    children = list(layer.children().values())
    if isinstance(layer, Sequential):
        for child in children:
            shape, order = _walk(child, shape, order, found)
        return shape, order
    if isinstance(layer, Residual):
        outputs = [_walk(child, shape, order, found) for child in children]
        if len({order for _, order in (*outputs, *[(shape, order)] * (len(outputs) == 1))}) > 1:
            raise ValueError(_cannot(layer, "the two sides that it adds have their features in different orders"))
        return outputs[0]
    if isinstance(layer, Concat):
        shapes, sides = zip(*(_walk(child, shape, order, found) for child in children))
        whole = (*shapes[0][:-1], sum(shape[-1] for shape in shapes))
        side_by_side = sum(sides, ())
        return whole, side_by_side if any(h * w > 1 for h, w, _ in side_by_side) else _plain(whole)
    if isinstance(layer, Auxiliary):
        for child in children:
            _walk(child, shape, order, found)
        return shape, order
    return _through_others(layer, children, shape, order, found)


def _through_others(layer, children, shape, order, found):
    """A leaf, or a container that is none of ours."""
    if any(isinstance(leaf, (Dense, Flatten)) for child in children for leaf in child.leaves()):
        raise ValueError(_cannot(layer, "it is no container of scratchnet, and the way to the dense layers inside is "
                                        "not known"))
    flattened = any(height * width > 1 for height, width, _ in order)
    if flattened and not isinstance(layer, (BatchNorm, Dense)) and any(
            array.dtype.kind == "f" for array in layer.state_dict().values()):
        raise ValueError(_cannot(layer, "its input comes from a Flatten, and how its arrays follow the order of that "
                                        "is not known"))
    for child in children:
        _walk(child, child.input_shape, (), found)
    output = layer.checked_output_shape(shape)
    if isinstance(layer, Flatten):
        return output, order or ((math.prod(shape[:-2]), *shape[-2:]),)
    changed = isinstance(layer, Dense) or output != shape
    return output, _plain(output) if changed else order                     # unchanged: activations, dropout, norms


def _cannot(layer, why):
    return f"{layer.label()}: {why}; PyTorch's layout cannot say that, use layout=\"scratchnet\""
