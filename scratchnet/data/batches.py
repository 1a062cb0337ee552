"""Batches of a dataset: one epoch is one pass in an order that (seed, epoch) decides."""

import numpy as np

from scratchnet.data.ahead import Plan, Waiting, ahead, cores
from scratchnet.data.image_files import ImageFiles
from scratchnet.data.permutation import permutation
from scratchnet.data.preprocessing import Preprocessing

FINITE_CHECK = 1024     # samples looked at together, so that the check needs little memory


class Batches:
    """`x` (N, H, W, C) and integer labels `y` (N,), served as (float32 images, int64 labels).

    uint8 `x` (an array or ImageFiles) goes through `augment(images, labels, samples, epoch)`, if there is one,
    and `preprocessing` (none given: x/255) as it is served; float32 `x` is served as it is. Image files and
    augmented batches are made by `workers` threads (default: one a core) while the step runs; how many changes
    no bit. The last batch may be smaller. Every array served is new. Raises TypeError or ValueError.
    """

    def __init__(self, x, y, batch_size, seed=0, shuffle=True, preprocessing=None, augment=None, workers=None):
        x, y = x if isinstance(x, ImageFiles) else np.asarray(x), np.asarray(y)
        _check_images(x, preprocessing, augment)
        _check_labels(y, len(x))
        workers = cores() if workers is None else workers
        for value, least, what in ((batch_size, 1, "batch_size"), (seed, 0, "seed"), (workers, 0, "workers")):
            _check_integer(value, least, what)
        if x.dtype == np.uint8 and preprocessing is None:
            channels = x.shape[-1]
            preprocessing = Preprocessing((0,) * channels, (1,) * channels)
        if preprocessing is not None and not isinstance(x, ImageFiles) and getattr(augment, "source_scale", 1) != 1:
            # a crop makes arrays smaller, and here they get their size back
            preprocessing = preprocessing.covering(x.shape[1:3])
        self.image_shape = x.shape[1:]      # of what is served, without the batch axis
        if preprocessing is not None:       # wrong channels are an error now
            self.image_shape = preprocessing(np.zeros((1, *(preprocessing.size or x.shape[1:3]), x.shape[-1]),
                                                      np.uint8)).shape[1:]
        self.x, self.y = x, y.astype(np.int64)
        self.batch_size, self.seed, self.workers = int(batch_size), int(seed), int(workers)
        self.shuffle, self.preprocessing, self.augment = shuffle, preprocessing, augment
        self.waiting = None     # of the last epoch that threads made: see Waiting

    def __len__(self):
        """Batches in an epoch, the last partial one included."""
        return -(-len(self.y) // self.batch_size)

    @property
    def only_normalised(self):
        """Whether zero padding and preprocessing.scale_and_shift are all that is done to images in an array of uint8."""
        return (type(self) is Batches and self.preprocessing is not None and self.augment is None
                and not isinstance(self.x, ImageFiles) and self.preprocessing.size in (None, self.x.shape[1:3]))

    def epoch(self, k, start=0, as_stored=False):
        """Iterate over epoch `k`, from batch `start` on: (images float32 (n, H, W, C), labels int64 (n,), or what
        `augment` makes of them). as_stored: the images are the uint8 ones; for Batches that are `only_normalised`."""
        _check_integer(k, 0, "epoch")
        _check_integer(start, 0, "start")
        order = permutation(len(self.y), self.seed, k) if self.shuffle else np.arange(len(self.y))
        chosen = [order[first:first + self.batch_size]
                  for first in range(start * self.batch_size, len(order), self.batch_size)]
        if as_stored:
            return ((np.take(self.x, samples, axis=0), np.take(self.y, samples)) for samples in chosen)
        if not isinstance(self.x, ImageFiles) and self.augment is None:
            return (self._finish(np.take(self.x, samples, axis=0), samples, k) for samples in chosen)
        self.waiting = Waiting(self.workers)
        return ahead(lambda number: self._plan(chosen[number], int(k)), len(chosen), self.waiting)

    def _plan(self, samples, epoch):
        if isinstance(self.x, ImageFiles):
            return self.x.plan(samples, lambda images: self._finish(images, samples, epoch))
        # take copies, in any order
        return Plan([lambda: 0], lambda: self._finish(np.take(self.x, samples, axis=0), samples, epoch))

    def _finish(self, images, samples, epoch):
        labels = np.take(self.y, samples)
        if self.augment is not None:
            images, labels = self.augment(images, labels, samples, epoch)
        if self.preprocessing is not None:
            images = self.preprocessing(images)
        return images, labels


def _check_images(x, preprocessing, augment):
    if x.dtype not in (np.uint8, np.float32):
        raise TypeError(f"Batches: expected x of uint8 or float32, got {x.dtype}; convert it, "
                        "for example with x.astype(np.float32)")
    if None in x.shape:
        raise ValueError("Batches: expected images of a known size, got image files; call sized(height, width, "
                         "channels) first")
    if len(x.shape) < 2 or (x.dtype == np.uint8 and len(x.shape) != 4):
        raise ValueError(f"Batches: expected x (N, H, W, C), got shape {x.shape}; add the missing axes")
    if len(x) == 0:
        raise ValueError("Batches: expected at least one sample, got none")
    if x.dtype == np.float32 and (preprocessing is not None or augment is not None):
        raise ValueError("Batches: expected uint8 x, which preprocessing and augment are for, got float32 x, which "
                         "is served as it is; give the uint8 images, or neither of them")
    if x.dtype == np.float32:
        _check_finite(x)


def _check_finite(x):
    for first in range(0, len(x), FINITE_CHECK):
        finite = np.isfinite(x[first:first + FINITE_CHECK]).reshape(len(x[first:first + FINITE_CHECK]), -1)
        if not finite.all():
            sample = first + int(np.argmin(finite.all(axis=1)))
            raise ValueError(f"Batches: expected finite numbers in x, got NaN or infinity in sample {sample}; "
                             "leave it out or repair it")


def _check_labels(y, n):
    if y.dtype.kind not in "iu":
        raise TypeError(f"Batches: expected integer labels y, got {y.dtype}; give class numbers")
    if y.shape != (n,):
        raise ValueError(f"Batches: expected one label a sample, y of shape ({n},), got {y.shape}; "
                         "class numbers, not one-hot rows, in the order of x")


def _check_integer(value, least, what):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"Batches: expected {what} to be an integer of at least {least}, got {value!r}")
