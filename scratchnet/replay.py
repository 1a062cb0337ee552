"""A training step that a GPU replays from a CUDA graph: one launch instead of dozens, and none of the step's Python.

What a graph has built in, arrays by their addresses and settings by their values, is compared before every step.
"""

import functools

from scratchnet.backend import runs_on_cuda
from scratchnet.layers.base import Layer
from scratchnet.layers.running import local

WARM_UP = 2                                      # ordinary steps with the same arrays, before one is recorded
VALUES = int, float, bool, str, tuple, type(None)


def replayed(run, model, optimizer, criterion, samples, say):
    """step(images, labels) -> what run(images, labels) gives, which is a step of training; on a GPU it is replayed where
    the batch has `samples` images. say(words) is told, once, why a step on a GPU cannot be. On the CPU: run itself."""
    if not all(runs_on_cuda(parameter.value) for parameter in model.parameters().values()):
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
        built_in = BuiltIn(self.model, self.optimizer, images, labels)
        if self.captured is None or built_in != self.built_in:
            self.captured = None
            if built_in != self.built_in or self.seen < WARM_UP or not self._record(images, labels):
                return self._run_ordinarily(images, labels)
        return self.captured(images, labels)

    def _run_ordinarily(self, images, labels):
        """A step that makes what is made once: gradients, the optimiser's state, compiled kernels."""
        result = self.run(images, labels)
        built_in = BuiltIn(self.model, self.optimizer, images, labels)
        self.seen = self.seen + 1 if built_in == self.built_in else 1
        self.built_in = built_in
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
    """What a graph of a step has built in. Equal to another one if that graph still does what the step would do."""

    def __init__(self, model, optimizer, images, labels):
        from scratchnet.kernels.cuda.precision import precision
        self.values = [images.shape, images.dtype, labels.shape, labels.dtype, *vars(precision).items(),
                       *optimizer.settings.values()]
        self.objects = [optimizer.clock]         # held, so that no later one gets the address of one of them
        for slot in optimizer.slots.values():
            self.objects += slot.values()
        for layer in every_layer(model):
            self.objects += layer._buffers.values()
            for parameter in layer._parameters.values():
                self.objects += parameter, parameter._value, parameter._grad
                self.values.append(parameter.trainable)
            for value in vars(layer).values():
                (self.values if isinstance(value, VALUES) else self.objects).append(value)

    def __eq__(self, other):
        return other is not None and self.values == other.values and len(self.objects) == len(other.objects) and all(
            mine is theirs for mine, theirs in zip(self.objects, other.objects))


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
