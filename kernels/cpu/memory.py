"""Memory for kernels' outputs, recycled: a block is free again when the last array that sees it dies.

Fresh memory costs a page fault every 4 KB, and a training step asks for the same sizes again and again. So a dead block
waits for the next who wants its size. When more than SLACK wait, they are joined with their free neighbours, and a size
that nobody waits with is cut from the smallest free piece that holds it. All blocks lie in one range of addresses, of
which the system gives memory only to what has been written; so a network keeps hardly more than its arrays need at once.
"""
import contextlib
import ctypes
import mmap
import os
import threading
from collections import deque
from functools import lru_cache
from math import prod

import numpy

from .recording import each_time, recording

SMALLEST = 32 * 1024                             # below, the system's allocator faults seldom and is faster
SLACK = 16 * 2**20                               # a small network finds a block of each size it needs waiting

_lock = threading.RLock()                        # reentrant: a collection inside it may run somebody's kernel
_returned = deque()                              # buffers of dead blocks; appending needs no lock
_waiting = {}                                    # bytes -> buffers
_regions = []
_live = _waiting_total = _peak = 0


class _Buffer:
    """Memory of `size` bytes at an address of a region."""

    __slots__ = "size", "address", "region"

    def __init__(self, size, address, region):
        self.size, self.address, self.region = size, address, region


class _Block:
    """What arrays of one lifetime lie in and keep alive, whatever views they are: a ctypes array, since NumPy takes
    those in a third of the time that an __array_interface__ costs it."""

    def __del__(self, returned=_returned):
        # May run at any moment in any thread, also inside the lock: so it takes none.
        returned.append(self.buffer)


@lru_cache(maxsize=None)
def _block_type(size):
    return type("_Block", (_Block, ctypes.c_ubyte * size), {})


class _Region:
    """A range of addresses, of at least `size` bytes. It is unmapped when nobody knows it or a buffer of it any more."""

    def __init__(self, size):
        self.memory = _mapped(size)
        if hasattr(mmap, "MADV_HUGEPAGE"):       # 2 MB at a fault
            with contextlib.suppress(OSError):   # a kernel without them
                self.memory.madvise(mmap.MADV_HUGEPAGE)
        self.start = self.top = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))      # top: above it, untouched
        self.pieces = [(self.start, len(self.memory))]             # free ones, (address, bytes), by address
        self.given_up = False

    def cut(self, piece, size):
        """A buffer of `size` bytes from the beginning of a piece."""
        address, available = piece
        index = self.pieces.index(piece)
        self.pieces[index:index + 1] = [(address + size, available - size)] if available > size else []
        self.top = max(self.top, address + size)
        return _Buffer(size, address, self)

    def join(self, buffer):
        """The buffer becomes a piece, one with the pieces next to it."""
        start, end, kept = buffer.address, buffer.address + buffer.size, []
        for address, size in self.pieces:
            if address + size == start:
                start = address
            elif address == end:
                end = address + size
            else:
                kept.append((address, size))
        self.pieces = sorted([*kept, (start, end - start)])

    def untouched(self, address, size):
        """Gives the system back the memory of whole pages; the addresses stay."""
        first = -(-(address - self.start) // mmap.PAGESIZE) * mmap.PAGESIZE
        last = (address + size - self.start) // mmap.PAGESIZE * mmap.PAGESIZE
        if last > first and hasattr(self.memory, "madvise"):
            self.memory.madvise(mmap.MADV_DONTNEED, first, last - first)

    def free_bytes(self):
        return sum(min(address + size, self.top) - address for address, size in self.pieces if address < self.top)


def empty(shape, dtype=numpy.float32):
    """An uninitialised C-contiguous array, as numpy.empty."""
    size = prod(shape) if isinstance(shape, (tuple, list)) else shape
    size *= 4 if dtype is numpy.float32 else numpy.dtype(dtype).itemsize
    if size < SMALLEST:
        return numpy.empty(shape, dtype)
    buffer = _take(_size_class(size))
    block = _block_type(buffer.size).from_address(buffer.address)
    block.buffer = buffer
    recorded = recording()
    if recorded is not None:
        recorded.keep(block, buffer.size)
    return numpy.ndarray(shape, dtype, block)


def zeros(shape, dtype=numpy.float32):
    """An array of zeros, as numpy.zeros."""
    array = empty(shape, dtype)
    each_time(lambda: array.fill(0))
    return array


def _size_class(size):
    """`size` rounded up to one of 32 sizes in each power of two, at most 1/32 more, so that like sizes share; also a
    multiple of a cache line, 64 bytes."""
    step = 1 << (size.bit_length() - 6)
    return -(-size // step) * step


def _take(size):
    """A buffer of `size` bytes: one that waits, or a new one."""
    global _live, _waiting_total, _peak
    with _lock:
        if _returned:
            _collect()
        buffers = _waiting.get(size)
        if buffers:
            buffer = buffers.pop()
            _waiting_total -= size
        else:
            if _waiting_total > SLACK:
                _join()
            buffer = _cut(size)                  # a MemoryError here leaves the sums as they were
        _live += size
        _peak = max(_peak, _live)
        return buffer


def _cut(size):
    """A buffer from the smallest piece that holds it, the first of those; where there is none, from a new region."""
    fitting = [(piece[1], piece[0], region) for region in _regions for piece in region.pieces if piece[1] >= size]
    if not fitting and _waiting:
        _join()
        return _cut(size)
    if not fitting:
        _regions.append(_Region(size))
        return _cut(size)
    available, address, region = min(fitting, key=lambda found: found[:2])
    return region.cut((address, available), size)


def _collect():
    """The blocks that have died wait from now on; what is left of a region given up goes back to the system."""
    global _live, _waiting_total
    while _returned:
        buffer = _returned.popleft()
        _live -= buffer.size
        if buffer.region.given_up:
            buffer.region.untouched(buffer.address, buffer.size)
        else:
            _waiting_total += buffer.size
            _waiting.setdefault(buffer.size, []).append(buffer)


def _join():
    """Nobody waits any longer: all are pieces of their regions."""
    global _waiting_total
    for buffers in _waiting.values():
        for buffer in buffers:
            buffer.region.join(buffer)
    _waiting.clear()
    _waiting_total = 0


def _mapped(size):
    """Addresses without memory yet: as many as half the machine has memory for, which costs nothing; fewer, but at least
    `size`, where the system does not allow that or would set memory aside for them."""
    private = {} if os.name == "nt" else {"flags": mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS}
    wanted = max(size, SLACK if os.name == "nt" else _reserve())
    while True:
        try:
            return mmap.mmap(-1, wanted, **private)
        except (OSError, ValueError, OverflowError):
            if wanted == size:
                raise MemoryError(f"no {size:,} bytes for the result of a kernel; use a smaller batch or image") from None
            wanted = max(size, wanted // 2 // mmap.PAGESIZE * mmap.PAGESIZE)


def _reserve():
    """Half of the machine's memory, or an eighth of the addresses that `ulimit -v` leaves this process."""
    import resource
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    half = os.sysconf("SC_PHYS_PAGES") * mmap.PAGESIZE // 2
    return half if limit == resource.RLIM_INFINITY else min(half, limit // 8 // mmap.PAGESIZE * mmap.PAGESIZE)


def live_bytes():
    """Bytes of blocks that some array still sees."""
    with _lock:
        _collect()
        return _live


def free_bytes():
    """Bytes that have been used and wait to be used again."""
    with _lock:
        _collect()
        return _waiting_total + sum(region.free_bytes() for region in _regions)


def peak_bytes():
    """The most bytes that were live at once since the start or the last `clear`."""
    with _lock:
        return _peak


def clear():
    """Gives all that is free back to the system, and lets the peak start from what is live."""
    global _peak
    with _lock:
        _collect()
        _join()
        for region in _regions:
            region.given_up = True               # what still lives there goes when it dies
            for address, size in region.pieces:
                region.untouched(address, min(address + size, region.top) - address)
        _regions.clear()
        _peak = _live
