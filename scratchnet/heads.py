"""The head of a classifier: the dense layer that turns features into one number a class. The rest is its backbone."""

from scratchnet.layers import Auxiliary, Dense


def head(model):
    """The Dense that ends `model`, which is initialised.

    ValueError where a layer behind the last one has weights of its own, learnt or fixed (LeNet-5 of 1998 ends in
    distances to a code for each class), or another number of outputs.
    """
    for leaf in reversed(_outside_auxiliaries(model)):
        if isinstance(leaf, Dense):
            return leaf
        weighted = any(array.dtype.kind == "f" for array in leaf.state_dict().values())
        if weighted or leaf.checked_output_shape(leaf.input_shape) != leaf.input_shape:
            break
    raise ValueError(f"{model.label()}: expected a network that ends in a Dense layer, its head, got none")


def auxiliaries(model):
    """The Auxiliary layers of the tree, in order; those left out because the images are small have no children."""
    found = [model] if isinstance(model, Auxiliary) else []
    for child in model.children().values():
        found += auxiliaries(child)
    return found


def freeze_backbone(model):
    """Leave the head alone to be trained: all other parameters are frozen, and their layers run as in inference.

    Dropout right before the head is part of how it is trained and stays. Auxiliary classifiers are frozen, so
    they do not run. Yosinski et al. 2014, section 1: features that are not tuned.
    """
    kept = {id(head(model))}
    for leaf in reversed(_outside_auxiliaries(model)):
        if id(leaf) not in kept:
            if leaf.parameters():
                break
            kept.add(id(leaf))
    _freeze(model, kept)


def _freeze(layer, kept):
    for child in layer.children().values():
        if any(id(leaf) in kept for leaf in child.leaves()):
            _freeze(child, kept)
        else:
            child.trainable = False


def _outside_auxiliaries(layer):
    if isinstance(layer, Auxiliary):
        return []
    children = layer.children().values()
    return [leaf for child in children for leaf in _outside_auxiliaries(child)] if children else [layer]
