"""What a dataset is: images and labels in two splits, and the checksum that says which data it was."""

import hashlib
from dataclasses import dataclass, field

import numpy as np

from scratchnet.data.permutation import permutation

VALIDATION_KEY = 2012  # any number, as long as it never changes


@dataclass(frozen=True, eq=False)
class Arrays:
    """Images uint8 (N, H, W, C) and labels int64 (N,)."""

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self):
        if self.images.dtype != np.uint8 or self.images.ndim != 4:
            raise ValueError(f"Arrays: expected uint8 images (N, H, W, C), got {self.images.dtype} "
                             f"{self.images.shape}; convert them or add the missing axis")
        if self.labels.dtype != np.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(f"Arrays: expected int64 labels ({len(self.images)},), one for each image, got "
                             f"{self.labels.dtype} {self.labels.shape}")

    def __len__(self):
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Splits:
    """A dataset. `checksum` is of the function below, `source` says where from, `notes` are for stderr.

    `mean` and `std` (one number for each channel, of pixels from 0 to 1) are measured where not given.
    """

    name: str
    train: Arrays
    test: Arrays
    class_names: list
    checksum: str
    source: str
    notes: list = field(default_factory=list)
    mean: tuple = None
    std: tuple = None

    @property
    def image_shape(self):
        """(H, W, C)"""
        return self.train.images.shape[1:]

    def statistics(self):
        """(mean, std), each one number for each channel: those given, else those of the training images."""
        if self.mean is not None and self.std is not None:
            return self.mean, self.std
        images = self.train.images
        pixels = np.arange(256) / 255
        mean, std = [], []
        for channel in range(images.shape[-1]):
            # From a histogram: exact sums in float64 without a float64 copy of the images.
            share = np.bincount(images[..., channel].ravel(), minlength=256) / images[..., channel].size
            mean.append(float(share @ pixels))
            std.append(float(np.sqrt(share @ (pixels - mean[-1]) ** 2)))
        return tuple(mean), tuple(std)


def checksum(train, test):
    """sha256 over shape and values of the four arrays, the same on every machine (labels as "<i8")."""
    digest = hashlib.sha256()
    for array in (train.images, train.labels.astype("<i8"), test.images, test.labels.astype("<i8")):
        digest.update(repr(array.shape).encode())
        digest.update(np.ascontiguousarray(array))
    return digest.hexdigest()


def split_validation(arrays, fraction):
    """(train, validation): a fixed choice of round(N·fraction) samples, whatever the training seed.

    Both keep the order of `arrays`. Raises ValueError where one of the two would be empty.
    """
    n = len(arrays)
    count = round(n * fraction)
    if not 0 < count < n:
        raise ValueError("split_validation: expected a fraction that leaves samples for both parts, "
                         f"got {fraction} of {n} samples; take one between 0 and 1")
    order = permutation(n, VALIDATION_KEY)
    train, validation = np.sort(order[count:]), np.sort(order[:count])
    return tuple(Arrays(arrays.images[chosen], arrays.labels[chosen]) for chosen in (train, validation))
