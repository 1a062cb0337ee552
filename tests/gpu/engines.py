"""Where the kernels of kernels/cuda are run by a test: on the host, thread by thread (host_device.py), or on a GPU.

Either way every kernel's result is an array that was full of NaN before, operations run twice and must give the same
bits, and what they are given must stay as it was.
"""

import contextlib

import ml_dtypes
import numpy as np

from scratchnet.kernels.cuda import launch


FLOAT32, BFLOAT16 = np.dtype("float32"), np.dtype(ml_dtypes.bfloat16)


class HostEngine:
    name = "host"

    def __init__(self, device):
        self.device = device

    def to_device(self, array):
        return array.copy()

    def to_host(self, array):
        return array

    def allocating(self):
        return contextlib.nullcontext()

    def turn(self, backwards):
        """The second run goes through blocks and threads from the last to the first: who reads too early shows."""
        self.device.backwards = backwards


class PoisoningCupy(launch.Cupy):
    """New arrays are NaN (-1 in integers) until they are written."""

    def empty(self, shape, dtype):
        array = super().empty(shape, dtype)
        array.reshape(-1).view("uint8").fill(0xFF)
        return array


class CudaEngine:
    name = "cuda"

    def __init__(self):
        import cupy
        self.cupy, self.device = cupy, PoisoningCupy()

    def to_device(self, array):
        return self.cupy.asarray(array)

    def to_host(self, array):
        return array.get()

    @contextlib.contextmanager
    def allocating(self):
        """Each array in an allocation of its own, not in a pool's: compute-sanitizer sees where it ends."""
        before = self.cupy.cuda.get_allocator()
        self.cupy.cuda.set_allocator(None)
        try:
            yield
        finally:
            self.cupy.cuda.set_allocator(before)

    def turn(self, backwards):
        pass


def each_array(change, value):
    """`value` with change(array) for each array in it, also inside lists and tuples."""
    if isinstance(value, (list, tuple)):
        return type(value)(each_array(change, element) for element in value)
    return value if value is None or np.isscalar(value) or isinstance(value, np.dtype) else change(value)


def run(engine, operation, *arguments):
    """The results of an operation as a list of NumPy arrays, after two runs that agreed to the bit."""
    runs = []
    for backwards in (False, True):
        engine.turn(backwards)
        given = each_array(engine.to_device, arguments)
        results = operation(*given)
        results = list(results) if isinstance(results, (list, tuple)) else [results]
        runs.append([engine.to_host(result) for result in results])
        for before, after in zip(flat(arguments), flat(each_array(engine.to_host, given))):
            assert after.tobytes() == before.tobytes(), "an argument was changed"
    for first, second in zip(*runs):
        assert first.tobytes() == second.tobytes(), "two runs gave different bits"
    return runs[0]


def updated(engine, operation, *arguments):
    """The arguments after an operation that works in place, twice on copies with the same bits."""
    runs = []
    for backwards in (False, True):
        engine.turn(backwards)
        given = each_array(engine.to_device, arguments)
        operation(*given)
        runs.append(each_array(engine.to_host, given))
    for first, second in zip(*map(flat, runs)):
        assert first.tobytes() == second.tobytes(), "two runs gave different bits"
    return runs[0]


def flat(value):
    if isinstance(value, (list, tuple)):
        return [array for element in value for array in flat(element)]
    return [value] if isinstance(value, np.ndarray) else []


def wide(value):
    """The same in float64."""
    return each_array(lambda array: array.astype("f8") if array.dtype.kind in "fV" else array, value)


def agree(got, expected, terms=1, dtype=FLOAT32, roundings=None):
    """float32 rounds at 6e-8, and the errors of `terms` summed products grow as their square root; bfloat16 rounds by
    2^-8 at most, in the norm of many numbers by less than half of that, once or `roundings` times."""
    expected = np.asarray(expected)
    assert got.dtype == dtype and got.shape == expected.shape
    error, size = np.linalg.norm(got.astype("f8") - expected), np.linalg.norm(expected)
    roundings = int(dtype == BFLOAT16) if roundings is None else roundings
    allowed = 3e-7 * np.sqrt(terms) + roundings * (2**-9 if got.size > 64 else 2**-8)
    assert error <= allowed * size + 1e-30, f"‖error‖ {error:.1e} of {size:.1e}, {terms} terms"


def normal(seed, *shape, dtype=FLOAT32):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32).astype(dtype)
