"""Random numbers as a function of where they are used, so that batches, workers and resuming change none of them."""

import numpy as np

from scratchnet.kernels.reference.philox import WORD, philox4x32

STREAM = 0x61756763     # sets these numbers apart from dropout's, which have the same generator and seed


class Draws:
    """What one transform draws in one epoch for `samples` (n,), their numbers in the data set.

    Number k of a sample is word k % 4 of the Philox block with the counter (sample, k // 4, epoch, transform) and
    the key `seed`: it depends on nothing else, above all not on the other samples of the batch.
    """

    def __init__(self, seed, epoch, samples, transform):
        seed, samples = int(seed), np.asarray(samples)
        if samples.size and not 0 <= samples.min() <= samples.max() <= WORD:
            raise ValueError(f"Draws: expected sample numbers from 0 to {WORD}, got {samples.min()} to "
                             f"{samples.max()}; number them by their place in the data set")
        self.samples = samples.astype(np.uint64)
        self.key = seed & WORD ^ STREAM, seed >> 32 & WORD
        self.epoch, self.transform = int(epoch) & WORD, int(transform)

    def uniform(self, count, low=0.0, high=1.0, start=0):
        """Numbers start .. start + count - 1 of every sample: float64 (count, n) between low and high, never either.

        `start` is a multiple of 4.
        """
        n = len(self.samples)
        block = np.arange(start // 4, (start + count + 3) // 4, dtype=np.uint64)
        shape = len(block), n
        counter = (np.broadcast_to(self.samples, shape), np.broadcast_to(block[:, np.newaxis], shape),
                   np.full(shape, self.epoch, np.uint64), np.full(shape, self.transform, np.uint64))
        words = np.stack(philox4x32(counter, self.key), axis=1)     # (blocks, 4, n)
        words = words.reshape(4 * len(block), n)[:count]            # (count, n)
        return low + (high - low) * ((words + 0.5) / 2 ** 32)       # exact in float64, for low 0 and high 1
