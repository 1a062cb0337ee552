"""A training step replayed from a recording, without its Python: on a GPU a CUDA graph, one launch instead of dozens
(kernels/cuda/graph.py); on the CPU the list of its kernels (kernels/cpu/recording.py), where they take little memory.

A recording has built in the addresses of arrays and the values of settings, so before every step it is made sure that they
are still what they were.
"""

import functools
from itertools import chain
from operator import attrgetter, is_

from scratchnet.backend import kernels, runs_on_cpu, runs_on_cuda
from scratchnet.layers.base import Layer
from scratchnet.layers.running import local

WARM_UP = 2                                      # ordinary steps with the same arrays, before one is recorded
_OF_A_PARAMETER = attrgetter("_value", "_grad", "_has_grad", "trainable")


def replayed(run, model, optimizer, criterion, samples, say):
    """step(images, labels) -> what run(images, labels) gives, which is a step of training; replayed where it can be and the
    batch has `samples` images. say(words) is told, once, why a step on a GPU cannot be."""
    values = [parameter.value for parameter in model.parameters().values()]
    on_cuda = bool(values) and all(map(runs_on_cuda, values))
    if not on_cuda and not (values and all(map(runs_on_cpu, values))):
        return run
    return (OnCUDA if on_cuda else OnCPU)(run, model, optimizer, criterion, samples, say)


class Replayed:
    """What both have: the step, when it is recorded, and whether a recording still holds.

    A kind of it says runs_here(images); tables(): where else settings stand; about(images, labels), of the batch and
    around it, that a recording is for; record(images, labels) -> recorded, which changes nothing, and raises what is
    wrong.
    """

    def __init__(self, run, model, optimizer, criterion, samples, say):
        self.run, self.model, self.optimizer, self.criterion = run, model, optimizer, criterion
        self.samples, self.say, self.warm_up = samples, say, WARM_UP
        self.captured = self.built_in = self.built_for = self.why = None
        self.seen = 0

    def __call__(self, images, labels):
        if self.say is None or len(images) != self.samples or local.watchers or not self.runs_here(images):
            return self.run(images, labels)
        if self.built_in is not None and not self._still_holds(images, labels):
            self.captured, self.built_in = None, None
        if self.captured is None and (self.seen < self.warm_up or self.built_in is None or not self._record(images, labels)):
            return self._run_ordinarily(images, labels)
        return self.captured(images, labels)

    def _run_ordinarily(self, images, labels):
        """A step that makes what is made once: gradients, the optimiser's state, compiled kernels."""
        result = self.run(images, labels)
        if self.built_in is None or not self._still_holds(images, labels):
            self.built_in, self.seen = BuiltIn(self.model, self.optimizer, self.criterion, self.tables()), 0
            self.built_for = self.about(images, labels)
            self._never(_reason_against(self.model, self.optimizer, self.criterion))
        self.seen += 1
        return result

    def _still_holds(self, images, labels):
        return self.built_for == self.about(images, labels) and self.built_in.still_holds()

    def _record(self, images, labels):
        try:
            self.captured = self.record(images, labels)
        except Exception as error:                          # CuPy's, CUDA's, or of a layer that wants to read the device
            self._never(f"{type(error).__name__}: {error}".splitlines()[0])
        return self.captured is not None

    def _never(self, why):
        if why:
            self.why = why
            self.say(why)
            self.say = None


class OnCUDA(Replayed):
    def runs_here(self, images):
        return runs_on_cuda(images)

    def tables(self):
        from scratchnet.kernels.cuda.precision import precision
        return [vars(precision)]

    def about(self, *arrays):
        return _kind(*arrays)

    def record(self, images, labels):
        from scratchnet.kernels.cuda.graph import Captured, make_room
        make_room()
        try:
            return Captured(self.run, images, labels)
        except Exception:
            for parameter in self.model.parameters().values():
                parameter.clear_grad()                      # nothing has been added to them
            raise


class OnCPU(Replayed):
    """What it cannot replay it says nothing of: the step is the same, only slower, and hardly so where it computes much."""

    def __init__(self, run, model, optimizer, criterion, samples, say):
        super().__init__(run, model, optimizer, criterion, samples, lambda words: None)

    def runs_here(self, images):
        return runs_on_cpu(images)

    def tables(self):
        return []

    def about(self, *arrays):
        return _kind(*arrays), kernels("cpu.threads").threads()

    def record(self, images, labels):
        from scratchnet.trial import trial
        self.warm_up *= 2                        # a trial takes some steps, too many where something changes every few
        return trial(self.run, self.model, self.optimizer, images, labels)


class BuiltIn:
    """What a recording of a step has built in: all that the model and its optimiser have in their tables, what the criterion
    was given, and `tables`.

    Compared by identity, which is quick: who assigns an equal number anew pays with another recording.
    """

    def __init__(self, model, optimizer, criterion, tables):
        self.optimizer, self.parameters = optimizer, list(model.parameters().values())
        self.tables = [*tables, optimizer.parameters, optimizer.settings, optimizer.slots, *optimizer.slots.values()]
        self.tables += [partial.keywords for partial in _partials(criterion)]
        for layer in every_layer(model):
            self.tables += vars(layer), layer._children, layer._parameters, layer._buffers
        self.things = self._things()             # held, so that none of them ends and leaves its identity to another

    def still_holds(self):
        things = self._things()
        return len(things) == len(self.things) and all(map(is_, things, self.things))

    def _things(self):
        optimizer = self.optimizer
        return [optimizer.clock, optimizer.slots, optimizer.settings, *filter(callable, vars(optimizer).values()),
                *chain.from_iterable(map(dict.values, self.tables)),
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
    """Why a step cannot be replayed, or None: what is not of scratchnet may do what a recording knows nothing of."""
    for layer in every_layer(model):
        if not is_ours(layer):
            return f"{layer.label()} is a layer of your own, or a method of it is"
    if any(map(has_own_methods, [optimizer, *model.parameters().values()])):
        return "a method of the optimizer or of a parameter has been replaced"
    for partial in _partials(criterion):
        criterion = partial.func
    for what, thing in ("criterion", criterion), ("optimizer", type(optimizer)):
        if not _is_of_scratchnet(thing):
            return f"{getattr(thing, '__name__', thing)} is a {what} of your own"
    return None


def is_ours(layer):
    """Whether the layer computes what scratchnet wrote, and nothing else."""
    return _is_of_scratchnet(type(layer)) and not has_own_methods(layer)


def has_own_methods(thing):
    """Whether something stands in the place of a method of its type."""
    return any(callable(getattr(type(thing), name, None)) for name in vars(thing))


def _partials(criterion):
    """The functools.partial that it is, and those that this one is of."""
    while isinstance(criterion, functools.partial):
        yield criterion
        criterion = criterion.func


def _is_of_scratchnet(thing):
    return getattr(thing, "__module__", "").partition(".")[0] == "scratchnet" and not hasattr(thing, "__wrapped__")
