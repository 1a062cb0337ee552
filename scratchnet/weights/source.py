"""What a name of weights stands for: a file of ours, a checkpoint, a published file, one of the hub."""

import contextlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Callable

import numpy as np

from scratchnet import checkpoint
from scratchnet.data import Preprocessing
from scratchnet.version import __version__
from scratchnet.weights import hub
from scratchnet.weights.layout import LAYOUTS
from scratchnet.weights.tensor_file import BF16, DTYPES, Tensor, TensorFile

KEY = checkpoint.KEY            # in the file's metadata: what we say of it, in JSON
KIND = "weights"                # a checkpoint says no kind
VERSION = 1                     # of what save_weights says; later ones are refused
FOREIGN = ("tf", "flax", "jax", "mlx", "paddle")    # under "format": programs whose layouts are others


@dataclass(frozen=True)
class Source:
    """An opened file of weights. Where its metadata do not say, model is "" and what follows is None."""

    path: Path
    name: str                   # for people: the path, or hub:OWNER/REPO@COMMIT
    sha256: str                 # of a file of the hub, where its cache knows it
    layout: str                 # one of LAYOUTS
    tensors: dict               # {name: Tensor}
    array: Callable             # name -> array, read-only
    model: str = ""
    input_shape: tuple = None
    classes: int = None
    class_names: list = None
    preprocessing: Preprocessing = None
    dataset: dict = None        # of a checkpoint: what it was trained on

    def check_model(self, name):
        """ValueError where these are the weights of another model than `name`; "" on either side is nobody's."""
        if self.model and name and self.model != name:
            raise ValueError(f"{self.path}: expected weights of {name}, got those of {self.model}, as its metadata "
                             f"say; create {self.model}, or name other weights")


@contextlib.contextmanager
def opened(path):
    """The Source that a path or hub:OWNER/REPO[@REVISION] stands for, or a Source, opened already, as it is. ValueError
    and OSError name it."""
    if isinstance(path, Source):
        yield path
        return
    name, sha256 = str(path), None
    if name.startswith(hub.PREFIX):
        path, name, sha256 = hub.fetch(name)
    path = _file(path)
    with TensorFile(path) as file:
        values = _values(path, file.metadata)
        if values is not None and "kind" not in values:
            yield _of_checkpoint(path, name, sha256)
            return
        fields = {"layout": "pytorch"} if values is None else _checked(path, values)
        yield Source(path, name, sha256, tensors=file.tensors, array=file.array, **fields)


def _file(path):
    """The file that a path stands for: in a folder the best checkpoint of a run, or the one file that was fetched."""
    inside = sorted(Path(path).glob("*.safetensors")) if Path(path).is_dir() else []
    if len(inside) == 1 and inside[0].name != checkpoint.LAST:
        return inside[0]
    return checkpoint.locate(path)


def _of_checkpoint(path, name, sha256):
    saved = checkpoint.load(path)                       # into memory, for its checksum is over every bit
    dtypes = {np.dtype(code): dtype for dtype, code in DTYPES.items() if dtype != BF16}
    tensors = {key: Tensor(dtypes[array.dtype], array.shape, 0, 0) for key, array in saved.model_state.items()}
    return Source(path, name, sha256, "scratchnet", tensors, saved.model_state.__getitem__,
                  "" if saved.network else saved.model, saved.input_shape, saved.classes, saved.class_names,
                  saved.preprocessing, saved.dataset)


def _values(path, metadata):
    """What we say of the file, a dict, or None where it is not ours."""
    if KEY not in metadata:
        if metadata.get("format") in FOREIGN:
            raise ValueError(f"{path}: expected weights in PyTorch's layout or ours, got those of "
                             f"{metadata['format']}, as its metadata say; take the file that was published for PyTorch")
        return None
    try:
        values = json.loads(metadata[KEY])
        if not isinstance(values, dict):
            raise ValueError("no JSON object")
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected metadata in JSON, got {error}; it was damaged or edited") from None
    return values


def _checked(path, values):
    """The fields of Source that save_weights has written. ValueError for others, and for those of a later version."""
    version = values.get("format")
    if values["kind"] != KIND or type(version) is not int or not 1 <= version <= VERSION:
        raise ValueError(f"{path}: expected weights of format {VERSION}, got {values['kind']!r} of format {version!r}, "
                         f"written by scratchnet {values.get('scratchnet')}; this is {__version__}, install that")
    try:
        layout, model, shape, classes, names = (
            values[key] for key in ("layout", "model", "input_shape", "classes", "class_names"))
        if layout not in LAYOUTS or not isinstance(model, str):
            raise ValueError(f"the layout {layout!r} of {model!r}")
        if not (isinstance(names, list) and all(isinstance(name, str) for name in names) or names is None):
            raise ValueError("class names that are no texts")
        if not all(type(size) is int and size > 0 for size in (*shape, classes)):
            raise ValueError(f"the input shape {shape} and {classes} classes")
        preprocessing = values["preprocessing"]
        preprocessing = None if preprocessing is None else Preprocessing.from_dict(preprocessing)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: expected the metadata of save_weights, got {type(error).__name__}: {error}; it was "
                         "damaged or edited") from None
    return {"layout": layout, "model": model, "input_shape": tuple(shape), "classes": classes,
            "class_names": names, "preprocessing": preprocessing}
