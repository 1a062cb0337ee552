"""Memory for kernels' outputs, recycled: a block returns to a free list when the last array that sees it dies.

Fresh memory costs a page fault every 4 KB, and a training step asks for the same sizes again and again. The list
hardly raises the process above its own peak: live + free bytes stay within the largest live sum there has been and SLACK.
"""
import ctypes
import threading
from collections import OrderedDict, deque
from functools import lru_cache
from math import prod

import numpy

SMALLEST = 32 * 1024                             # below, the system's allocator faults seldom and is faster
SLACK = 64 * 2**20                               # so that a small network keeps a block of each size it needs
ALIGNMENT = 64                                   # a cache line, and the widest vector

_lock = threading.RLock()                        # reentrant: a collection inside it may run somebody's kernel
_returned = deque()                              # buffers of dead blocks; appending needs no lock
_free = OrderedDict()                            # bytes -> buffers, the size not wanted for longest first
_live = _free_total = _peak = 0


class _Buffer:
    """Memory of `size` bytes at an aligned address."""

    __slots__ = "size", "memory", "address"

    def __init__(self, size):
        self.size = size
        self.memory = numpy.empty(size + ALIGNMENT, numpy.uint8)
        start = self.memory.__array_interface__["data"][0]
        self.address = start + -start % ALIGNMENT


class _Block:
    """What arrays of one lifetime lie in and keep alive, whatever views they are: a ctypes array, since NumPy takes
    those in a third of the time that an __array_interface__ costs it."""

    def __del__(self, returned=_returned):
        # May run at any moment in any thread, also inside the lock: so it takes none.
        returned.append(self.buffer)


@lru_cache(maxsize=None)
def _block_type(size):
    return type("_Block", (_Block, ctypes.c_ubyte * size), {})


def empty(shape, dtype=numpy.float32):
    """An uninitialised C-contiguous array, as numpy.empty."""
    size = prod(shape) if isinstance(shape, (tuple, list)) else shape
    size *= 4 if dtype is numpy.float32 else numpy.dtype(dtype).itemsize
    if size < SMALLEST:
        return numpy.empty(shape, dtype)
    buffer = _take(_size_class(size))
    block = _block_type(buffer.size).from_address(buffer.address)
    block.buffer = buffer
    return numpy.ndarray(shape, dtype, block)


def zeros(shape, dtype=numpy.float32):
    """An array of zeros, as numpy.zeros."""
    array = empty(shape, dtype)
    array.fill(0)
    return array


def _size_class(size):
    """`size` rounded up to one of eight sizes in each power of two, at most 1/8 more, so that like sizes share."""
    step = 1 << (size.bit_length() - 4)
    return -(-size // step) * step


def _take(size):
    """A buffer of `size` bytes: a free one, or a new one after dropping as many free ones as the peak demands."""
    global _live, _free_total, _peak
    with _lock:
        if _returned:
            _collect()
        live = _live + size
        peak = live if live > _peak else _peak
        buffers = _free.get(size)
        if buffers:
            buffer = buffers.pop()
            _free_total -= size
            _free.move_to_end(size)
        else:
            while live + _free_total > peak + SLACK:
                _drop_oldest()
            buffer = _Buffer(size)               # a MemoryError here leaves the sums as they were
        _live, _peak = live, peak
        return buffer


def _collect():
    """Moves the blocks that have died to the free list."""
    global _live, _free_total
    while _returned:
        buffer = _returned.popleft()
        _live -= buffer.size
        _free_total += buffer.size
        _free.setdefault(buffer.size, []).append(buffer)


def _drop_oldest():
    """Gives one buffer back to the system, of the size nobody has wanted for longest."""
    global _free_total
    size, buffers = next(iter(_free.items()))
    if buffers:
        buffers.pop()
        _free_total -= size
    if not buffers:
        del _free[size]


def live_bytes():
    """Bytes of blocks that some array still sees."""
    with _lock:
        _collect()
        return _live


def free_bytes():
    """Bytes of blocks waiting to be used again."""
    with _lock:
        _collect()
        return _free_total


def peak_bytes():
    """The most bytes that were live at once since the start or the last `clear`."""
    with _lock:
        return _peak


def clear():
    """Gives all free blocks back to the system, and lets the peak start from what is live."""
    global _free_total, _peak
    with _lock:
        _collect()
        _free.clear()
        _free_total, _peak = 0, _live
