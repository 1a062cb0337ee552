"""load_weights: from a file, a run folder or the hub into a model, all of it or nothing."""

import sys
from dataclasses import dataclass, field
from pathlib import Path

from scratchnet import heads, models
from scratchnet.data import Preprocessing
from scratchnet.layers import Layer
from scratchnet.weights.hub import CONFIG
from scratchnet.weights.match import match
from scratchnet.weights.names import published
from scratchnet.weights.preprocessing import adapted, default, from_config, in_words, input_size
from scratchnet.weights.source import opened
from scratchnet.weights.transfer import check_finite, copy_in


@dataclass
class Loaded:
    """What load_weights found beside the weights.

    layout: "scratchnet" or "pytorch". source: the path, or hub:OWNER/REPO@COMMIT. sha256: of a file of the hub, where
    its cache knows it. notes: what was left as initialised, ignored, or taken from a table; printed, too.
    preprocessing: a Preprocessing, or None where none is known. class_names: of the head that was loaded, or None.
    """

    path: Path
    layout: str
    source: str
    sha256: str = None
    notes: list = field(default_factory=list)
    preprocessing: Preprocessing = None
    class_names: list = None


def load_weights(model, path):
    """Read weights into an initialised model; returns a Loaded, whose notes are printed to stderr.

    path: safetensors with the names and layout of torchvision or timm, or of save_weights; a checkpoint or run folder
    (its best one); hub:OWNER/REPO[@REVISION]; or a Source, one of these `opened`. Metadata decide the layout, none mean
    PyTorch's. float16, bfloat16 and float64 are converted. Only a head may have another number of classes, only
    auxiliary classifiers be absent: they stay as initialised. The preprocessing is the metadata's, or that of timm's
    config.json beside the file, or the published one; for another input_shape it resizes in proportion. Everything is
    checked first: ValueError or OSError, with the names and both shapes, leaves the model as it was. Frozen parameters
    are loaded, too.
    """
    check_model(model)
    with opened(path) as source:
        source.check_model(model.name)
        matched, notes = match(source.path, model, source.layout, source.tensors)
        loaded = Loaded(source.path, source.layout, source.name, source.sha256, notes)
        _add_meaning(loaded, source, model)
        pairs = [(slot, name, source.tensors[name].dtype, source.array(name)) for slot, name in matched]
        check_finite(source.path, pairs)
        copy_in(pairs)
        del pairs                                       # views of the file, which closes when the last one has gone
    for note in loaded.notes:
        print(f"{loaded.source}: {note}", file=sys.stderr)
    return loaded


def head_classes(name, source):
    """For how many classes the weights of the network `name` in an opened Source are; None where its head is not there.
    """
    if source.classes is not None:
        return source.classes
    weight = f"{heads.head(models.blank(name, classes=1)).path}.weight"
    ours = source.layout == "scratchnet"
    stored = weight if ours else published(name, weight)
    shape = source.tensors[stored].shape if stored in source.tensors else ()
    return shape[1 if ours else 0] if len(shape) == 2 else None


def image_shape(name, source):
    """The (H, W, C) that the weights in an opened Source are for, as its metadata or timm's config.json say, or None.

    ValueError where they are those of another network than `name`.
    """
    source.check_model(name)
    shape, config = source.input_shape, source.path.parent / CONFIG
    if shape is None and config.is_file():
        shape = input_size(config)
    return shape if shape is not None and len(shape) == 3 else None


def check_model(model):
    """TypeError or ValueError for what is no model, or has no parameters yet."""
    if not isinstance(model, Layer):
        raise TypeError("expected a model, a Layer such as sn.models.create makes, got "
                        f"{type(model).__name__} {model!r:.80}")
    if model.input_shape is None:
        raise ValueError(f"{model.label()}: expected a model whose parameters exist, got one before init; call "
                         "model.init(seed, input_shape), or make it with sn.models.create")


def _add_meaning(loaded, source, model):
    """Preprocessing and class names: from the metadata, config.json, or what is published."""
    preprocessing, class_names, notes = source.preprocessing, source.class_names, []
    config = source.path.parent / CONFIG
    if preprocessing is not None:
        preprocessing = adapted(preprocessing, source.input_shape, model.input_shape)
    elif source.layout == "pytorch" and config.is_file():
        preprocessing, described, notes = from_config(config, model.input_shape)
        class_names = class_names or described
        if preprocessing is not None:
            notes.append(f"preprocessing: that of {config}, {in_words(preprocessing)}")
    if preprocessing is None:
        preprocessing, note = default(model.name, model.input_shape)
        notes.append(note)
    loaded.preprocessing = preprocessing
    loaded.notes += notes
    if class_names is not None and model.checked_output_shape(model.input_shape) == (len(class_names),):
        loaded.class_names = list(class_names)          # a head with another number of classes was not loaded
