"""Batches of a dataset in memory: one epoch is one pass in an order that (seed, epoch) decides."""

import numpy as np

from scratchnet.data.permutation import permutation
from scratchnet.data.preprocessing import Preprocessing


class Batches:
    """`x` (N, H, W, C) and integer labels `y` (N,), served as (float32 images, int64 labels).

    uint8 `x` stays uint8 in memory and goes through `preprocessing` as it is served (none given: x/255);
    float32 `x` is served as it is. The last batch may be smaller. Every array served is new: nothing writes
    into it later. Only NumPy runs here, so an epoch may be read from any thread. Raises TypeError or
    ValueError.
    """

    def __init__(self, x, y, batch_size, seed=0, shuffle=True, preprocessing=None):
        x, y = np.asarray(x), np.asarray(y)
        _check_images(x, preprocessing)
        _check_labels(y, len(x))
        for value, least, what in ((batch_size, 1, "batch_size"), (seed, 0, "seed")):
            _check_integer(value, least, what)
        if x.dtype == np.uint8 and preprocessing is None:
            channels = x.shape[-1]
            preprocessing = Preprocessing((0,) * channels, (1,) * channels)
        if preprocessing is not None:
            preprocessing(x[:1])  # wrong channels are an error now, not in the first epoch
        self.x, self.y = x, y.astype(np.int64)
        self.batch_size, self.seed = int(batch_size), int(seed)
        self.shuffle, self.preprocessing = shuffle, preprocessing

    def __len__(self):
        """Batches in an epoch, the last partial one included."""
        return -(-len(self.y) // self.batch_size)

    def epoch(self, k, start=0):
        """Iterate over epoch `k`, from batch `start` on: (images float32 (n, H, W, C), labels int64 (n,))."""
        _check_integer(k, 0, "epoch")
        _check_integer(start, 0, "start")
        order = permutation(len(self.y), self.seed, k) if self.shuffle else np.arange(len(self.y))
        return self._serve(order, start)

    def _serve(self, order, start):
        for first in range(start * self.batch_size, len(order), self.batch_size):
            chosen = order[first:first + self.batch_size]
            images = np.take(self.x, chosen, axis=0)  # take copies, in any order
            if self.preprocessing is not None:
                images = self.preprocessing(images)
            yield images, np.take(self.y, chosen)


def _check_images(x, preprocessing):
    if x.dtype not in (np.uint8, np.float32):
        raise TypeError(f"Batches: expected x of uint8 or float32, got {x.dtype}; convert it, "
                        "for example with x.astype(np.float32)")
    if x.ndim < 2 or (x.dtype == np.uint8 and x.ndim != 4):
        raise ValueError(f"Batches: expected x (N, H, W, C), got shape {x.shape}; add the missing axes")
    if len(x) == 0:
        raise ValueError("Batches: expected at least one sample, got none")
    if x.dtype == np.float32 and preprocessing is not None:
        raise ValueError("Batches: expected uint8 x, which preprocessing is for, got float32 x, which is "
                         "served as it is; give the uint8 images, or no preprocessing")


def _check_labels(y, n):
    if y.dtype.kind not in "iu":
        raise TypeError(f"Batches: expected integer labels y, got {y.dtype}; give class numbers")
    if y.shape != (n,):
        raise ValueError(f"Batches: expected one label a sample, y of shape ({n},), got {y.shape}; "
                         "class numbers, not one-hot rows, in the order of x")


def _check_integer(value, least, what):
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < least:
        raise ValueError(f"Batches: expected {what} to be an integer of at least {least}, got {value!r}")
