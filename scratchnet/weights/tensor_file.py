"""Safetensors files, mapped into memory: a length (8 bytes, little-endian), a header of so many bytes, raw numbers.

    {"__metadata__": {text: text}, "NAME": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, …}

The format: https://huggingface.co/docs/safetensors. Nothing in such a file is ever executed. The library's own reader
for NumPy copies every tensor and refuses bfloat16; here arrays are views of the mapped file, so that weights of any
size need no memory beside those of the model. A file that another program cuts short while it is read, or a disk
that fails then, ends the process, as with every mapped file.
"""

import json
import math
import mmap
import os
import stat
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from scratchnet.weights.foreign import refuse

LONGEST_HEADER = 100_000_000    # bytes; the library's limit, too
BF16 = "BF16"                   # the upper half of a float32: NumPy has no such type, its bits come as uint16
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", BF16: "<u2", "I64": "<i8", "I32": "<i4", "I16": "<i2", "I8": "i1",
          "U64": "<u8", "U32": "<u4", "U16": "<u2", "U8": "u1", "BOOL": "?"}
FLOATS = ("F64", "F32", "F16", BF16)


@dataclass(frozen=True)
class Tensor:
    """What the header says of one: its dtype's name, shape, and where its bytes begin and end in the file."""

    dtype: str
    shape: tuple
    first: int
    stop: int


class TensorFile:
    """The `metadata` {text: text} and `tensors` {name: Tensor} of a safetensors file; a context manager.

    ValueError, with the file's name and what is wrong, for every other file; OSError where it cannot be read.
    """

    def __init__(self, path):
        self.path = Path(path)
        if not stat.S_ISREG(os.stat(self.path).st_mode):
            raise ValueError(f"{self.path}: expected a .safetensors file, got a folder, device or pipe; name a file")
        with open(self.path, "rb") as file:
            size, start = os.fstat(file.fileno()).st_size, file.read(512)
            refuse(self.path, start)
            length = int.from_bytes(start[:8], "little")
            if size < 8 or length > min(size - 8, LONGEST_HEADER):
                raise self._damaged(f"a header of {length:,} bytes in a file of {size:,}")
            file.seek(8)
            self.metadata, self.tensors = self._parse(file.read(length), 8 + length, size)
            self._map = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        try:
            self._map.close()
        except BufferError:             # someone holds an array still: the file stays mapped until that dies
            pass

    def array(self, name):
        """The tensor `name` as a read-only view of the file; of BF16 its bits, see `widened`."""
        tensor = self.tensors[name]
        dtype = np.dtype(DTYPES[tensor.dtype])
        return np.frombuffer(self._map, dtype, math.prod(tensor.shape), tensor.first).reshape(tensor.shape) \
            if tensor.stop > tensor.first else np.empty(tensor.shape, dtype)

    def _parse(self, header, first, size):
        """(metadata, tensors) of a header, checked against the size of the file; data begin at `first`."""
        try:
            values = json.loads(header.decode("utf-8"), object_pairs_hook=_without_twins)
        except (ValueError, RecursionError) as error:
            raise self._damaged(f"a header that is no JSON ({type(error).__name__}: {error})") from None
        if not isinstance(values, dict):
            raise self._damaged(f"a header that is a {type(values).__name__}, not an object")
        metadata = values.pop("__metadata__", {})
        if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
            raise self._damaged("metadata that are not texts")
        tensors = {name: self._tensor(name, entry, first) for name, entry in values.items()}
        end = first
        for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].first, item[1].stop)):
            if tensor.first != end:
                raise self._damaged(f"{shown(name)} at byte {tensor.first:,} of the file, where {end:,} is the end of "
                                    "what comes before it: tensors overlap, or leave a gap")
            end = tensor.stop
        if end != size:
            raise self._damaged(f"tensors that end at byte {end:,} of a file of {size:,}")
        return metadata, tensors

    def _tensor(self, name, entry, data):
        try:
            dtype, shape, (first, stop) = entry["dtype"], entry["shape"], entry["data_offsets"]
            if not all(type(n) is int and 0 <= n < 1 << 63 for n in (*shape, first, stop)) or len(shape) > 32:
                raise ValueError("expected sizes and offsets, integers >= 0")
        except (KeyError, TypeError, ValueError) as error:
            raise self._damaged(f"{shown(name)} with the entry {_short(entry)} ({type(error).__name__}: "
                                f"{error})") from None
        if not isinstance(dtype, str) or dtype not in DTYPES:
            raise ValueError(f"{self.path}: {shown(name)} has the dtype {_short(dtype)}; expected one of "
                             f"{', '.join(DTYPES)}, save it as one of these")
        wanted = math.prod(shape) * np.dtype(DTYPES[dtype]).itemsize
        if stop - first != wanted:
            raise self._damaged(f"{shown(name)}, {dtype} {_short(shape)}, of {stop - first:,} bytes instead of "
                                f"{wanted:,}")
        return Tensor(dtype, tuple(shape), data + first, data + stop)

    def _damaged(self, what):
        return ValueError(f"{self.path}: expected a whole safetensors file, got {what}; it was cut short, damaged, or "
                          "is of another kind: fetch it again")


def widened(array, dtype):
    """float32 of the bits of BF16; arrays of other dtypes as they are."""
    return (array.astype(np.uint32) << 16).view(np.float32) if dtype == BF16 else array


def _without_twins(pairs):
    values = dict(pairs)
    if len(values) != len(pairs):
        raise ValueError("a name that stands there twice")
    return values


def shown(name):
    """A tensor's name in a message: names in damaged files can be anything."""
    return name if name.isprintable() and len(name) <= 200 else _short(name)


def _short(value):
    text = ascii(value)
    return text if len(text) <= 80 else f"{text[:77]}..."
