"""Where intermediate arrays lie: in one piece of memory for each call, shared by arrays that do not live at once."""

import math
from typing import NamedTuple

import numpy as np

from scratchnet.backend import kernels

LINE = 16                                        # floats in 64 bytes: arrays start at a multiple


class Place(NamedTuple):
    """An array of the arena: the float it starts at, and its shape, batch and all."""

    start: int
    shape: tuple


def dying(steps, result):
    """For each step the arrays that nobody needs after it."""
    last = {value: index for index, step in enumerate(steps) for value in (step.output, *step.inputs)}
    deaths = [[] for _ in steps]
    for value, index in last.items():
        if value != result:
            deaths[index].append(value)
    return deaths


class Plan:
    """shapes[i] of step i's output for images (N, ...); `places` {i: Place} of those in the arena; its `size`, floats.

    In the arena are the outputs of packed steps, but for the result, which is the caller's. Other steps have no `out`:
    theirs are blocks of the kernels' memory.
    """

    def __init__(self, steps, result, images_shape):
        N, shapes, blocks = images_shape[0], {0: images_shape[1:]}, {}
        last = {value: index for index, step in enumerate(steps) for value in step.inputs}
        for index, step in enumerate(steps):
            shapes[step.output] = step.shape([shapes[value] for value in step.inputs])
            if step.packed is not None and step.output != result:
                size = -(-N * math.prod(shapes[step.output]) // LINE) * LINE
                blocks[index] = size, index, last[step.output]
        starts, self.size = first_fit(blocks)
        self.shapes = [(N, *shapes[step.output]) for step in steps]
        self.places = {index: Place(start, self.shapes[index]) for index, start in starts.items()}

    def borrow(self):
        """Memory for one call: a block of the kernels' own (kernels/cpu/memory.py), free again when its last view dies.

        So there are as many arenas as calls at once, and between calls none is held here.
        """
        memory = kernels("cpu.memory")
        return memory.empty(max(self.size, memory.SMALLEST // 4))        # smaller ones would not be aligned

    def view(self, arena, index):
        """Step `index`'s array in the arena, or None."""
        place = self.places.get(index)
        return None if place is None else np.ndarray(place.shape, arena.dtype, arena, 4 * place.start)


def first_fit(blocks):
    """{name: (size, first step, last step)} -> ({name: start}, the size of it all): the largest first, each in the
    first gap among those it meets."""
    placed, total = {}, 0
    for name, (size, first, last) in sorted(blocks.items(), key=lambda item: -item[1][0]):
        start = 0
        met = sorted((placed[other], placed[other] + blocks[other][0]) for other in placed
                     if blocks[other][1] <= last and first <= blocks[other][2])
        for begin, end in met:
            if begin - start >= size:
                break
            start = max(start, end)
        placed[name] = start
        total = max(total, start + size)
    return placed, total
