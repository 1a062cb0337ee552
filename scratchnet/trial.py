"""A recording of a training step on the CPU, made and put to the test; the model and its optimiser stay as they were.

What a step computes on the host, outside of kernels, and does not say to be part of a replay (kernels/cpu/recording.py) is
as it was when it was recorded. So it is recorded with other numbers everywhere, in the batch and in the parameters, and
has to give the bits of the step itself for the true ones.
"""

import contextlib

import numpy as np

from scratchnet.kernels.cpu.recording import MOST, Recorded

SCALE, SHIFT = np.float32(0.75), np.float32(0.125)           # zeros become others too, and variances stay above zero


def trial(run, model, optimizer, images, labels):
    """run(images, labels), a step of training, as a Recorded. RuntimeError where a replay would not be the same."""
    state = _State(model, optimizer)
    if state.size > MOST:
        raise RuntimeError(f"its parameters and their states take more than {MOST:,} bytes")
    with state.kept():
        state.make_others()
        recorded = Recorded(run, images * SCALE + SHIFT, other_classes(labels))
    ends = []
    for step in recorded, run:
        with state.kept():
            results = [result.tobytes() for result in step(images, labels)]
            ends.append(results + state.bits())
    if ends[0] != ends[1]:
        raise RuntimeError("a replay of the step is not the step: something in it computes outside of the kernels")
    return recorded


def other_classes(labels):
    """Another class for each label (N,); of probabilities (N, classes) those of another one."""
    return np.roll(labels, 1, axis=1) if labels.ndim == 2 else np.where(labels > 0, labels - 1, labels + 1).astype(labels.dtype)


class _State:
    """All that a step changes."""

    def __init__(self, model, optimizer):
        self.model, self.optimizer = model, optimizer
        buffers = [own[key] for _, own, key in model._entries("_buffers")]
        slots = [array for arrays in optimizer.slots.values() for array in arrays.values()]
        self.arrays = [parameter.value for parameter in model.parameters().values()] + buffers + slots
        self.size = sum(array.nbytes for array in self.arrays)

    @contextlib.contextmanager
    def kept(self):
        """Inside it all may change; behind it all is as before."""
        parameters, optimizer = self.model.parameters().values(), self.optimizer
        copies, counts = [array.copy() for array in self.arrays], dict(optimizer.steps)
        versions = [parameter.version for parameter in parameters]
        try:
            yield
        finally:
            optimizer.steps.update(counts)
            for array, copy in zip(self.arrays, copies):
                array[...] = copy
            for parameter, version in zip(parameters, versions):
                parameter.version = version

    def make_others(self):
        for array in self.arrays:
            if array.dtype == np.float32:
                array *= SCALE
                array += SHIFT

    def bits(self):
        return [repr(self.optimizer.steps), *(array.tobytes() for array in self.arrays)]
