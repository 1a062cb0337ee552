"""Dropout with a mask that is a function of (seed, layer, call, element), the same bits on every kernel."""
from numba import prange
from numpy import float32, uint8, uint64

from . import memory
from .compile import UINT8, behaved, light_kernel
from .philox import HALF, WORD, philox4x32
from .recording import each_time


@light_kernel
def _forward(x, threshold, scale, seed_low, seed_high, layer, call, y, mask):
    scale = float32(scale)
    for i in prange((x.size + 3) // 4):
        block = uint64(i)
        words = philox4x32(block & WORD, block >> HALF, uint64(call), uint64(layer),
                           uint64(seed_low), uint64(seed_high))
        for j in range(min(4, x.size - 4 * i)):
            kept = uint8(words[j] >= uint64(threshold))
            mask[4 * i + j] = kept
            y[4 * i + j] = x[4 * i + j] * float32(kept) * scale


@light_kernel
def _backward(dy, mask, scale, dx):
    scale = float32(scale)
    for i in prange(dy.size):
        dx[i] = dy[i] * float32(mask[i]) * scale


def dropout(x, rate, seed, layer, call):
    """y = x · mask/(1 - rate), mask = 0 with probability `rate`, 0 <= rate < 1.  -> y, mask uint8

    Element e (in C order) is kept if word e % 4 of Philox block e // 4 is at least rate · 2³²; the block's
    counter is (block's low word, its high word, call, layer), the key is the low and high word of `seed`.
    """
    x = behaved(x)
    y, mask = memory.empty(x.shape), memory.empty(x.shape, UINT8)
    word = 0xFFFFFFFF
    each_time(lambda: _forward(x.reshape(-1), round(rate * 2 ** 32), 1 / (1 - rate), int(seed) & word,
                               int(seed) >> 32 & word, int(layer) & word, int(call) & word, y.reshape(-1),
                               mask.reshape(-1)))
    return y, mask


def dropout_backward(dy, mask, rate):
    """y is linear in x, so dx = dy · mask/(1 - rate)."""
    dy, mask, dx = behaved(dy), behaved(mask, UINT8), memory.empty(dy.shape)
    _backward(dy.reshape(-1), mask.reshape(-1), 1 / (1 - rate), dx.reshape(-1))
    return dx
