"""Checkpoints: safetensors files with tensors `model/NAME`, `optimizer/SLOT/NAME`, `progress/NAME`, and JSON metadata.

The format (https://huggingface.co/docs/safetensors) is a JSON header and plain numbers: reading it never runs
code. The metadata are one string under the key `scratchnet`, a JSON object with the fields of `Checkpoint`,
the format version and a sha256 over everything, so that a flipped bit is an error and not a slightly other
network.
"""

import dataclasses
import hashlib
import itertools
import json
from pathlib import Path

import numpy as np

from scratchnet import models, own_network
from scratchnet.data import Preprocessing
from scratchnet.files import to_json, write_atomically
from scratchnet.version import __version__

# Of the format; higher ones are refused. 2 added progress, network and the size of images, 3 how they get it (resize).
VERSION = 3
KEY = "scratchnet"
BEST, LAST = "best.safetensors", "last.safetensors"


class CheckpointError(ValueError):
    """A file that is no checkpoint, a damaged one, or one from the future."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A network as it stood at some step, and what is needed to use it or to go on."""

    model: str                          # a name that models.create knows, or FILE.py:FUNCTION
    input_shape: tuple                  # (H, W, C)
    classes: int
    class_names: list
    preprocessing: Preprocessing        # from uint8 images to what the model takes; None: it takes them as they are
    dataset: dict                       # name and checksum of what it was trained on
    optimizer: dict                     # Optimizer.config()
    counters: dict                      # epoch (finished ones) and step
    model_state: dict                   # Layer.state_dict()
    optimizer_state: dict               # Optimizer.state_dict()
    progress: dict = dataclasses.field(default_factory=dict)    # Position.state_dict(): of an unfinished epoch
    network: str = None                 # the text of FILE.py, for people to read; never run from here
    summary: str = None                 # repr of the model: another one of the same shapes is not taken for it


ARRAYS = {"model_state": "model/", "optimizer_state": "optimizer/", "progress": "progress/"}
OPTIONAL = ("network", "summary")       # format 1 has not got them
FIELDS = [field.name for field in dataclasses.fields(Checkpoint) if field.name not in ARRAYS]


def save(path, checkpoint):
    """Write it atomically: whatever happens, `path` is the old file or the new. OSError where it fails."""
    from safetensors.numpy import save as to_bytes

    tensors = {prefix + name: np.asarray(array, order="C") for field, prefix in ARRAYS.items()
               for name, array in getattr(checkpoint, field).items()}
    metadata = {"format": VERSION, "scratchnet": __version__}
    metadata |= {name: getattr(checkpoint, name) for name in FIELDS}
    if checkpoint.preprocessing is not None:
        metadata["preprocessing"] = checkpoint.preprocessing.to_dict()
    metadata["sha256"] = _digest(metadata, tensors)
    write_atomically(path, to_bytes(tensors, {KEY: to_json(metadata)}))


def load(path):
    """The Checkpoint in a file, or of a run folder its best one.

    FileNotFoundError where there is none; CheckpointError for a file that is unreadable, cut short, changed,
    not ours or of a later format. Nothing in the file is ever executed.
    """
    path = locate(path)
    metadata, tensors = _read(path)
    try:
        fields = {name: metadata.get(name) if name in OPTIONAL else metadata[name] for name in FIELDS}
        if fields["preprocessing"] is not None:
            fields["preprocessing"] = Preprocessing.from_dict(fields["preprocessing"])
        fields["input_shape"] = tuple(fields["input_shape"])
    except (KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: expected the fields of a checkpoint, got {type(error).__name__}: "
                              f"{error}; it was not written by scratchnet") from None
    for field, prefix in ARRAYS.items():
        fields[field] = {name[len(prefix):]: array for name, array in tensors.items()
                         if name.startswith(prefix)}
    return Checkpoint(**fields)


def load_model(path, network=None):
    """(model, Checkpoint) from a checkpoint file or a run folder: the network with its weights, on the CPU.

    network: FILE.py:FUNCTION, for a network that is the user's own: its code runs only if it is named here.
    CheckpointError where the network cannot be made, or is not the checkpoint's.
    """
    checkpoint, file = load(path), locate(path)
    own = checkpoint.network is not None or not checkpoint.model
    if own and network is None:
        made = f"by {checkpoint.model}" if checkpoint.model else "in a script"
        raise CheckpointError(f"{file}: its network was made {made}, and code is never run from a checkpoint; name "
                              "a FILE.py:FUNCTION that makes it (--network; `summary CHECKPOINT --text` shows the "
                              "text it was made by), or load `scratchnet.checkpoint.load(path).model_state` into it")
    if network is not None and not own:
        raise CheckpointError(f"{file}: its network is {checkpoint.model}, which needs no --network {network}")
    try:
        if own:
            model = own_network.load(network).build(checkpoint.input_shape, checkpoint.classes, seed=0)
        else:
            model = models.create(checkpoint.model, checkpoint.input_shape, checkpoint.classes)
        model.load_state_dict(checkpoint.model_state)
    except ValueError as error:
        raise CheckpointError(f"{file}: its network cannot be made here: {error}") from None
    if own and checkpoint.summary:
        _compare(file, network, checkpoint.summary.splitlines()[1:], repr(model).splitlines()[1:])   # after the name
    return model, checkpoint


def _compare(file, network, expected, got):
    for there, here in itertools.zip_longest(expected, got, fillvalue="nothing"):
        if there != here:
            raise CheckpointError(f"{file}: expected the network that was trained, with {there.strip()}, got from "
                                  f"{network} one with {here.strip()}; name the file as it was (summary CHECKPOINT "
                                  "--text shows it)")


def locate(path):
    """The file that `path` stands for: itself, or the best checkpoint of a run folder."""
    path = Path(path)
    if not path.is_dir():
        if not path.exists():
            raise FileNotFoundError(f"{path}: expected a checkpoint (.safetensors) or a run folder, "
                                    "got no such file")
        return path
    if not (path / BEST).is_file():
        hint = (f"its run has not finished an epoch: name {path / LAST} instead" if (path / LAST).is_file()
                else "it is no run folder")
        raise FileNotFoundError(f"{path}: expected {BEST} in this folder, got none; {hint}")
    return path / BEST


def _read(path):
    """(metadata, {name: array}) of our safetensors file, with all that can be wrong with one."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            metadata = _parse(path, file.metadata() or {})
            tensors = {name: file.get_tensor(name) for name in file.keys()}
    except OSError as error:
        raise CheckpointError(f"{path}: expected a readable checkpoint, got {error}") from None
    except (SafetensorError, TypeError, AttributeError, KeyError) as error:   # dtypes that NumPy has not got
        raise CheckpointError(f"{path}: expected a whole safetensors file, got one that is damaged, cut "
                              f"short or of another kind ({error}); take another checkpoint") from None
    if metadata.pop("sha256", None) != _digest(metadata, tensors):
        raise CheckpointError(f"{path}: its content does not agree with its checksum, so it was damaged or "
                              "edited; take another checkpoint of the run")
    return metadata, tensors


def _parse(path, metadata):
    if KEY not in metadata:
        raise CheckpointError(f"{path}: expected a checkpoint written by scratchnet, got a safetensors file "
                              "of another program")
    try:
        values = json.loads(metadata[KEY])
        version = values["format"]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise CheckpointError(f"{path}: expected metadata in JSON, got {type(error).__name__}: {error}; it "
                              "was damaged or edited") from None
    if "kind" in values:                                # see scratchnet/weights/source.py
        raise CheckpointError(f"{path}: expected a checkpoint, got weights alone; name their network, and the file "
                              "behind --weights")
    if not isinstance(version, int) or not 1 <= version <= VERSION:
        raise CheckpointError(f"{path}: expected checkpoint format {VERSION}, got {version!r}, written by "
                              f"scratchnet {values.get('scratchnet')}; this is {__version__}, install that")
    return values


def _digest(metadata, tensors):
    """sha256 over the metadata and, by name, every tensor's dtype, shape and little-endian bytes."""
    digest = hashlib.sha256(json.dumps(metadata, sort_keys=True).encode("utf-8"))
    for name in sorted(tensors):
        array = tensors[name]
        little = np.asarray(array, array.dtype.newbyteorder("<"), order="C")
        digest.update(f"\0{name}\0{little.dtype.str}\0{array.shape}\0".encode("utf-8"))
        digest.update(little.reshape(-1).view(np.uint8))
    return digest.hexdigest()
