"""Philox4x32-10, a counter-based random generator: random words as a function of their position.

Salmon, Moraes, Dror & Shaw 2011, "Parallel random numbers: as easy as 1, 2, 3", sec. 3.3 and table 2. No state passes
from one word to the next, so any number of threads, on any device, draws the same words.
"""
from numpy import uint64

from .compile import helper

MULTIPLIER_0, MULTIPLIER_1 = uint64(0xD2511F53), uint64(0xCD9E8D57)
KEY_STEP_0, KEY_STEP_1 = uint64(0x9E3779B9), uint64(0xBB67AE85)      # the golden ratio and √3 - 1, in 32 bits
WORD, HALF = uint64(0xFFFFFFFF), uint64(32)
ROUNDS = 10


@helper
def philox4x32(c0, c1, c2, c3, k0, k1):
    """Four random 32-bit words for a counter and a key, all as uint64."""
    for _ in range(ROUNDS):
        product0, product1 = c0 * MULTIPLIER_0, c2 * MULTIPLIER_1        # 64 bits hold 32 x 32 exactly
        c0, c1, c2, c3 = (product1 >> HALF) ^ c1 ^ k0, product1 & WORD, (product0 >> HALF) ^ c3 ^ k1, product0 & WORD
        k0, k1 = (k0 + KEY_STEP_0) & WORD, (k1 + KEY_STEP_1) & WORD
    return c0, c1, c2, c3
