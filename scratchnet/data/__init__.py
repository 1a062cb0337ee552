"""Datasets as uint8 NHWC arrays, and the batches a model is trained with."""

import difflib

from scratchnet.data.batches import Batches
from scratchnet.data.idx import DataError
from scratchnet.data.preprocessing import Preprocessing
from scratchnet.data.splits import Arrays, Splits, split_validation

__all__ = ["Arrays", "Batches", "DataError", "Preprocessing", "Splits", "load", "names", "split_validation"]


def names():
    """The datasets that `load` knows."""
    return ["mnist", "mnist-sample"]


def load(name, data_dir=None):
    """The dataset of that name as Splits; look at `.name` of what comes, for mnist may become mnist-sample.

    Raises ValueError for an unknown name, DataError (also a ValueError) where a named folder has not got the
    data.
    """
    # Imported here: most users of Batches need no downloads.
    from scratchnet.data.mnist import load_mnist, load_sample

    if name == "mnist":
        return load_mnist(data_dir)
    if name == "mnist-sample":
        note = f"mnist-sample is part of the package: {data_dir} was not looked at"
        return load_sample([] if data_dir is None else [note])
    near = difflib.get_close_matches(str(name).lower(), names(), n=1)
    hint = f"did you mean {near[0]!r}?" if near else "take one of these"
    raise ValueError(f"dataset {name!r}: expected one of {', '.join(names())}, got an unknown name; {hint}")
