"""How images are made into what published weights expect: read from timm's config.json, or what is published.

Sources of the table: the weights' entries in torchvision.models (IMAGENET1K_V1; the networks of Szegedy et al. with
transform_input, which turns ImageNet's normalisation into mean = std = 0.5), and timm's default_cfgs of the same names.
"""

import json
import math
from fractions import Fraction
from typing import NamedTuple

from scratchnet.data import Preprocessing
from scratchnet.data.resize import INTERPOLATIONS
from scratchnet.models import MODELS

IMAGENET = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))       # mean and std of its pixels, as torchvision has them
HALF = ((0.5,) * 3, (0.5,) * 3)                                 # from -1 to 1: Inception
UNPUBLISHED = ("lenet5", "lenet5_1998", "alexnet", "googlenet", "resnet50_v1")
CENTRE, LEAST_CROP = "center", 0.1                              # less would be a slip, and fill the memory


class Published(NamedTuple):
    """crop: the share of the resized image's side that is cut out of its centre."""

    crop: Fraction
    interpolation: str
    statistics: tuple


USUAL = Published(Fraction(224, 256), "bilinear", IMAGENET)
DEFAULTS = {                                                    # of the others USUAL, theirs or not
    "googlenet_bn": Published(Fraction(224, 256), "bilinear", HALF),
    "inception_v3": Published(Fraction(299, 342), "bilinear", HALF),
    "inception_v4": Published(Fraction("0.875"), "bicubic", HALF),
    "inception_resnet_v2": Published(Fraction("0.8975"), "bicubic", HALF),
    "xception": Published(Fraction("0.8975"), "bicubic", HALF),
}


def default(name, input_shape):
    """(Preprocessing or None, a note) for the model `name`, where its weights do not say. For another input_shape than
    the published one, the resized image grows or shrinks in proportion."""
    if name not in MODELS or input_shape[2:] != (3,):
        return None, (f"preprocessing: none is known for {name or 'this network'} and images of {_by(input_shape)}; "
                      "the file does not say it either")
    preprocessing = _made(DEFAULTS.get(name, USUAL), input_shape)
    whose = f"the usual one of ImageNet, for {name} has none that is published" if name in UNPUBLISHED else \
        f"the published default of {name}"
    return preprocessing, f"preprocessing: {whose}, {in_words(preprocessing)}"


def from_config(path, input_shape):
    """(Preprocessing or None, class names or None, notes) of timm's config.json; None where it says nothing of it.

    Also its older form, without pretrained_cfg. test_input_size, for a larger image than in training, is not used.
    ValueError for what is not JSON, or numbers that cannot be meant.
    """
    config = _read(path)
    inner, notes = config.get("pretrained_cfg") or config, []
    try:
        return _from_timm(inner, input_shape, notes), _class_names({**config, **inner}), notes
    except (TypeError, ValueError, AttributeError, OverflowError, ZeroDivisionError) as error:
        raise ValueError(f"{path}: expected preprocessing as timm writes it (mean, std, crop_pct, interpolation), got "
                         f"{type(error).__name__}: {error}; repair it, or move it elsewhere") from None


def input_size(path):
    """The (H, W, C) of timm's config.json, whose input_size is [C, H, W], or None where it says none."""
    config = _read(path)
    inner = config.get("pretrained_cfg") or config
    size = inner.get("input_size") if isinstance(inner, dict) else None
    if not (isinstance(size, list) and len(size) == 3 and all(type(side) is int and side > 0 for side in size)):
        return None
    channels, height, width = size
    return height, width, channels


def adapted(preprocessing, saved_shape, input_shape):
    """The same for another input_shape than it was saved for: resized and cut out in proportion."""
    if tuple(saved_shape) == tuple(input_shape):
        return preprocessing
    resize = preprocessing.resize
    if resize is not None:
        resize = max(input_shape[:2]) * resize // max(preprocessing.size)
    return Preprocessing(preprocessing.mean, preprocessing.std, size=tuple(input_shape[:2]), resize=resize,
                         interpolation=preprocessing.interpolation)


def in_words(preprocessing):
    height, width = preprocessing.size
    numbers = [", ".join(f"{v:g}" for v in values) for values in (preprocessing.mean, preprocessing.std)]
    return (f"resize {preprocessing.resize} ({preprocessing.interpolation}), crop {height}x{width}, mean {numbers[0]}, "
            f"std {numbers[1]}")


def _read(path):
    """A dict, empty where the file is of another program. ValueError for what is not JSON."""
    try:
        config = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: expected JSON, as timm writes it beside weights, got {type(error).__name__}: "
                         f"{error}; repair it, or move it elsewhere") from None
    return config if isinstance(config, dict) else {}


def _made(published, input_shape):
    size, (mean, std) = tuple(input_shape[:2]), published.statistics
    return Preprocessing(mean, std, size=size, resize=math.floor(max(size) / published.crop),
                         interpolation=published.interpolation)


def _from_timm(config, input_shape, notes):
    if "mean" not in config or "std" not in config:
        return None
    interpolation, mode = config.get("interpolation", "bilinear"), config.get("crop_mode") or CENTRE
    if interpolation not in INTERPOLATIONS:
        notes.append(f"preprocessing: config.json asks for {interpolation!r}, bicubic is taken in its place")
        interpolation = "bicubic"
    if mode != CENTRE:
        notes.append(f"preprocessing: config.json asks for crop_mode {mode!r}, the centre is taken in its place")
    crop, statistics = config.get("crop_pct") or 0.875, (config["mean"], config["std"])
    if not LEAST_CROP <= crop <= 1 or len(config["mean"]) != input_shape[2]:
        raise ValueError(f"crop_pct {crop!r} and {len(config['mean'])} channels, for images of {_by(input_shape)}")
    return _made(Published(crop, interpolation, statistics), input_shape)


def _class_names(config):
    """label_names (labels in older files), a list or {number: name}, in words where label_descriptions has them."""
    names = config.get("label_names") or config.get("labels")
    if not names:
        return None
    if isinstance(names, dict):
        names = [names.get(str(number)) for number in range(len(names))]
        if None in names:                                       # not every class has one
            return None
    described = config.get("label_descriptions")
    described = described if isinstance(described, dict) else {}
    return [str(described.get(str(name), name)) for name in names]


def _by(shape):
    return "x".join(map(str, shape))
