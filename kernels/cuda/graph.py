"""A function of device arrays, recorded once as a CUDA graph and then replayed: one launch for all of its kernels.

While it is recorded, its Python runs and the device does nothing; a replay is the device's work without the Python. What
the host has to do for every call all the same, such as to count it or to choose a learning rate, the function says with
`each_time` and `varying`.  CUDA C++ Programming Guide, "CUDA Graphs".
"""
import contextlib
import threading

import numpy

from .launch import empty, launch

NUMBERS = 256                                    # that vary from replay to replay, at most


class _Current(threading.local):
    recorder = None


_current = _Current()


def recording():
    """Whether this thread records a graph."""
    return _current.recorder is not None


def recorder():
    """The Captured that this thread records, or None."""
    return _current.recorder


def varying(number):
    """number(), a Python int or float; in a recording an array (1,) on the device, int32 or float32, which in each replay
    holds what number() gave just before it."""
    return _current.recorder.place_of(number) if recording() else number()


def each_time(action):
    """Call action() now, or, in a recording, before each replay, in the order of these calls and those of varying."""
    if recording():
        _current.recorder.actions.append(action)
    else:
        action()


def kept(*arrays):
    """In a recording: these live as long as the graph, which has their addresses."""
    if recording():
        _current.recorder.kept.extend(arrays)


class Captured:
    """result = captured(*arrays) replays function(*arrays), which was recorded for arrays like `inputs`.

    The arrays are copied to where the graph reads them. The result's arrays lie in the graph's own memory: the next call
    writes over them, and they end with this object, so copy what is to last. Before the recording the function must have
    run once, ordinarily, with such arrays: what it compiles, and what it keeps from call to call, exists by then.
    An exception of the recording comes out, and nothing has happened on the device.
    """

    def __init__(self, function, *inputs):
        self.actions, self.kept, self.places, self.workspaces = [], [], 0, {}
        self.numbers = empty((NUMBERS,), numpy.int32)
        self.inputs = [empty(given.shape, given.dtype) for given in inputs]
        before, _current.recorder = _current.recorder, self
        try:
            self.graph, self.pool, self.result = _record(lambda: function(*self.inputs))
        finally:
            _current.recorder = before

    def __call__(self, *arrays):
        for ours, given in zip(self.inputs, arrays, strict=True):
            if given.shape != ours.shape or given.dtype != ours.dtype or not given.flags.c_contiguous:
                raise ValueError(f"a graph recorded for {ours.dtype} {ours.shape}, contiguous, got {given.dtype} "
                                 f"{given.shape}; record another one")
            ours.data.copy_from_device_async(given.data, ours.nbytes)
        for action in self.actions:
            action()
        self.graph.launch()
        return self.result

    def place_of(self, number):
        if self.places == NUMBERS:
            raise RuntimeError(f"more than {NUMBERS} numbers vary from step to step")
        place = _Place(number, self.numbers[self.places:self.places + 1])
        self.places += 1
        self.actions.append(place.write)
        return place.array


class _Place:
    """Where a number stands that varies. A launch writes it, when it has changed."""

    def __init__(self, number, memory):
        self.number, self.value = number, None
        is_float = isinstance(number(), float)
        self.kernel = "write_float" if is_float else "write_int"
        self.array = memory.view(numpy.float32) if is_float else memory

    def write(self):
        value = self.number()
        if value != self.value:
            launch("graph", self.kernel, (1,), (1,), place=self.array, value=value)
            self.value = value


def make_room():
    """Give back what CuPy's pool holds unused: a graph's arrays come from a pool of their own, which nobody else uses."""
    import cupy
    cupy.get_default_memory_pool().free_all_blocks()


def _record(function):
    """(graph, the memory pool of its arrays, function()). On a stream of its own: no other work gets into the graph, and
    it can be launched on any."""
    import cupy
    pool, stream = cupy.cuda.MemoryPool(), cupy.cuda.Stream(non_blocking=True)
    with stream, cupy.cuda.using_allocator(pool.malloc):
        stream.begin_capture()
        try:
            result = function()
        except BaseException:
            with contextlib.suppress(Exception):                     # what broke the recording may have ended it
                stream.end_capture()
            raise
        return stream.end_capture(), pool, result
