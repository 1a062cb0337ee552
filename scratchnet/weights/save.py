"""save_weights: a model's weights as safetensors, in our layout or in the one that torchvision and timm load."""

import functools
import math
from pathlib import Path

import numpy as np

from scratchnet.backend import to_host
from scratchnet.data import Preprocessing
from scratchnet.files import atomic_file, to_json
from scratchnet.layers import BatchNorm
from scratchnet.version import __version__
from scratchnet.weights.layout import LAYOUTS, slots
from scratchnet.weights.load import check_model
from scratchnet.weights.match import COUNTER
from scratchnet.weights.source import KEY, KIND, VERSION
from scratchnet.weights.tensor_file import BF16, DTYPES
from scratchnet.weights.transfer import blocks_of, run

BLOCK = 1 << 20                 # elements that are turned at a time


def save_weights(model, path, layout="scratchnet", preprocessing=None, class_names=None):
    """Write parameters and running statistics as safetensors; `path` is the old file or the whole new one.

    layout "scratchnet": our names and axes, read fastest. "pytorch": names and axes as published, which torchvision's
    and timm's models load with strict=True. In the metadata: model, input shape, layout, and, where given, the
    preprocessing (a Preprocessing) and a name for each class, so that load_weights knows them again. Needs 4 MB of
    memory, for a model on a GPU as much as its largest array. ValueError for an unknown layout, and for models whose
    order of features PyTorch's layout cannot say; OSError where it cannot be written.
    """
    check_model(model)
    path = Path(path)
    if layout not in LAYOUTS:
        raise ValueError(f"save_weights: expected a layout of {', '.join(LAYOUTS)}, got {layout!r}")
    if path.is_dir():
        raise IsADirectoryError(f"{path}: expected the name of a file to write, got a folder; add a name to it")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"{path}: expected a file in a folder that exists, got {path.parent}; create it first")
    metadata = _metadata(model, layout, preprocessing, class_names)
    tensors = _tensors(model, layout)
    with atomic_file(path) as file:
        file.write(_header(metadata, tensors))
        for tensor in tensors.values():
            if isinstance(tensor, np.ndarray):
                file.write(tensor.tobytes())
            else:
                _write(file, tensor)


def _metadata(model, layout, preprocessing, class_names):
    if not (preprocessing is None or isinstance(preprocessing, Preprocessing)):
        raise TypeError("save_weights: expected preprocessing to be a sn.data.Preprocessing or None, got "
                        f"{preprocessing!r}")
    output = model.checked_output_shape(model.input_shape)
    names = None if class_names is None else [str(name) for name in class_names]
    if names is not None and output != (len(names),):
        raise ValueError(f"save_weights: expected a name for each of the {output[-1]} classes of {model.label()}, got "
                         f"{len(names)}")
    values = {"kind": KIND, "format": VERSION, "scratchnet": __version__, "layout": layout, "model": model.name,
              "input_shape": list(model.input_shape), "classes": output[-1], "class_names": names,
              "preprocessing": None if preprocessing is None else preprocessing.to_dict()}
    return {"format": "pt"} | {KEY: to_json(values)} if layout == "pytorch" else {KEY: to_json(values)}


def _tensors(model, layout):
    """{tensor's name: Slot, or an array that the model has not got}, the widest dtypes first: so all are aligned."""
    tensors = {}
    for slot in slots(model, layout).values():
        tensors[slot.stored] = slot
        if layout == "pytorch" and isinstance(slot.owner, BatchNorm) and slot.key == "running_var":
            tensors[slot.stored.removesuffix(".running_var") + COUNTER] = np.zeros((), "<i8")
    return dict(sorted(tensors.items(), key=lambda item: -_dtype(item[1]).itemsize))


def _dtype(tensor):
    return (tensor if isinstance(tensor, np.ndarray) else tensor.array).dtype


def _header(metadata, tensors):
    names = {np.dtype(code): dtype for dtype, code in DTYPES.items() if dtype != BF16}
    header, first = {"__metadata__": metadata}, 0
    for name, tensor in tensors.items():
        shape = list(tensor.shape if isinstance(tensor, np.ndarray) else tensor.stored_shape)
        stop = first + math.prod(shape) * _dtype(tensor).itemsize
        header[name] = {"dtype": names[np.dtype(_dtype(tensor))], "shape": shape, "data_offsets": [first, stop]}
        first = stop
    text = to_json(header).encode("utf-8")
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _write(file, slot):
    """One array of the model, of a turned one a block of its first axis in the file at a time."""
    array = to_host(slot.array)
    little = array.dtype.newbyteorder("<")
    if not slot.is_turned:
        file.write(np.ascontiguousarray(array, little).data)
        return
    rows = max(1, BLOCK // math.prod(slot.stored_shape[1:])) if array.ndim > 1 else len(array)
    block = np.empty((min(rows, slot.stored_shape[0]), *slot.stored_shape[1:]), little)     # (O's block, I, …)
    for first in range(0, slot.stored_shape[0], rows):
        ours = array[..., first:first + rows]                                               # (…, I, O's block)
        stored = block[:ours.shape[-1]]
        run(functools.partial(np.copyto, there, here) for here, there in blocks_of(slot, ours, stored))
        file.write(stored.data)
