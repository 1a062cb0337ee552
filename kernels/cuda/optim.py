"""Optimiser updates, in place, a whole network in one launch. Kernels: optim.cu.

Lists of arrays, a parameter each, or one array. `lr` is a Python float or a 0-d array on the device, `step` (from 1) an
int or such an array: nothing here reads either on the host.
"""
import numpy

from . import launch as launching
from .launch import in_place, launch

CHUNK, THREADS = 2048, 256                       # elements of a block, as in optim.cu, and its threads
KEPT = 16                                        # tables: of a few models and optimisers
_tables = {}


def sgd(value, grad, velocity, lr, momentum, nesterov, weight_decay):
    """g = grad + λ value;  v <- μ v + g;  value <- value - lr · (v, or g + μ v with nesterov).  velocity None: g."""
    _update("sgd", "sgd", [value, grad, velocity], _numbers(lr), lr=lr, momentum=momentum,
            has_velocity=int(velocity is not None), nesterov=int(nesterov), weight_decay=weight_decay)


def rmsprop(value, grad, square, velocity, mean, lr, rho, epsilon, momentum, weight_decay):
    """s <- ρ s + (1 - ρ) g²;  value <- value - lr · g/(√s + ε).  mean (centred), velocity (momentum): or None."""
    _update("rmsprop", "rmsprop", [value, grad, square, velocity, mean], _numbers(lr), lr=lr, rho=rho, rest=1 - rho,
            epsilon=epsilon, momentum=momentum, has_velocity=int(velocity is not None), centred=int(mean is not None),
            weight_decay=weight_decay)


def adam(value, grad, m, v, step, lr, beta1, beta2, epsilon, weight_decay):
    """m <- β₁ m + (1 - β₁) g;  v <- β₂ v + (1 - β₂) g²;  value <- value - lr · m̂/(√v̂ + ε), g = grad + λ value."""
    _adam("adam", value, grad, m, v, step, lr, beta1, beta2, epsilon, weight_decay, decoupled=0)


def adamw(value, grad, m, v, step, lr, beta1, beta2, epsilon, weight_decay):
    """value <- value - lr λ value, then Adam without decay in g."""
    _adam("adamw", value, grad, m, v, step, lr, beta1, beta2, epsilon, weight_decay, decoupled=1)


def _adam(operation, value, grad, m, v, step, lr, beta1, beta2, epsilon, weight_decay, decoupled):
    rate, unbias = lr / (1 - beta1 ** step), 1 - beta2 ** step
    _update(operation, "adam", [value, grad, m, v], _numbers(lr, rate, unbias), lr=lr, rate=rate, unbias=unbias,
            beta1=beta1, rest1=1 - beta1, beta2=beta2, rest2=1 - beta2, epsilon=epsilon, weight_decay=weight_decay,
            decoupled=decoupled)


def _numbers(*numbers):
    """Where one of them is on the device, all of them there in one float32 array; else None."""
    if not any(launching.device.is_array(number) for number in numbers):
        return None
    together = launching.empty((len(numbers),))
    for index, number in enumerate(numbers):
        together[index] = number
    return together


def _update(operation, kernel, slots, numbers, **settings):
    """slots: the values, the gradients and the states, those that there are; each a list, or one array."""
    names = "value", "grad", "state", "state", "state"
    slots = [slot if isinstance(slot, list) else [slot] for slot in slots if slot is not None]
    for name, slot in zip(names, slots):
        for one, value in zip(slot, slots[0]):
            in_place(operation, name, one, value.shape)
    table, chunks = _table(slots)
    columns = len(slots) + 1
    if numbers is not None:
        settings |= {name: 0.0 for name in ("lr", "rate", "unbias") if name in settings}
    launch("optim", kernel, (len(chunks),), (THREADS,), table=table, chunks=chunks, numbers=numbers, columns=columns,
           **settings)


def _table(slots):
    """(table (parameters, slots + 1) of addresses and sizes, chunks (blocks, 2)), on the device; made once for each set
    of addresses, which stay from step to step."""
    rows = tuple((*(launching.device.address(one) for one in ones), ones[0].size) for ones in zip(*slots))
    if rows not in _tables:
        if len(_tables) >= KEPT:
            del _tables[next(iter(_tables))]                         # the oldest
        chunks = [(number, first) for number, row in enumerate(rows) for first in range(0, row[-1], CHUNK)]
        _tables[rows] = (launching.device.upload(numpy.array(rows, numpy.int64)),
                         launching.device.upload(numpy.array(chunks, numpy.int32).reshape(-1, 2)))
    return _tables[rows]
