"""Which tensor of a file goes into which array of a model, and everything that may be wrong with that."""

import numpy as np

from scratchnet import heads
from scratchnet.layers import Dense
from scratchnet.weights.layout import slots
from scratchnet.weights.names import published
from scratchnet.weights.tensor_file import DTYPES, FLOATS, shown

MOST_LINES = 12                 # of a kind; a list of a thousand names helps nobody
COUNTER = ".num_batches_tracked"    # PyTorch's count of batches beside running statistics; no weight, and never needed


def match(path, model, layout, tensors):
    """([(Slot, tensor's name)], notes): what is to be copied, and what stays as it was initialised or is ignored.

    A head may have another number of classes, auxiliary classifiers may be absent on either side. ValueError lists all
    else that is missing, unexpected or misshaped, with both shapes, as the file names them and has their axes.
    """
    wanted = {slot.stored: slot for slot in slots(model, layout).values()}
    excused, notes = set(), []                          # names that neither loading nor the lists below have to do with
    for names, note in (*(_lonely_auxiliary(model, auxiliary, layout, wanted, tensors)
                          for auxiliary in heads.auxiliaries(model)),
                        *(_other_head(head, wanted, tensors) for head in _heads(model))):
        excused |= names
        notes += [note] * bool(names)
    if layout == "pytorch":
        excused |= {name for name in tensors if name.endswith(COUNTER)
                    and name.removesuffix(COUNTER) + ".running_mean" in (wanted.keys() | tensors.keys())}
    shared = {name: slot for name, slot in wanted.items() if name in tensors and name not in excused}
    problems = [
        [f"missing: {name} {slot.stored_shape}" for name, slot in wanted.items()
         if name not in tensors and name not in excused],
        [f"unexpected: {shown(name)} {tensor.shape}" for name, tensor in tensors.items()
         if name not in wanted and name not in excused],
        [f"{name}: expected {slot.stored_shape}, got {tensors[name].shape}" for name, slot in shared.items()
         if tensors[name].shape != slot.stored_shape],
        [f"{name}: expected the dtype {', '.join(_dtypes(slot))}, got {tensors[name].dtype}"
         for name, slot in shared.items() if tensors[name].dtype not in _dtypes(slot)]]
    if any(problems):
        names = "scratchnet's layout" if layout == "scratchnet" else "PyTorch's layout and the published names"
        raise ValueError(f"{path}: these weights do not fit {model.label()} in {names}, and nothing was loaded; name "
                         "the network that they were saved from:" + "".join(map(_lines, problems)))
    return [(slot, name) for name, slot in shared.items()], notes


def _lonely_auxiliary(model, auxiliary, layout, wanted, tensors):
    """(names, note) of a whole auxiliary classifier that only the model has, or, for small images, only the file."""
    if auxiliary.children():
        owners = {id(layer) for layer in _tree(auxiliary)}
        names = {name for name, slot in wanted.items() if id(slot.owner) in owners}
        return (set() if names & set(tensors) else names,
                f"the auxiliary classifier {auxiliary.path} stays as it is initialised: the file has none")
    prefix = f"{auxiliary.path}.head."
    prefix = published(model.name, prefix) if layout == "pytorch" else prefix
    return ({name for name in tensors if name.startswith(prefix)},
            f"the auxiliary classifier {auxiliary.path} of the file is ignored: the model's images are too small for "
            "it")


def _other_head(head, wanted, tensors):
    """(names, note) of a head that has another number of classes in the file, and nothing else that is wrong."""
    of_head, classes = [slot for slot in wanted.values() if slot.owner is head], set()
    for slot in of_head:
        shape = tensors[slot.stored].shape if slot.stored in tensors else ()
        if len(shape) != slot.array.ndim or tensors[slot.stored].dtype not in _dtypes(slot):
            return set(), None
        expected = list(slot.stored_shape)
        expected[slot.output_axis] = shape[slot.output_axis]
        if shape != tuple(expected):
            return set(), None
        classes.add(shape[slot.output_axis])
    if len(classes) != 1 or classes == {head.units}:
        return set(), None
    return ({slot.stored for slot in of_head},
            f"the head {head.label()} stays as it is initialised: the file has {classes.pop()} classes, the model "
            f"{head.units}")


def _heads(model):
    """The dense layers that end the model and its auxiliary classifiers."""
    try:
        found = [heads.head(model)]
    except ValueError:                                  # it ends in another layer, which must fit as it is
        found = []
    for auxiliary in heads.auxiliaries(model):
        found += [leaf for leaf in auxiliary.leaves() if isinstance(leaf, Dense)][-1:]
    return found


def _tree(layer):
    return [layer, *(below for child in layer.children().values() for below in _tree(child))]


def _dtypes(slot):
    """The names of dtypes that its tensor may have: floats for floats, for an integer those that fit into it."""
    if slot.array.dtype.kind == "f":
        return FLOATS
    return [name for name, dtype in DTYPES.items()
            if name not in FLOATS and np.can_cast(dtype, slot.array.dtype) and dtype != "?"]


def _lines(lines):
    more = [f"and {len(lines) - MOST_LINES} more like this"] if len(lines) > MOST_LINES else []
    return "".join(f"\n  {line}" for line in lines[:MOST_LINES] + more)
