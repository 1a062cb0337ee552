"""Copying tensors of a file into a model: looked through first, then written in place, a block at a time.

A transposition in one go reads, or writes, with a step of a power of two, which the caches take badly: the first dense
layer of VGG-16 alone, 411 MB, took 2.9 s of NumPy on two cores, in blocks of 128 outputs by 256 inputs 0.37 s, and in
several threads (NumPy lets go of the interpreter) 0.24 s. tests/weights_speed.py measures the whole.
"""

import math
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from scratchnet.backend import array_like
from scratchnet.weights.tensor_file import BF16, FLOATS, shown, widened

THREADS = 4                     # at most; memory is the limit with fewer already
OUTPUTS, INPUTS = 128, 256      # of a block that is transposed: 128 KB
WHOLE = 1 << 18                 # elements of a block that is copied as it lies


def check_finite(path, pairs):
    """ValueError with the first name of the tensors that hold NaN, infinity, or what the model's dtype cannot.

    pairs: (Slot, tensor's name, its dtype's name, its array) for each.
    """
    found = set()

    def task(name, block, dtype, wanted):
        return lambda: None if _is_finite(widened(block, dtype), wanted) else found.add(name)

    run(task(name, array[part], dtype, slot.array.dtype) for slot, name, dtype, array in pairs
        for part in _parts(array.shape) if dtype in FLOATS)
    for slot, name, _, _ in pairs:
        if name in found:
            raise ValueError(f"{path}: {shown(name)} holds NaN or infinity, or numbers too large for the model's "
                             f"{slot.array.dtype}; a training that diverged leaves such weights, take others")


def copy_in(pairs):
    """Write the arrays of `pairs` (see check_finite) into their slots, in place, as assigning Parameter.value does.

    Those of a GPU are all there, beside the old ones, before the first is replaced. An interruption (Ctrl-C) comes
    through when all of the CPU's are written. Only where there is no memory for a block any more, 128 KB or so, is the
    model left with some arrays new and some old.
    """
    elsewhere = [(slot, _uploaded(slot, dtype, array)) for slot, _, dtype, array in pairs
                 if not isinstance(slot.array, np.ndarray)]
    here = [(slot, dtype, array) for slot, _, dtype, array in pairs if isinstance(slot.array, np.ndarray)]
    try:
        run(_read(*blocks, dtype) for slot, dtype, array in here for blocks in blocks_of(slot, slot.array, array))
    finally:
        for slot, _, _ in here:
            if slot.parameter is not None:              # its gradient belonged to the old value
                slot.parameter.clear_grad()
                slot.parameter.version += 1
    for slot, array in elsewhere:
        if slot.parameter is None:
            slot.array[...] = array
        else:
            slot.parameter.value = array


def _uploaded(slot, dtype, array):
    """What is to stand in the slot, on its device, by way of an array on the host."""
    host = np.empty(slot.array.shape, np.float32 if dtype == BF16 else array.dtype)
    run(_read(*blocks, dtype) for blocks in blocks_of(slot, host, array))
    return array_like(slot.array, host)


def blocks_of(slot, ours, stored):
    """Pairs of views, small enough for the caches, that together are `ours`, of a model, and `stored`, of a file."""
    for here, there in slot.views(ours, stored):
        for part in _tiles(here.shape) if slot.is_turned else _parts(here.shape):
            yield here[part], there[part]


def run(tasks):
    """Call them all, in some threads; the error of one is raised after the others have come to an end."""
    tasks, lock = iter(tasks), threading.Lock()

    def work():
        while True:
            with lock:
                task = next(tasks, None)
            if task is None:
                return
            task()

    with ThreadPoolExecutor(THREADS) as pool:
        for future in [pool.submit(work) for _ in range(THREADS)]:
            future.result()


def _read(here, there, dtype):
    return lambda: np.copyto(here, widened(there, dtype), "same_kind")


def _parts(shape):
    """Indices of the blocks, along the first axis, of an array that is copied as it lies."""
    if not shape:
        return [...]
    rows = max(1, WHOLE // max(1, math.prod(shape[1:])))
    return [slice(first, first + rows) for first in range(0, shape[0], rows)]


def _tiles(shape):
    """Indices of the blocks of (…, inputs, outputs) in our layout, whose neighbours in PyTorch's are inputs."""
    *_, inputs, outputs = shape
    wide = max(4, INPUTS // math.prod(shape[:-2]))
    for first in range(0, inputs, wide):
        for output in range(0, outputs, OUTPUTS):
            yield ..., slice(first, first + wide), slice(output, output + OUTPUTS)


def _is_finite(block, wanted):
    if wanted.itemsize < block.dtype.itemsize:
        with np.errstate(over="ignore"):
            block = block.astype(wanted)
    return bool(np.isfinite(block).all())
