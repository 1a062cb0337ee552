"""Optimiser updates, in place, a whole network in one launch. Kernels: optim.cu.

Lists of arrays, a parameter each, or one array. `lr` is a Python float, with `step` (from 1) an int; or a Clock, which
counts for itself and lets no gradient in that is not finite. Nothing here reads the device.
"""
import numpy

from . import launch as launching
from .graph import kept, recording
from .launch import empty, in_place, launch

CHUNK, THREADS = 2048, 256                       # elements of a block, as in optim.cu, and its threads
KEPT = 16                                        # tables: of a few models and optimisers
_tables = {}


class Clock:
    """What the updates of some parameters need on the device from step to step.

    lr: a Python float or an array (1,), assigned before an update. steps (n,) int32: how often each was updated. A step
    with a gradient that is not finite changes nothing and counts for nothing: skipped (1,) int32 says that it was such.
    """

    def __init__(self, steps):
        self.lr = None
        self.steps = launching.device.upload(numpy.array(steps, numpy.int32))
        self.skipped, self.bad = (launching.device.upload(numpy.zeros(1, numpy.int32)) for _ in range(2))
        self.numbers = empty((len(steps), 3))


def sgd(value, grad, velocity, lr, momentum, nesterov, weight_decay):
    """g = grad + λ value;  v <- μ v + g;  value <- value - lr · (v, or g + μ v with nesterov).  velocity None: g."""
    _update("sgd", "sgd", [value, grad, velocity], lr, momentum=momentum, has_velocity=int(velocity is not None),
            nesterov=int(nesterov), weight_decay=weight_decay)


def rmsprop(value, grad, square, velocity, mean, lr, rho, epsilon, momentum, weight_decay):
    """s <- ρ s + (1 - ρ) g²;  value <- value - lr · g/(√s + ε).  mean (centred), velocity (momentum): or None."""
    _update("rmsprop", "rmsprop", [value, grad, square, velocity, mean], lr, rho=rho, rest=1 - rho, epsilon=epsilon,
            momentum=momentum, has_velocity=int(velocity is not None), centred=int(mean is not None),
            weight_decay=weight_decay)


def adam(value, grad, m, v, step, lr, beta1, beta2, epsilon, weight_decay):
    """m <- β₁ m + (1 - β₁) g;  v <- β₂ v + (1 - β₂) g²;  value <- value - lr · m̂/(√v̂ + ε), g = grad + λ value."""
    _adam("adam", value, grad, m, v, step, lr, beta1, beta2, epsilon, weight_decay, decoupled=0)


def adamw(value, grad, m, v, step, lr, beta1, beta2, epsilon, weight_decay):
    """value <- value - lr λ value, then Adam without decay in g."""
    _adam("adamw", value, grad, m, v, step, lr, beta1, beta2, epsilon, weight_decay, decoupled=1)


def _adam(operation, value, grad, m, v, step, lr, beta1, beta2, epsilon, weight_decay, decoupled):
    rests = 1 - beta1, 1 - beta2
    rate, unbias = (0.0, 0.0) if isinstance(lr, Clock) else (lr / (1 - beta1 ** step), 1 - beta2 ** step)
    _update(operation, "adam", [value, grad, m, v], lr, rests, rate=rate, unbias=unbias, beta1=beta1, rest1=rests[0],
            beta2=beta2, rest2=rests[1], epsilon=epsilon, weight_decay=weight_decay, decoupled=decoupled)


def _update(operation, kernel, slots, lr, rests=(0.0, 0.0), **settings):
    """slots: the values, the gradients and the states, those that there are; each a list, or one array."""
    names = "value", "grad", "state", "state", "state"
    slots = [slot if isinstance(slot, list) else [slot] for slot in slots if slot is not None]
    for name, slot in zip(names, slots):
        for one, value in zip(slot, slots[0]):
            in_place(operation, name, one, value.shape)
    table, chunks = _table(slots)
    grid, rows = (len(chunks),), {"table": table, "chunks": chunks, "columns": len(slots) + 1}
    if not isinstance(lr, Clock):
        launch("optim", kernel, grid, (THREADS,), numbers=None, bad=None, lr=lr, **rows, **settings)
        return
    clock, there = lr, launching.device.is_array(lr.lr)
    launch("optim", "begin_step", grid, (THREADS,), bad=clock.bad, steps=clock.steps, numbers=clock.numbers,
           rate=clock.lr if there else None, lr=0.0 if there else clock.lr, rest1=rests[0], rest2=rests[1], **rows)
    launch("optim", kernel, grid, (THREADS,), numbers=clock.numbers, bad=clock.bad, lr=0.0, **rows, **settings)
    launch("optim", "finish_step", (1,), (THREADS,), bad=clock.bad, skipped=clock.skipped, steps=clock.steps,
           n=len(slots[0]))


def _table(slots):
    """(table (parameters, slots + 1) of addresses and sizes, chunks (blocks, 2)), on the device; made once for each set
    of addresses, which stay from step to step."""
    rows = tuple((*(launching.device.address(one) for one in ones), ones[0].size) for ones in zip(*slots))
    if rows not in _tables:
        if recording():
            raise RuntimeError("an optimiser meets new arrays while it is recorded")
        if len(_tables) >= KEPT:
            del _tables[next(iter(_tables))]                         # the oldest
        chunks = [(number, first) for number, row in enumerate(rows) for first in range(0, row[-1], CHUNK)]
        _tables[rows] = (launching.device.upload(numpy.array(rows, numpy.int64)),
                         launching.device.upload(numpy.array(chunks, numpy.int32).reshape(-1, 2)))
    kept(*_tables[rows])
    return _tables[rows]
