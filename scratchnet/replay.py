"""A training step that a GPU replays from a CUDA graph: one launch instead of dozens, and none of the step's Python.

A graph has built in the addresses of arrays and the values of settings, so before every step it is made sure that they
are still what they were. kernels/cuda/graph.py records and replays.
"""

import functools
from itertools import chain
from operator import attrgetter

from scratchnet.backend import runs_on_cuda
from scratchnet.layers.base import Layer
from scratchnet.layers.running import local

WARM_UP = 2                                      # ordinary steps with the same arrays, before one is recorded
_OF_A_PARAMETER = attrgetter("_value", "_grad", "_has_grad", "trainable")


def replayed(run, model, optimizer, criterion, samples, say):
    """step(images, labels) -> what run(images, labels) gives, which is a step of training; on a GPU it is replayed where
    the batch has `samples` images. say(words) is told, once, why a step on a GPU cannot be. On the CPU: run itself."""
    parameters = model.parameters().values()
    if not parameters or not all(runs_on_cuda(parameter.value) for parameter in parameters):
        return run
    reason = _reason_against(model, optimizer, criterion)
    if reason:
        say(reason)
        return run
    return Replayed(run, model, optimizer, samples, say)


class Replayed:
    def __init__(self, run, model, optimizer, samples, say):
        self.run, self.model, self.optimizer, self.samples, self.say = run, model, optimizer, samples, say
        self.captured, self.built_in, self.seen = None, None, 0

    def __call__(self, images, labels):
        if self.say is None or len(images) != self.samples or local.watchers or not runs_on_cuda(images):
            return self.run(images, labels)
        if self.built_in is not None and not self.built_in.still_holds(images, labels):
            self.captured, self.built_in = None, None
        if self.captured is None and (self.seen < WARM_UP or self.built_in is None or not self._record(images, labels)):
            return self._run_ordinarily(images, labels)
        return self.captured(images, labels)

    def _run_ordinarily(self, images, labels):
        """A step that makes what is made once: gradients, the optimiser's state, compiled kernels."""
        result = self.run(images, labels)
        if self.built_in is None or not self.built_in.still_holds(images, labels):
            self.built_in, self.seen = BuiltIn(self.model, self.optimizer, images, labels), 0
        self.seen += 1
        return result

    def _record(self, images, labels):
        from scratchnet.kernels.cuda.graph import Captured, make_room
        try:
            make_room()
            self.captured = Captured(self.run, images, labels)
        except Exception as error:                          # CuPy's, CUDA's, or of a layer that wants to read the device
            for parameter in self.model.parameters().values():
                parameter.clear_grad()
            self.say(f"{type(error).__name__}: {error}".splitlines()[0])
            self.say = None
        return self.captured is not None


class BuiltIn:
    """What a graph of a step has built in: all that the model, its optimiser and the precision have in their tables.

    Compared by identity, which is quick: who assigns an equal number anew pays with another recording.
    """

    def __init__(self, model, optimizer, images, labels):
        from scratchnet.kernels.cuda.precision import precision
        self.optimizer, self.parameters = optimizer, list(model.parameters().values())
        self.tables = [vars(precision), optimizer.settings, optimizer.slots, *optimizer.slots.values()]
        for layer in every_layer(model):
            self.tables += vars(layer), layer._children, layer._parameters, layer._buffers
        self.batch = _kind(images, labels)
        self.things = self._things()             # held, so that none of them ends and leaves its identity to another
        self.identities = list(map(id, self.things))

    def still_holds(self, images, labels):
        return _kind(images, labels) == self.batch and list(map(id, self._things())) == self.identities

    def _things(self):
        optimizer = self.optimizer
        return [optimizer.clock, optimizer.slots, optimizer.settings, *chain.from_iterable(map(dict.values, self.tables)),
                *chain.from_iterable(map(_OF_A_PARAMETER, self.parameters))]


def _kind(*arrays):
    return [(array.shape, array.dtype) for array in arrays]


def every_layer(layer):
    """It, its children and its activation, and theirs."""
    yield layer
    for child in layer._children.values():
        yield from every_layer(child)
    if isinstance(getattr(layer, "activation", None), Layer):
        yield from every_layer(layer.activation)


def _reason_against(model, optimizer, criterion):
    """Why a step cannot be replayed, or None: what is not of scratchnet may do on the host what a graph knows nothing of."""
    for layer in every_layer(model):
        if not _is_ours(type(layer)):
            return f"{layer.label()} is a layer of your own"
    while isinstance(criterion, functools.partial):
        criterion = criterion.func
    for what, thing in ("criterion", criterion), ("optimizer", type(optimizer)):
        if not _is_ours(thing):
            return f"{getattr(thing, '__name__', thing)} is a {what} of your own"
    return None


def _is_ours(thing):
    return getattr(thing, "__module__", "").partition(".")[0] == "scratchnet"
