"""IDX files, the format MNIST comes in, read strictly: gzipped or raw, no byte more or less than expected.

Layout (https://yann.lecun.com/exdb/mnist): two zero bytes, one byte for the type (8 is uint8), one for the
number of dimensions, each dimension as a big-endian 32-bit integer, then the values, the last dimension
running fastest.
"""

import gzip
import hashlib
import io
import math
import struct
import zlib

import numpy as np

GZIP_MAGIC = b"\x1f\x8b"
TYPES = {8: "uint8", 9: "int8", 11: "int16", 12: "int32", 13: "float32", 14: "float64"}


class DataError(ValueError):
    """Data that is missing, damaged or not what it should be."""


def idx_size(shape):
    """Length in bytes of a raw IDX file that holds uint8 values of this shape."""
    return 4 + 4 * len(shape) + math.prod(shape)


def read_idx(source, shape, sha256=None, name=None):
    """The uint8 array of this shape in an IDX file: a path, or the bytes of a file, called `name` in errors.

    No more than the expected size plus one byte is ever unpacked. `sha256` is that of the unpacked file.
    Raises DataError (a ValueError) for a file that is cut short, too long, of another kind or shape, or
    changed.
    """
    if isinstance(source, bytes):
        return _read(io.BytesIO(source), tuple(shape), sha256, name or "the given bytes")
    with open(source, "rb") as file:
        return _read(file, tuple(shape), sha256, name or str(source))


def _read(file, shape, sha256, name):
    content = _unpack(file, idx_size(shape) + 1, name)
    _check_header(content, shape, name)
    if len(content) != idx_size(shape):
        got = f"{len(content)}" if len(content) < idx_size(shape) else "more"
        raise DataError(f"{name}: expected {idx_size(shape)} bytes for an IDX file of shape {shape}, got "
                        f"{got}; the file is damaged: download it again")
    if sha256 is not None:
        got = hashlib.sha256(content).hexdigest()
        if got != sha256:
            raise DataError(f"{name}: expected sha256 {sha256} (of the unpacked file), got {got}; this is "
                            "another dataset of the same shape or a damaged copy: download it again")
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape))
    return values.reshape(shape)  # (N*H*W,) -> (N, H, W), or (N,) as it is


def _unpack(file, limit, name):
    """The first `limit` bytes of the file, or of what it unpacks to."""
    packed = file.read(2) == GZIP_MAGIC
    file.seek(0)
    if not packed:
        return file.read(limit)
    try:
        with gzip.GzipFile(fileobj=file) as unpacked:
            return unpacked.read(limit)  # reads to the end, so gzip's own checksum is compared too
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise DataError(f"{name}: expected a whole gzip file, got one that is damaged or cut short "
                        f"({error}); download it again") from None


def _check_header(content, shape, name):
    expected = f"expected {_kind(len(shape))} in an IDX file of shape {shape}"
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] not in TYPES:
        raise DataError(f"{name}: {expected}, got a file that is not IDX (it begins with {content[:8]!r}); "
                        "put the right file there")
    if content[2] != 8:
        raise DataError(f"{name}: {expected}, uint8 values, got {TYPES[content[2]]} values; "
                        "put the right file there")
    if content[3] != len(shape):
        raise DataError(f"{name}: {expected}, got {_kind(content[3])} (dimensions: {content[3]}); "
                        "files may have changed names: put the right one there")
    header = content[4:4 + 4 * len(shape)]
    if len(header) < 4 * len(shape):
        raise DataError(f"{name}: {expected}, got {len(content)} bytes in all; download the file again")
    got = struct.unpack(f">{len(shape)}I", header)
    if got != shape:
        raise DataError(f"{name}: {expected}, got shape {got}; this is a file of another dataset or split: "
                        "put the right one there")


def _kind(dimensions):
    return {1: "labels", 3: "images"}.get(dimensions, "an array")
