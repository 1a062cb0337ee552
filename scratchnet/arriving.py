"""Batches on their way to the model: the same arrays on the CPU. On a GPU the next one is copied while this one
computes, and images that are only to be normalised cross as bytes: it is done there, to the same bits.
"""

from typing import NamedTuple

import numpy as np

from scratchnet.backend import array_like, is_cupy, runs_on_cuda

LANES = 3               # batches under way: one that is computed on, one that is copied, one that is written


def arriving(model, batches, epoch=0, start=0):
    """(images, labels) of an epoch of Batches, from batch `start` on, in the model's float dtype and on its device.

    On a GPU they lie in memory that is used again: what is to last longer than until the next batch is a copy.
    """
    values = [parameter.value for parameter in model.parameters().values()][:1]
    if not values or not is_cupy(values[0]):
        for images, labels in batches.epoch(epoch, start):
            yield array_like(values[0], images) if values else images, labels
    elif batches.only_normalised and runs_on_cuda(values[0]):
        yield from _normalised_there(batches.preprocessing, batches.epoch(epoch, start, as_stored=True))
    else:
        yield from _through_lanes(values[0].dtype, batches.epoch(epoch, start))


def _normalised_there(preprocessing, batches):
    import cupy

    from scratchnet.kernels.cuda.pixels import normalised
    scale, shift = map(cupy.asarray, preprocessing.scale_and_shift)
    for images, labels in _through_lanes(np.dtype(np.uint8), batches):
        yield normalised(images, scale, shift, preprocessing.padding), labels


def _through_lanes(dtype, batches):
    """Each batch is written into pinned memory, from which a stream of its own copies it, and waits for nothing but the
    end of the step which had this memory before it."""
    from cupy import cuda
    stream, lanes = cuda.Stream(non_blocking=True), [_Lane() for _ in range(LANES)]
    try:
        for number, (images, labels) in enumerate(batches):
            lane = lanes[number % LANES]
            yield lane.carry(stream, (images, dtype), (labels, labels.dtype))
            lane.left.record()
    finally:
        stream.synchronize()                             # before the memory goes back


class _Pair(NamedTuple):
    """Memory of one size here, pinned, and there."""

    here: np.ndarray
    there: object


class _Lane:
    def __init__(self):
        from cupy import cuda
        self.pairs = {}
        self.arrived, self.left = (cuda.Event(disable_timing=True) for _ in range(2))

    def carry(self, stream, *arrays):
        """The (array, dtype)s on the device, as soon as the current stream gets there."""
        from cupy import cuda
        self.arrived.synchronize()                       # of the batch before, over which this writes
        pairs = [self._written(place, array, dtype) for place, (array, dtype) in enumerate(arrays)]
        stream.wait_event(self.left)                     # the step that reads it
        for here, there in pairs:
            there.data.copy_from_host_async(here.ctypes.data, here.nbytes, stream)
        self.arrived.record(stream)
        cuda.get_current_stream().wait_event(self.arrived)
        return [there for _, there in pairs]

    def _written(self, place, array, dtype):
        key = place, array.shape, dtype
        if key not in self.pairs:
            import cupy
            memory = cupy.cuda.alloc_pinned_memory(array.size * dtype.itemsize)
            self.pairs[key] = _Pair(np.ndarray(array.shape, dtype, memory), cupy.empty(array.shape, dtype))
            self.left.record()                           # what had that memory may still be at work
        self.pairs[key].here[...] = array
        return self.pairs[key]
