"""Datasets in the four IDX files that MNIST came in: 28x28 grey images and labels 0 to 9, to train and to test."""

import hashlib
import os
from typing import NamedTuple

import numpy as np

from scratchnet.data.idx import GZIP_MAGIC, DataError, idx_size, read_idx
from scratchnet.data.splits import Arrays, Splits, checksum


class IdxFile(NamedTuple):
    """A file of a dataset: `name` without ".gz". What is known of it: the sha256 of the unpacked file, or the
    md5 of the packed one, where nothing better was published."""

    name: str
    shape: tuple
    sha256: str = None
    packed_md5: str = None

    @property
    def remote(self):
        return f"{self.name}.gz"

    @property
    def forms(self):
        return f"{self.name} or {self.remote}"

    @property
    def limit(self):
        size = idx_size(self.shape)
        return size + size // 100 + 4096  # gzip may make a file that much longer, no more

    def candidates(self, folder):
        names = (self.name, self.remote) if self.sha256 else (self.remote, self.name)  # what can be checked first
        return [folder / name for name in names if os.path.isfile(folder / name)]

    def kept_name(self, content):
        return self.remote if content.startswith(GZIP_MAGIC) else self.name  # some servers unpack on the way

    def read(self, source, notes=None, name=None):
        """The array. See published.py."""
        if self.sha256:
            return read_idx(source, self.shape, self.sha256, name)
        if not isinstance(source, bytes):
            name = name or str(source)
            with open(source, "rb") as file:
                source = file.read(self.limit + 1)
        if source.startswith(GZIP_MAGIC):
            got = hashlib.md5(source, usedforsecurity=False).hexdigest()
            if got != self.packed_md5:
                raise DataError(f"{name}: expected md5 {self.packed_md5} (of the packed file), got {got}; this is "
                                "another dataset or a damaged copy: download it again")
        elif notes is None:
            raise DataError(f"{name}: expected the gzip file, whose checksum is known, got another one; download it "
                            "again")
        else:
            notes.append(f"{name} could only be checked for its shape, for the checksum is that of {self.remote}")
        return read_idx(source, self.shape, name=name)


def make_splits(name, arrays, class_names, source, notes, mean=None, std=None):
    """Splits from four arrays: training images, training labels, test images, test labels. DataError for a label
    without a class."""
    images, labels = arrays[0::2], arrays[1::2]
    for values, split in zip(labels, ("training", "test")):
        if values.max() >= len(class_names):
            raise DataError(f"{name}: expected {split} labels from 0 to {len(class_names) - 1}, got {values.max()}; "
                            "download the file again")
    # (N, 28, 28) -> (N, 28, 28, 1)
    train, test = (Arrays(x[..., np.newaxis], y.astype(np.int64)) for x, y in zip(images, labels))
    return Splits(name, train, test, list(class_names), checksum(train, test), source, list(notes), mean, std)
