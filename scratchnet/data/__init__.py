"""Datasets as uint8 NHWC arrays or image files, and the batches a model is trained with."""

import difflib
import os

from scratchnet.data.batches import Batches
from scratchnet.data.idx import DataError
from scratchnet.data.image_files import ImageFiles
from scratchnet.data.preprocessing import Preprocessing
from scratchnet.data.splits import Arrays, Splits, split_validation

__all__ = ["Arrays", "Batches", "DataError", "ImageFiles", "Preprocessing", "Splits", "is_path", "load", "names",
           "split_validation"]


def names():
    """The datasets that `load` knows by name."""
    return ["mnist", "mnist-sample", "fashion-mnist", "cifar10"]


def is_path(text):
    """Whether `load` takes this for a folder or archive: it exists or is written as a path, and is no name."""
    text = os.fspath(text)
    return text not in names() and (os.path.exists(text) or any(c in text for c in filter(None, (os.sep, os.altsep))))


def load(name, data_dir=None, validation_fraction=1 / 12):
    """The dataset of that name, or the images in a folder, .zip, .tar or .tar.gz, as Splits.

    Look at `.name` of what comes, for mnist may become mnist-sample. `validation_fraction` of the training images
    is set aside for validation where a folder has none; None: nothing is trained, a folder is for the test. Raises
    ValueError for an unknown name, DataError (also a ValueError) for data that is missing, damaged or not what it
    should be.
    """
    # Imported here: most users of Batches need no downloads and no archives.
    from scratchnet.data.cifar10 import load_cifar10
    from scratchnet.data.fashion_mnist import load_fashion_mnist
    from scratchnet.data.folder import load_folder
    from scratchnet.data.mnist import load_mnist, load_sample

    if is_path(name):
        splits = load_folder(name, validation_fraction, known=names())
        if data_dir is not None:
            splits.notes.append(f"{name} is a path: {data_dir} was not looked at")
        return splits
    published = {"mnist": load_mnist, "fashion-mnist": load_fashion_mnist, "cifar10": load_cifar10}
    if name in published:
        return published[name](data_dir)
    if name == "mnist-sample":
        note = f"mnist-sample is part of the package: {data_dir} was not looked at"
        return load_sample([] if data_dir is None else [note])
    near = difflib.get_close_matches(str(name).lower(), names(), n=1)
    hint = f"did you mean {near[0]!r}?" if near else "take one of these, or the path of a folder of images"
    raise ValueError(f"dataset {name!r}: expected one of {', '.join(names())}, got an unknown name; {hint}")
