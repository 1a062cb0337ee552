"""CIFAR-10: 60,000 colour pictures of 32x32, in ten classes.  Krizhevsky 2009, "Learning multiple layers of
features from tiny images"; https://www.cs.toronto.edu/~kriz/cifar.html describes the binary version read here."""

import hashlib
import io
import os
import tarfile
from typing import NamedTuple

import numpy as np

from scratchnet.data.idx import DataError
from scratchnet.data.published import NotFound, not_found, obtain
from scratchnet.data.splits import Arrays, Splits, checksum

CLASS_NAMES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
SIDE = 32
RECORD = 1 + 3 * SIDE * SIDE        # the label, then the red, the green and the blue values, row by row
FOLDER = "cifar-10-batches-bin"     # in the archive
BATCHES = (*(f"data_batch_{i}.bin" for i in range(1, 6)), "test_batch.bin")     # the last is the test set
PLACES = (".", "cifar10")


class BatchesFile(NamedTuple):
    """The archive: `size` and sha256 as it is packed, `records` in each of its six files."""

    size: int
    sha256: str
    records: int = 10000
    name: str = "cifar-10-binary.tar.gz"

    @property
    def remote(self):
        return self.name

    @property
    def forms(self):
        return f"{self.name} or {FOLDER}/data_batch_1.bin and so on"

    @property
    def limit(self):
        return self.size

    def candidates(self, folder):
        """The archive, or one of the folders it was unpacked into."""
        archive, unpacked = folder / self.name, (folder / FOLDER, folder)
        return ([archive] if os.path.isfile(archive) else []) + [
            place for place in unpacked if os.path.isfile(place / BATCHES[0])]

    def kept_name(self, content):
        return self.name

    def read(self, source, notes=None, name=None):
        """(images uint8 (6, n, 32, 32, 3), labels int64 (6, n)). See published.py."""
        name = name or str(source)
        if not isinstance(source, bytes) and os.path.isdir(source):
            if notes is None:
                raise DataError(f"{name}: expected {self.name}, whose checksum is known, got a folder; remove it")
            notes.append(f"{name} could only be checked for its size and labels, for the checksum is that of "
                         f"{self.name}")
            contents = [self._read_batch(source / batch) for batch in BATCHES]
        else:
            contents = self._unpack(source, name)
        values = [self._values(content, f"{name}: {batch}") for batch, content in zip(BATCHES, contents)]
        return tuple(map(np.stack, zip(*values)))

    def _read_batch(self, path):
        if not os.path.isfile(path):
            raise DataError(f"{path}: expected six files {BATCHES[0]} to {BATCHES[-1]}, got five or fewer; unpack "
                            f"{self.name} again")
        with open(path, "rb") as file:
            return file.read(self.records * RECORD + 1)

    def _unpack(self, source, name):
        """The six files of the archive, which is what its checksum says before it is opened."""
        if not isinstance(source, bytes):
            with open(source, "rb") as file:
                source = file.read(self.size + 1)
        got = hashlib.sha256(source).hexdigest()
        if got != self.sha256:
            raise DataError(f"{name}: expected {self.size:,} bytes with sha256 {self.sha256}, got "
                            f"{len(source) if len(source) <= self.size else 'more'} with {got}; this is another file "
                            "or a damaged copy: download it again")
        with tarfile.open(fileobj=io.BytesIO(source), mode="r:gz") as archive:
            return [archive.extractfile(f"{FOLDER}/{batch}").read() for batch in BATCHES]

    def _values(self, content, name):
        if len(content) != self.records * RECORD:
            got = len(content) if len(content) < self.records * RECORD else "more"
            raise DataError(f"{name}: expected {self.records * RECORD} bytes, {self.records} records of {RECORD}, "
                            f"got {got}; unpack {self.name} again")
        records = np.frombuffer(content, np.uint8).reshape(self.records, RECORD)
        labels = records[:, 0].astype(np.int64)
        if labels.max() >= len(CLASS_NAMES):
            raise DataError(f"{name}: expected labels from 0 to {len(CLASS_NAMES) - 1}, got {labels.max()}; unpack "
                            f"{self.name} again")
        # (n, 3*32*32) -> (n, 3, 32, 32) -> (n, 32, 32, 3)
        return np.ascontiguousarray(records[:, 1:].reshape(-1, 3, SIDE, SIDE).transpose(0, 2, 3, 1)), labels


FILE = BatchesFile(170_052_171, "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd")
MIRRORS = (
    "https://www.cs.toronto.edu/~kriz/",
    "https://cave.cs.toronto.edu/kriz/",
    "https://storage.googleapis.com/s4tf-hosted-binaries/datasets/CIFAR10/",
)


def load_cifar10(data_dir=None, cache=None, mirrors=MIRRORS, patience=20.0, file=FILE):
    """CIFAR-10 as Splits. DataError where it cannot be had, with what was tried. As for load_mnist."""
    notes = []
    try:
        ((images, labels),), source = obtain("cifar10", [file], data_dir, cache, mirrors, patience, PLACES, notes)
    except NotFound:
        raise not_found("cifar10", [file.remote], notes) from None
    # (5, n, 32, 32, 3) -> (5n, 32, 32, 3): five batches to train, one to test
    train = Arrays(images[:-1].reshape(-1, SIDE, SIDE, 3), labels[:-1].reshape(-1))
    test = Arrays(images[-1], labels[-1])
    return Splits("cifar10", train, test, list(CLASS_NAMES), checksum(train, test), source, notes)
