"""Images that stay in their files until they are wanted, as a uint8 (N, H, W, C) that is not all in memory."""

import functools
import threading
import weakref

import numpy as np

from scratchnet.data.ahead import Plan, Waiting, ahead, cores

# Bytes of decoded images that are kept for the next epoch, if all of a dataset take no more: an eighth of the
# memory of the smallest machines that people train on.
KEEP = 1 << 30
PIECE = 4       # images that a thread takes at a time


class Files:
    """All the image files of a dataset: `sources` with .read() -> bytes, and their `names`, for errors."""

    def __init__(self, sources, names):
        self.sources, self.names = list(sources), list(names)
        self.kept = weakref.WeakValueDictionary()       # (shape, Centre) -> Kept, for as long as someone wants that
        self.lock = threading.Lock()

    def keep(self, shape, centre):
        """The Kept for images (H, W, C) made in this way, the same one for all the splits."""
        with self.lock:
            kept = self.kept.get((shape, centre))
            if kept is None:
                kept = self.kept[shape, centre] = Kept((len(self.sources), *shape))
            return kept


class Kept:
    """Decoded images: uint8 (N, H, W, C), or None where that were too many, and which of them are there."""

    def __init__(self, shape):
        # Memory is taken as it is filled: the validation split of a large dataset costs what it needs.
        self.pixels = np.empty(shape, np.uint8) if np.prod(shape, dtype=np.int64) <= KEEP else None
        self.there = np.zeros(shape[0], bool)


class ImageFiles:
    """`files.sources[indices]` as images of `size` (H, W), None as long as that is not known.

    They cover the size, or are brought to it as the Centre says. Decoded where they are taken, in any thread, and kept
    in memory if all of the dataset's fit into KEEP bytes. `checked`: `sized` decodes them all at once, so that a damaged
    one is an error then (DataError).
    """

    dtype = np.dtype(np.uint8)

    def __init__(self, files, indices, channels, size=None, checked=False, centre=None):
        self.files, self.indices = files, np.asarray(indices, np.int64)
        self.channels, self.size, self.checked, self.centre = channels, size, checked, centre
        self.kept = files.keep((*size, channels), centre) if size else None

    @property
    def shape(self):
        """(N, H, W, C), H and W None before `sized`."""
        return len(self.indices), *(self.size or (None, None)), self.channels

    @property
    def names(self):
        return [self.files.names[index] for index in self.indices]

    def __len__(self):
        return len(self.indices)

    def __repr__(self):
        return f"ImageFiles{self.shape}"

    def select(self, indices):
        """Some of them, which share what is kept."""
        return ImageFiles(self.files, self.indices[indices], self.channels, self.size, self.checked, self.centre)

    def sized(self, height, width, channels, centre=None):
        """All of them as images (height, width, channels)."""
        sized = ImageFiles(self.files, self.indices, channels, (height, width), self.checked, centre)
        if self.checked:
            sized.check()
        return sized

    def take(self, indices):
        """Decode -> a new uint8 (n, H, W, C), in this thread."""
        chosen = self.indices[indices]
        out = np.empty((len(chosen), *self._shape()), np.uint8)
        self._read(chosen, out)
        return out

    def take_ahead(self, indices):
        """The same by as many threads as there are cores."""
        waiting = Waiting(cores())
        return next(ahead(lambda number: self.plan(indices, lambda images: images), 1, waiting))

    def check(self):
        """Decode every one of them. Raises DataError for the first that cannot be."""
        batches = range(0, len(self), 64)  # in batches, so that memory is bounded
        for _ in ahead(lambda n: self.plan(slice(batches[n], batches[n] + 64), len), len(batches), Waiting(cores())):
            pass

    def plan(self, indices, finish):
        """A Plan that makes finish(take(indices))."""
        chosen = self.indices[indices]
        out = np.empty((len(chosen), *self._shape()), np.uint8)
        pieces = [functools.partial(self._read, chosen[first:first + PIECE], out[first:first + PIECE])
                  for first in range(0, len(chosen), PIECE)]
        return Plan(pieces, lambda: finish(out))

    def _shape(self):
        if self.size is None:
            raise ValueError("ImageFiles: expected a size before images are read, got none; call sized(height, "
                             "width, channels) first")
        return (*self.size, self.channels)

    def _read(self, chosen, out):
        """Fill `out`; return how many had to be decoded. The kept ones may be written twice, with the same bits."""
        from scratchnet.data.images import read_pixels     # Pillow, for which `import scratchnet` need not wait

        pixels, there = self.kept.pixels, self.kept.there
        decoded = 0
        for place, index in enumerate(chosen):
            if there[index]:
                out[place] = pixels[index]
                continue
            name = self.files.names[index]
            out[place] = read_pixels(self.files.sources[index].read(), name, self.size, self.channels, self.centre)
            decoded += 1
            if pixels is not None:
                pixels[index] = out[place]
                there[index] = True     # last: another thread may look
        return decoded
