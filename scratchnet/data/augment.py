"""Augmentation of whole batches, named as the field names it: `parse("crop,flip,mixup=0.2", ...)`.

Everything random is a function of (seed, epoch, sample, place in the text): the same sample is changed in the same
way in every batch, by every worker and after resuming, but for mixup's partner.
"""

import difflib
from typing import NamedTuple

import numpy as np

from scratchnet.data.draws import Draws
from scratchnet.data.jitter import ColorJitter, Cutout, RandomCrop, RandomHorizontalFlip
from scratchnet.data.mixup import Mixup
from scratchnet.data.warp import KEPT, Elastic, RandomAffine, RandomResizedCrop

__all__ = ["NAMES", "Augmentation", "ColorJitter", "Cutout", "Elastic", "Mixup", "RandomAffine", "RandomCrop",
           "RandomHorizontalFlip", "RandomResizedCrop", "parse"]


class Kind(NamedTuple):
    """What a name stands for: make(strength, fill), the usual strength, and its range."""

    make: callable
    usual: float
    least: float
    most: float
    words: str


KINDS = {
    "crop": Kind(RandomCrop, 4, 1, 1024, "move by up to {} pixels, what comes in is filled"),
    "resized-crop": Kind(lambda least, fill: RandomResizedCrop(least), 0.25, 0.01, 1,
                         "a part of {} to all of the area, resized"),
    "flip": Kind(lambda probability, fill: RandomHorizontalFlip(probability), 0.5, 0, 1,
                 "exchange left and right, with probability {}"),
    "affine": Kind(lambda degrees, fill: RandomAffine(degrees, fill=fill), 10, 0, 180,
                   "rotate and shear by up to {} degrees, shift, scale and squeeze a little"),
    "elastic": Kind(Elastic, 0.03, 0, 0.5, "bend, moving pixels by {} of the side"),
    "color": Kind(lambda strength, fill: ColorJitter(strength), 0.4, 0, 1,
                  "brightness, contrast and saturation times 1 ± {}"),
    "cutout": Kind(Cutout, 8, 1, 1024, "fill a square of {} pixels a side"),
    "mixup": Kind(None, 0.2, 0.01, 2, "blend with another image and its label, Beta({0}, {0}); always last"),
}
NAMES = {name: kind.words.format(kind.usual) for name, kind in KINDS.items()}


def parse(text, classes, fill=0.0, seed=0):
    """The Augmentation of a text like "affine,cutout=8,mixup=0.2": names in the order in which they are applied.

    =value is the main strength, NAMES tells the usual one. fill: 0 to 255, a number or one for each channel, for
    pixels that come from outside the image. ValueError for unknown names and values out of range.
    """
    transforms, mixup = [], None
    names = []
    for part in text.split(","):
        name, equals, value = (word.strip() for word in part.partition("="))
        if name not in KINDS:
            near = difflib.get_close_matches(name.lower(), KINDS, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise ValueError(f"augment: unknown {name!r} in {text!r}; {hint}known: {', '.join(KINDS)}")
        if name in names:
            raise ValueError(f"augment: expected each name once, got {name} twice in {text!r}; leave one out")
        names.append(name)
        strength = _strength(name, value) if equals else KINDS[name].usual
        if name == "mixup":
            mixup = Mixup(strength, classes=classes)
        else:
            transforms.append(KINDS[name].make(strength, fill))
    return Augmentation(text, transforms, mixup, seed, KEPT if "resized-crop" in names else 1.0)


def _strength(name, value):
    kind = KINDS[name]
    whole = isinstance(kind.usual, int) and name != "affine"        # pixels are, degrees need not be
    try:
        strength = int(value) if whole else float(value)
    except ValueError:
        strength = float("nan")
    if not kind.least <= strength <= kind.most:
        what = "a whole number" if whole else "a number"
        raise ValueError(f"augment: expected {what} from {kind.least} to {kind.most} for {name}, got {value!r}; "
                         f"{name}={kind.usual} is usual")
    return strength


class Augmentation:
    """transforms, each called as transform(images, draws), then mixup where there is one; `text` is its repr.

    source_scale: how much larger than the network's input the images should be stored.
    """

    def __init__(self, text, transforms, mixup=None, seed=0, kept=1.0):
        self.text, self.transforms, self.mixup, self.seed = text, list(transforms), mixup, int(seed)
        self.source_scale = 1 / kept

    def __call__(self, images, labels, samples, epoch):
        """images (n, H, W, C), labels int64 (n,), samples (n,) their numbers in the data set, epoch an int.

        -> new float32 images in 0..255, and labels, with mixup float32 (n, classes).
        """
        images = np.array(images, np.float32)
        for place, transform in enumerate(self.transforms):
            images = transform(images, Draws(self.seed, epoch, samples, place))
        if self.mixup:
            images, labels = self.mixup(images, labels, Draws(self.seed, epoch, samples, len(self.transforms)))
        return images, labels

    def __repr__(self):
        return self.text
