"""PyTorch's layout and ours: which array of a model belongs to which tensor of a file, and how its axes turn.

    convolution   (O, I, KH, KW)  ->  (KH, KW, I, O)
    dense         (O, I)          ->  (I, O)
    dense behind a Flatten of (H, W, C): its inputs come in the order (C, H, W) there and (H, W, C) here

The owner's type decides, never a shape: a square matrix fits either way round.
"""

import collections
from dataclasses import dataclass

from scratchnet.layers import BatchNorm, Conv2D, Dense, DepthwiseConv2D, Layer
from scratchnet.weights.features import orders
from scratchnet.weights.names import published

LAYOUTS = ("scratchnet", "pytorch")


@dataclass(frozen=True)
class Slot:
    """One array of a model, and the tensor of a file that it is read from or written to.

    owner, key: the layer and its name for the array. stored: the tensor's name. order: see features.orders; None for
    files in our own layout.
    """

    owner: Layer
    key: str
    stored: str
    order: tuple = None

    @property
    def parameter(self):
        """Its Parameter, or None for a buffer."""
        return self.owner._parameters.get(self.key)

    @property
    def array(self):
        return self.owner._buffers[self.key] if self.parameter is None else self.parameter.value

    @property
    def stored_shape(self):
        return tuple(self.array.shape[axis] for axis in self._axes())

    @property
    def output_axis(self):
        """The axis of the stored tensor that has an entry for each of the layer's outputs."""
        return self._axes().index(self.array.ndim - 1)

    @property
    def is_turned(self):
        """Whether the elements come in another order in the file."""
        return self._axes() != tuple(range(self.array.ndim)) or self._is_permuted()

    def views(self, ours, stored):
        """Pairs of views, of an array as we have it and of one as it is stored, of the same elements in the same
        places."""
        if not self._is_permuted():
            axes = self._axes()
            yield ours, stored.transpose([axes.index(axis) for axis in range(len(axes))])
            return
        first = 0
        for height, width, channels in self.order:
            rows = slice(first, first + height * width * channels)
            first = rows.stop
            there = stored[..., rows].reshape(*stored.shape[:-1], channels, height, width)      # (O, C, H, W), or no O
            here = ours[rows].reshape(height, width, channels, *ours.shape[1:])                 # (H, W, C, O), or no O
            yield here, there.transpose((2, 3, 1, 0) if there.ndim == 4 else (1, 2, 0))

    def _axes(self):
        """Where each axis of the stored tensor stands in ours."""
        if self.order is not None and self.key == "weight":
            if isinstance(self.owner, (Conv2D, DepthwiseConv2D)):
                return (3, 2, 0, 1)
            if isinstance(self.owner, Dense):
                return (1, 0)
        return tuple(range(self.array.ndim))

    def _is_permuted(self):
        ordered = isinstance(self.owner, BatchNorm) or (isinstance(self.owner, Dense) and self.key == "weight")
        return ordered and any(height * width > 1 for height, width, _ in self.order or ())


def slots(model, layout="scratchnet"):
    """{our name: Slot} of the arrays of an initialised model, in order, shared layers once.

    layout "pytorch": under their published names, without the integers of Dropout, which PyTorch has not got.
    ValueError where two have one name, or a dense layer's order of inputs in PyTorch cannot be known.
    """
    if layout == "scratchnet":
        return {name: Slot(owner, key, name) for name, owner, key in _arrays(model, "", set())}
    order = orders(model)
    found = {name: Slot(owner, key, published(model.name, name), order[id(owner)])
             for name, owner, key in _arrays(model, "", set())}
    count = collections.Counter(slot.stored for slot in found.values())
    twins = [f"{name} ({slot.stored})" for name, slot in found.items() if count[slot.stored] > 1]
    if twins:
        raise ValueError(f"{model.label()}: some of its arrays have the same published name, {', '.join(twins[:4])}; "
                         "rename a layer, or use layout=\"scratchnet\"")
    return {name: slot for name, slot in found.items() if slot.array.dtype.kind == "f"}


def _arrays(layer, prefix, seen):
    """(our name, owner, key) of every parameter and buffer, named as state_dict does."""
    if id(layer) not in seen:
        seen.add(id(layer))
        for key in (*layer._parameters, *layer._buffers):
            yield prefix + key, layer, key
        for name, child in layer.children().items():
            yield from _arrays(child, f"{prefix}{name}.", seen)
