"""Dropout with a mask that is a function of (seed, layer, call, element). Kernels: dropout.cu."""
import numpy

from . import launch as launching
from .launch import array, blocks, each, empty, real

WORD = 0xFFFFFFFF


def dropout(x, rate, seed, layer, call):
    """y = x · mask/(1 - rate), mask = 0 with probability `rate`, 0 <= rate < 1.  -> y, mask uint8

    Element e (in C order) is kept if word e % 4 of Philox block e // 4 is at least rate · 2³²; the block's
    counter is (block's low word, its high word, call, layer), the key is the low and high word of `seed`.
    call: an int, or an array (1,) int32 on the device.
    """
    x = real("dropout", "x", x)
    y, mask = empty(x.shape, x.dtype), empty(x.shape, numpy.uint8)
    key, there = int(seed) & (WORD << 32 | WORD), launching.device.is_array(call)
    each("dropout", "dropout", blocks(x.size, 4), x=x, y=y, mask=mask, size=x.size, threshold=round(rate * 2**32),
         scale=1 / (1 - rate), seed=key - (key >> 63 << 64), layer=int(layer) & WORD, call=0 if there else int(call) & WORD,
         call_there=call if there else None)
    return y, mask


def dropout_backward(dy, mask, rate):
    """y is linear in x, so dx = dy · mask/(1 - rate)."""
    dy = real("dropout_backward", "dy", dy)
    mask, dx = array("dropout_backward", "mask", mask, dy.shape, numpy.uint8), empty(dy.shape, dy.dtype)
    each("dropout", "dropout_backward", dy.size, dy=dy, mask=mask, dx=dx, scale=1 / (1 - rate))
    return dx
