"""A recording of a training step on the CPU, made and put to the test; the model and its optimiser stay as they were.

What a step computes on the host, outside of kernels, and does not say to be part of a replay (kernels/cpu/recording.py) is
as it was when it was recorded. So it is recorded with other numbers everywhere, in the batch and in the parameters, and
has to give the bits of the step itself for the true ones.
"""

import numpy as np

from scratchnet.kernels.cpu.recording import MOST, Recorded

SCALE, SHIFT = np.float32(0.75), np.float32(0.125)           # zeros become others too, and variances stay above zero


def trial(run, model, optimizer, images, labels):
    """run(images, labels), a step of training, as a Recorded. RuntimeError where a replay would not be the same.

    While it lasts, the time of some steps, whoever looks at the model from elsewhere sees those other numbers.
    """
    state = _State(model, optimizer)
    if state.size > MOST:
        raise RuntimeError(f"its parameters and their states take more than {MOST:,} bytes")
    ends = []
    try:
        state.make_others()
        recorded = Recorded(run, images * SCALE + SHIFT, other_classes(labels))
        for step in recorded, run:
            state.restore()
            results = [result.tobytes() for result in step(images, labels)]
            ends.append(results + state.bits())
    finally:
        interrupted = None
        for _ in range(100):
            try:
                state.restore()
                break
            except BaseException as error:       # Ctrl-C: once more
                interrupted = error
        if interrupted is not None:
            raise interrupted
    if ends[0] != ends[1]:
        raise RuntimeError("a replay of the step is not the step: something in it computes outside of the kernels")
    return recorded


def other_classes(labels):
    """Another class for each label (N,); of probabilities (N, classes) those of another one, and other numbers."""
    if labels.dtype.kind == "f":
        return (np.roll(labels, 1, axis=-1) * SCALE + SHIFT).astype(labels.dtype)
    return np.where(labels > 0, labels - 1, labels + 1).astype(labels.dtype)


class _State:
    """All that a step changes: copies of it, made now."""

    def __init__(self, model, optimizer):
        self.parameters, self.optimizer = list(model.parameters().values()), optimizer
        buffers = [own[key] for _, own, key in model._entries("_buffers")]
        slots = [array for arrays in optimizer.slots.values() for array in arrays.values()]
        gradients = [parameter._grad for parameter in self.parameters if parameter._has_grad]    # that no optimiser clears
        numbers = [parameter.value for parameter in self.parameters] + buffers + slots
        self.numbers = [array for array in numbers if array.flags.writeable]
        self.arrays = self.numbers + gradients
        self.size = sum(array.nbytes for array in self.arrays)
        self.copies = [array.copy() for array in self.arrays] if self.size <= MOST else []
        self.counts = dict(optimizer.steps)
        self.others = [(parameter.version, parameter._grad, parameter._has_grad) for parameter in self.parameters]

    def restore(self):
        self.optimizer.steps.update(self.counts)
        for array, copy in zip(self.arrays, self.copies):
            array[...] = copy
        for parameter, others in zip(self.parameters, self.others):
            parameter.version, parameter._grad, parameter._has_grad = others

    def make_others(self):
        for array in self.numbers:
            if array.dtype == np.float32:
                array *= SCALE
                array += SHIFT

    def bits(self):
        return [repr(self.optimizer.steps), *(array.tobytes() for array in self.arrays)]
