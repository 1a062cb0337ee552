"""A permutation that is the same on every machine and with every NumPy."""

import numpy as np


def permutation(n, *key):
    """The numbers 0 .. n-1 (int64) in an order that depends on n and the key (integers >= 0) alone.

    Each number draws a 64-bit word from Philox and the words are sorted. NumPy promises that the raw words of
    a bit generator and of SeedSequence never change; it promises no such thing of `Generator.permutation`.
    """
    words = np.random.Philox(np.random.SeedSequence(key)).random_raw(n)
    return np.argsort(words, kind="stable").astype(np.int64)  # stable: two equal words are no tie
