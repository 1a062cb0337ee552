"""A function of arrays, run once while the kernels that it launches are noted, and then replayed without its Python.

Between the kernels of a small network lies more Python than there is work in them: shapes are checked, ways chosen,
memory found, and each time the same comes of it. A replay is the kernels alone, with the arguments that they had, arrays and
all. What the function has NumPy do with arrays takes part in it too, where it says so: with `each_time`, `computed` and
`varying`. Whoever replays something compares it first with the function (scratchnet/replay.py), which finds what has not.
"""
import threading

import numpy

MOST = 64 * 2**20                                # bytes of kernels' memory: where there is more of it, Python is little


class _Current(threading.local):
    recorded = None


_current = _Current()


def recording():
    """The Recorded that this thread is making, or None."""
    return _current.recorded


def each_time(action):
    """Call action() now, and, in a recording, at this place of every replay."""
    _unrecorded(action)
    if _current.recorded is not None:
        _current.recorded.steps.append((action, ()))


def computed(function):
    """function(), a fresh array or a sequence of them; in a recording, filled anew at this place of every replay."""
    result = _unrecorded(function)
    if _current.recorded is not None:
        arrays = result if isinstance(result, (tuple, list)) else [result]
        _current.recorded.count(sum(array.nbytes for array in arrays))
        _current.recorded.steps.append((_fill, (function, result)))
    return result


def varying(number):
    """number(), a Python int or float; in a recording a Varying, to be read inside `each_time`: what it is by then."""
    return number() if _current.recorded is None else Varying(number)


class Varying:
    """A number that float() and int() ask for anew."""

    def __init__(self, number):
        self.number = number

    def __float__(self):
        return float(self.number())

    def __int__(self):
        return int(self.number())


def _fill(function, result):
    pairs = zip(result, function()) if isinstance(result, (tuple, list)) else [(result, function())]
    for ours, new in pairs:
        numpy.copyto(ours, new)


def _unrecorded(function):
    """function(): the kernels in it are part of one step, the function's."""
    before, _current.recorded = _current.recorded, None
    try:
        return function()
    finally:
        _current.recorded = before


class Recorded:
    """result = recorded(*arrays) does what function(*arrays) did with arrays like `inputs`, whose numbers do not matter.

    The arrays are copied to where the kernels read them. The result's are written over by the next call, so copy what is to
    last. RuntimeError where the function makes arrays of more than MOST bytes: all of them are kept.
    """

    def __init__(self, function, *inputs):
        self.steps, self.blocks, self.bytes = [], [], 0
        self.count(sum(given.nbytes for given in inputs))
        self.inputs = [numpy.array(given, order="C") for given in inputs]
        before, _current.recorded = _current.recorded, self
        try:
            self.result = function(*self.inputs)
        finally:
            _current.recorded = before

    def __call__(self, *arrays):
        for ours, given in zip(self.inputs, arrays, strict=True):
            numpy.copyto(ours, given)
        for function, arguments in self.steps:
            function(*arguments)
        return self.result

    def launch(self, run, dispatcher, arguments, elements):
        """Note a kernel."""
        self.steps.append((run, (dispatcher, arguments, elements)))

    def keep(self, block, size):
        """Hold the memory of an array that the function made."""
        self.blocks.append(block)
        self.count(size)

    def count(self, size):
        """The recording has so many more bytes."""
        self.bytes += size
        if self.bytes > MOST:
            raise RuntimeError(f"its arrays take more than {MOST:,} bytes")
