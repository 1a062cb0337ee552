"""Mixup: two images, and their labels, become one."""

import numpy as np

TRIES = 8       # pairs drawn at once; for alpha 1 every second pair will do


class Mixup:
    """x̃ = λ x + (1 - λ) x', ỹ = λ y + (1 - λ) y', λ from Beta(alpha, alpha).  Zhang et al. 2017, equation (2).

    The partner x' is the next sample of the batch, of the last one the first. λ is the sample's own.
    """

    def __init__(self, alpha=0.2, *, classes):
        self.alpha, self.classes = alpha, classes

    def __call__(self, images, labels, draws):
        """-> images float32 (n, H, W, C), labels float32 (n, classes)."""
        share = beta(self.alpha, draws).astype(np.float32)
        rows = np.zeros((len(labels), self.classes), np.float32)
        rows[np.arange(len(labels)), labels] = 1
        image_share, label_share = share.reshape(-1, 1, 1, 1), share.reshape(-1, 1)
        return (image_share * images + (1 - image_share) * np.roll(images, -1, axis=0),
                label_share * rows + (1 - label_share) * np.roll(rows, -1, axis=0))


def beta(alpha, draws):
    """λ (n,) from Beta(alpha, alpha): x/(x + y) where x + y <= 1, x = u^(1/alpha), y = v^(1/alpha), u and v even.

    Jöhnk 1964. In logarithms, as x and y may be too small for a float64.
    """
    share = np.full(len(draws.samples), np.nan)
    start = 0
    while np.isnan(share).any():
        drawn = np.log(draws.uniform(2 * TRIES, start=start)) / alpha           # (2*TRIES, n)
        for x, y in drawn.reshape(TRIES, 2, -1):
            fits = np.isnan(share) & (np.logaddexp(x, y) <= 0)
            share[fits] = 1 / (1 + np.exp(np.minimum(y - x, 700.0)))[fits]      # e^700 is within a float64
        start += 2 * TRIES
    return share
