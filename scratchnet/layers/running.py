"""What happens around every forward and backward: checks, single use, and `watch`, the one observation point."""

import contextlib
import functools
import threading

from scratchnet.backend import converted
from scratchnet.layers.checks import check_array, check_input


class _Local(threading.local):
    watchers = ()               # functions called after each leaf
    inference = False           # inside layer(x): closures are dropped as soon as they are made
    trains_below = False        # something below the running container is trained, so its dx will be asked for
    initialised = None          # the layers that the running init has already seen
    objective = None            # inside model.loss: what auxiliary classifiers are trained for


local = _Local()


class Objective:
    """What a batch is trained for, and the losses of auxiliary classifiers, already weighted."""

    def __init__(self, criterion, labels):
        self.criterion, self.labels, self.losses = criterion, labels, []


class Backward:
    """The backward of one forward: checks dy, runs once, and frees what the forward kept."""

    __slots__ = ("layer", "function", "shape", "dtype", "versions")

    def __init__(self, layer, function, y):
        self.layer, self.function = layer, function
        self.shape, self.dtype = y.shape, y.dtype
        self.versions = [p.version for p in layer._parameters.values()]

    def __call__(self, dy, need_dx=True):
        layer, function, self.function = self.layer, self.function, None
        if function is None:
            raise RuntimeError(f"{layer.label()}: this backward has already run, and what it needed is freed; "
                               "call forward again for another")
        if self.versions != [p.version for p in layer._parameters.values()]:
            raise RuntimeError(f"{layer.label()}: its parameters were changed between forward and backward; "
                               "run every backward before the optimiser's step")
        dy = converted(check_array(layer, dy, "dy"), self.dtype)         # behind y there may be another precision
        if dy.shape != self.shape or dy.dtype != self.dtype:
            raise ValueError(f"{layer.label()}: dy must be like y, {self.dtype} {self.shape}, "
                             f"got {dy.dtype} {dy.shape}")
        dx = function(dy, need_dx)
        if not need_dx:
            dx = None
        if local.watchers and not layer._children:
            for watcher in local.watchers:
                watcher(layer.path, "backward", dy, dx)
        return dx


def guarded(forward):
    """`forward` with the checks before it and the bookkeeping after it. `also`: what fusion.py adds to the pass."""
    @functools.wraps(forward)
    def checked_forward(self, x, training=True, **also):
        x = check_input(self, x)
        y, backward = forward(self, x, training and self._trainable, **also)
        if local.watchers and not self._children:
            for watcher in local.watchers:
                watcher(self.path, "forward", y)
        return y, None if local.inference else Backward(self, backward, y)
    return checked_forward


@contextlib.contextmanager
def watch(function):
    """While it is open, function(path, "forward", y) and function(path, "backward", dy, dx) follow every leaf's pass.

    Of this thread only. The arrays are the engine's own: look, copy, never write. dx is None where nobody needs it.
    """
    before = local.watchers
    local.watchers = (*before, function)
    try:
        yield
    finally:
        local.watchers = before


@contextlib.contextmanager
def unwatched():
    """For a forward that is run a second time: watchers have seen it."""
    before, local.watchers = local.watchers, ()
    try:
        yield
    finally:
        local.watchers = before
