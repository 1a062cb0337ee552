"""Dropout with a mask that is a function of (seed, layer, call, element), the same on every kernel.

Srivastava et al. 2014, sec. 4, scaled in training (their sec. 10) so that inference is the identity.
"""
from .array_module import get_array_module
from .philox import WORD, philox4x32


def dropout(x, rate, seed, layer, call):
    """y = x · mask/(1 - rate), mask = 0 with probability `rate`, 0 <= rate < 1.  -> y, mask uint8

    Element e (in C order) is kept if word e % 4 of Philox block e // 4 is at least rate · 2³²; the block's
    counter is (block's low word, its high word, call, layer), the key is the low and high word of `seed`.
    """
    xp = get_array_module(x)
    seed, layer, call = int(seed), int(layer), int(call)     # exact beyond 2^53, whatever integer they were
    block = xp.arange((x.size + 3) // 4, dtype="uint64")
    counter = block & WORD, block >> 32, xp.full_like(block, call & WORD), xp.full_like(block, layer & WORD)
    words = philox4x32(counter, (seed & WORD, seed >> 32 & WORD))            # four of (blocks,)
    words = xp.stack(words, axis=1).reshape(4 * block.size)[:x.size]         # (blocks, 4) -> (elements,)
    mask = (words >= round(rate * 2 ** 32)).astype("uint8").reshape(x.shape)
    return dropout_backward(x, mask, rate), mask


def dropout_backward(dy, mask, rate):
    """y is linear in x, so dx = dy · mask/(1 - rate)."""
    return dy * mask.astype(dy.dtype) * (1 / (1 - rate))
