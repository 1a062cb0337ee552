"""What a dataset is: images and labels in their splits, and the checksum that says which data it was."""

import hashlib
from dataclasses import dataclass, field, replace

import numpy as np

from scratchnet.data.image_files import ImageFiles
from scratchnet.data.permutation import permutation

VALIDATION_KEY = 2012       # any number, as long as it never changes
STATISTICS_IMAGES = 64      # the mean of so many is 0.025 from that of all (images' own means differ by some 0.2)


@dataclass(frozen=True, eq=False)
class Arrays:
    """Images uint8 (N, H, W, C), an array or ImageFiles, and labels int64 (N,)."""

    images: np.ndarray
    labels: np.ndarray

    def __post_init__(self):
        if self.images.dtype != np.uint8 or len(self.images.shape) != 4:
            raise ValueError(f"Arrays: expected uint8 images (N, H, W, C), got {self.images.dtype} "
                             f"{self.images.shape}; convert them or add the missing axis")
        if self.labels.dtype != np.int64 or self.labels.shape != self.images.shape[:1]:
            raise ValueError(f"Arrays: expected int64 labels ({len(self.images)},), one for each image, got "
                             f"{self.labels.dtype} {self.labels.shape}")

    def __len__(self):
        return len(self.labels)

    def take(self, indices):
        """Arrays of these samples, in this order; image files stay files."""
        files = isinstance(self.images, ImageFiles)
        return Arrays(self.images.select(indices) if files else self.images[indices], self.labels[indices])

    def sized(self, height, width, channels=None, centre=None):
        """The same with image files brought to this size as they are read, grey or RGB; arrays are as they are."""
        if not isinstance(self.images, ImageFiles):
            return self
        return Arrays(self.images.sized(height, width, channels or self.images.shape[-1], centre), self.labels)


@dataclass(frozen=True, eq=False)
class Splits:
    """A dataset. `checksum` says which data it is, `source` where it is from, `notes` are for stderr.

    `mean` and `std` (one number for each channel, of pixels from 0 to 1) are measured where not given.
    `validation` is None where nothing but the training set can be split for it. `files`, for image files, are
    the names in each split, in the order of the samples: {"train": [...], "validation": [...], "test": [...]}, and `size` is
    the (H, W) that all of them have, if they have one.
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
    validation: Arrays = None
    files: dict = None
    size: tuple = None

    @property
    def image_shape(self):
        """(H, W, C), or None for image files before `sized`."""
        shape = self.train.images.shape[1:]
        return None if None in shape else shape

    @property
    def channels(self):
        return self.train.images.shape[-1]

    def sized(self, height, width, channels=None, centre=None):
        """Splits whose image files are brought to this size as they are read; arrays are as they are.

        They cover it, or are cut as the Centre says. Raises DataError, now, for a validation or test image that cannot
        be decoded.
        """
        validation = None if self.validation is None else self.validation.sized(height, width, channels, centre)
        return replace(self, train=self.train.sized(height, width, channels, centre), validation=validation,
                       test=self.test.sized(height, width, channels, centre))

    def statistics(self):
        """(mean, std), each one number for each channel: those given, else those of the training images, of
        image files at most STATISTICS_IMAGES."""
        if self.mean is not None and self.std is not None:
            return self.mean, self.std
        images = self.train.images
        if isinstance(images, ImageFiles):
            images = images.take_ahead(np.sort(permutation(len(images), VALIDATION_KEY)[:STATISTICS_IMAGES]))
        counts = np.zeros((images.shape[-1], 256))
        for first in range(0, len(images), STATISTICS_IMAGES):  # bincount makes 8 bytes of each pixel
            some = images[first:first + STATISTICS_IMAGES]
            for channel, count in enumerate(counts):
                count += np.bincount(some[..., channel].ravel(), minlength=256)
        # From histograms: exact sums in float64 without a float64 copy of the images. (C, 256) @ (256,) = (C,)
        shares = counts / counts.sum(axis=1, keepdims=True)
        pixels = np.arange(256) / 255
        mean = shares @ pixels
        std = np.sqrt((shares * (pixels - mean[:, np.newaxis]) ** 2).sum(axis=1))
        std[std == 0] = 1                               # a channel that never changes stays as it is
        return tuple(map(float, mean)), tuple(map(float, std))


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
    return arrays.take(train), arrays.take(validation)
