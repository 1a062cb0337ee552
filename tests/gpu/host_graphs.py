"""Streams, events, graphs and memory pools for the stand-in of CuPy: cupy.cuda, as far as the engine uses it.

What is done on a device comes here as do(function, *arguments). A stream that records keeps it, with the addresses of its
arrays and nothing that would keep them alive; a graph does exactly that again, after it has filled its pool with NaN: it
may rely on nothing in there that it has not written itself. Memory of a pool goes round while a graph is recorded, as
CuPy's does. A stream that is `late` does nothing until somebody waits for it.
"""

import contextlib
import ctypes
import types
import weakref

import numpy as np

POISON = 0xFF


class Stream:
    def __init__(self, non_blocking=False):
        assert non_blocking, "a blocking stream would make a recording and the default stream wait for one another"
        self.recorded, self.late, self.queue, self.ptr = None, False, [], id(self)

    def do(self, function, *arguments):
        if self.recorded is not None:
            self.recorded.append((function, [Raw(a) if isinstance(a, np.ndarray) else a for a in arguments]))
        else:
            self.queue.append((function, arguments))
            if not self.late:
                self.finish()

    def finish(self):
        """Everything up to here, or up to an event that another stream has not yet reached and does not by itself."""
        while self.queue:
            function, arguments = self.queue.pop(0)
            function(*arguments)

    def synchronize(self):
        assert self.recorded is None, "a stream that records was waited for"
        self.finish()

    def wait_event(self, event):
        reached = event.reached
        self.do(lambda: reached is None or reached())

    def begin_capture(self):
        assert self is not null and current() is self and self.recorded is None
        self.recorded = []

    def end_capture(self):
        recorded, self.recorded = self.recorded, None
        return Graph(recorded, allocators[-1].__self__)

    def __enter__(self):
        streams.append(self)

    def __exit__(self, *_):
        streams.pop()


class Event:
    """reached(): let the stream that has recorded it come to it."""

    def __init__(self, disable_timing=False):
        self.reached = None

    def record(self, stream=None):
        stream, mark = stream or current(), []
        stream.do(mark.append, True)

        def reached():
            while not mark:
                function, arguments = stream.queue.pop(0)
                function(*arguments)
        self.reached = reached

    def synchronize(self):
        not_in_a_recording("an event was waited for")
        if self.reached:
            self.reached()


class Graph:
    def __init__(self, recorded, pool):
        self.recorded, self.pool = recorded, pool

    def launch(self):
        not_in_a_recording("a graph was launched")

        def replay():
            self.pool.poison()
            for function, arguments in self.recorded:
                function(*[a.array() if isinstance(a, Raw) else a for a in arguments])
        current().do(replay)


class Raw:
    """An array's address, which does not keep it: of a pool's it is the graph's own affair, others must still be there."""

    def __init__(self, array):
        owner = array
        while isinstance(owner.base, np.ndarray):
            owner = owner.base
        self.owner = None if id(owner) in of_pools else weakref.ref(owner)
        self.address, self.like = array.ctypes.data, (array.shape, array.dtype, array.strides)

    def array(self):
        assert self.owner is None or self.owner() is not None, "a graph reads an array that is no more"
        shape, dtype, strides = self.like
        size = dtype.itemsize + sum((length - 1) * stride for length, stride in zip(shape, strides))
        return np.ndarray(shape, dtype, (ctypes.c_char * max(1, size)).from_address(self.address), strides=strides)


class MemoryPool:
    def __init__(self):
        self.blocks, self.free = [], []

    def malloc(self, size):
        """An array of bytes; when it, and what was made of it, is gone, its memory is somebody else's in this pool."""
        for index, block in enumerate(self.free):
            if len(block) == size:
                del self.free[index]
                break
        else:
            block = bytearray(size)
            self.blocks.append(block)
        array = np.ndarray((size,), np.uint8, block)
        array[...] = POISON
        of_pools.add(id(array))
        weakref.finalize(array, self.back, block, id(array))
        return array

    def back(self, block, key):
        of_pools.discard(key)
        self.free.append(block)

    def poison(self):
        for block in self.blocks:
            block[:] = bytes([POISON]) * len(block)

    def free_all_blocks(self):
        pass


of_pools = set()                                 # the arrays, by id, that are blocks of pools
null = Stream(non_blocking=True)
streams, allocators, default_pool = [null], [None], MemoryPool()


def current():
    return streams[-1]


def not_in_a_recording(words):
    assert current().recorded is None, f"{words} while a graph is recorded"


def fresh(shape, dtype):
    """A new array, poisoned, from the allocator in force."""
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if allocators[-1] is None or size == 0:
        array = np.empty(shape, dtype)
        array.reshape(-1).view(np.uint8)[...] = POISON
        return array
    return allocators[-1](size).view(dtype).reshape(shape)


@contextlib.contextmanager
def using_allocator(allocator):
    allocators.append(allocator)
    try:
        yield
    finally:
        allocators.pop()


class Pointer:
    """cupy.cuda.MemoryPointer of an array."""

    def __init__(self, array):
        assert array.flags.c_contiguous
        self.array, self.ptr = array, array.ctypes.data

    def copy_from_device_async(self, source, size, stream=None):
        assert size == self.array.nbytes == source.array.nbytes
        (stream or current()).do(_copy, self.array, source.array)

    def copy_from_host_async(self, address, size, stream=None):
        assert size == self.array.nbytes
        memory = np.ndarray((size,), np.uint8, (ctypes.c_char * max(1, size)).from_address(address))
        (stream or current()).do(_copy, self.array, memory)


def _copy(there, here):
    there.reshape(-1).view(np.uint8)[...] = here.reshape(-1).view(np.uint8)


cuda = types.SimpleNamespace(
    Device=lambda: types.SimpleNamespace(compute_capability="90"), Stream=Stream, Event=Event,
    MemoryPool=MemoryPool, using_allocator=using_allocator, get_current_stream=current,
    alloc_pinned_memory=lambda size: bytearray(max(1, size)))
