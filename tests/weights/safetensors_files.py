"""Safetensors files made byte by byte, and small networks for them. Written apart from the package's own reader."""

import json
import math

import numpy as np

from scratchnet.layers import (Auxiliary, BatchNorm, Concat, Conv2D, Dense, Dropout, Flatten, GlobalAvgPool2D,
                               MaxPool2D, ReLU, Sequential)
from scratchnet.weights.layout import slots

NAMES = {np.dtype("f8"): "F64", np.dtype("f4"): "F32", np.dtype("f2"): "F16", np.dtype("i8"): "I64"}


def write(path, tensors, metadata=None, bfloat16=()):
    """{name: array} as a file; those of `bfloat16` with the lower half of each number cut off."""
    header, data = {} if metadata is None else {"__metadata__": metadata}, b""
    for name, array in tensors.items():
        bits = (array.view(np.uint32) >> 16).astype("<u2") if name in bfloat16 else array
        content = bits.tobytes()
        header[name] = {"dtype": "BF16" if name in bfloat16 else NAMES[array.dtype], "shape": list(array.shape),
                        "data_offsets": [len(data), len(data) + len(content)]}
        data += content
    return write_raw(path, header, data)


def write_raw(path, header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + data)
    return path


def network(classes=5, size=8):
    """Every kind of layer with arrays: convolution, batch norm, an auxiliary, branches, square dense ones."""
    model = Sequential(
        conv=Conv2D(6, (3, 2)), bn=BatchNorm(activation="relu"),
        aux=Auxiliary(Sequential(pool=MaxPool2D(3), flat=Flatten(), drop=Dropout(0.5), fc=Dense(classes)), 0.3),
        branches=Concat(Sequential(flat=Flatten(), fc=Dense(4)), Sequential(MaxPool2D(2), Flatten(), ReLU()),
                        Sequential(GlobalAvgPool2D())),
        drop=Dropout(0.5), norm=BatchNorm(), square=Dense(64), again=Dense(64, activation="relu"), fc=Dense(classes))
    model.init(0, (size, size - 1, 3))
    return model


def published_tensors(model, seed=0):
    """{name: float32 array in PyTorch's layout} for `network`: (O, I, KH, KW) and (O, I)."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, array in model.state_dict().items():
        if array.dtype.kind == "f":
            shape = (*array.shape[:1:-1], *array.shape[:2]) if array.ndim == 4 else array.shape[::-1]
            numbers = rng.standard_normal(shape) / math.sqrt(shape[-1])
            tensors[name] = (abs(numbers) + 0.5 if "var" in name else numbers).astype(np.float32)
    return tensors


def from_pytorch(model, tensors):
    """{published name: array in PyTorch's layout} -> {our name: array in ours}; integers are the model's own."""
    state = model.state_dict()
    for name, slot in slots(model, "pytorch").items():
        for here, there in slot.views(state[name], tensors[slot.stored]):
            here[...] = there
    return state


def filled(model, seed=1):
    """The model, each float of it drawn anew."""
    rng = np.random.default_rng(seed)
    model.load_state_dict({name: rng.uniform(0.5, 1.5, a.shape).astype(a.dtype) if a.dtype.kind == "f" else a
                           for name, a in model.state_dict().items()})
    return model


def same(model, state):
    """Whether the model's arrays are exactly those of `state`."""
    return all(np.array_equal(array, state[name]) for name, array in model.state_dict().items())
