"""Optimiser updates, one pass each, in place on the value and its state, which starts at zero; PyTorch's rules.

Any shape; or lists of arrays, a parameter each, for a network at once: one launch for all its parameters, which lie
anywhere in memory, so the kernels find them by their addresses. `lr` is a Python float or a 0-d array, `step` (from 1) an int
or a 0-d array.
"""
import weakref
from collections import OrderedDict

import numpy
from llvmlite import ir
from numba import carray, prange, types
from numba.extending import intrinsic
from numpy import float32, sqrt

from .compile import behaved, helper, in_place, kernel
from .recording import each_time

BLOCK = 8192                                     # elements of a task


@intrinsic
def _pointer(context, address):
    def generate(_, builder, signature, arguments):
        return builder.inttoptr(arguments[0], ir.FloatType().as_pointer())
    return types.CPointer(types.float32)(types.intp), generate


@helper
def _piece(arrays, array, task):
    """The elements of a task, of one of the arrays of its parameter.  arrays (parameters, arrays): addresses."""
    parameter, first, count = task
    return carray(_pointer(arrays[parameter, array] + 4 * first), (count,))


@kernel
def _sgd(arrays, tasks, has_velocity, lr, momentum, nesterov, weight_decay):
    """arrays: value, gradient, velocity."""
    lr, momentum, weight_decay = float32(lr), float32(momentum), float32(weight_decay)
    for index in prange(len(tasks)):
        task = tasks[index, 0], tasks[index, 1], tasks[index, 2]
        value, grad, velocity = _piece(arrays, 0, task), _piece(arrays, 1, task), _piece(arrays, 2, task)
        for i in range(value.size):
            g = grad[i] + weight_decay * value[i] if weight_decay != 0 else grad[i]
            if has_velocity:
                v = momentum * velocity[i] + g
                velocity[i] = v
                g = g + momentum * v if nesterov else v
            value[i] -= lr * g


@kernel
def _rmsprop(arrays, tasks, has_velocity, has_mean, lr, rho, epsilon, momentum, weight_decay):
    """arrays: value, gradient, square, velocity, mean."""
    lr, momentum, weight_decay, epsilon = float32(lr), float32(momentum), float32(weight_decay), float32(epsilon)
    old, new = float32(rho), float32(1 - rho)
    for index in prange(len(tasks)):
        task = tasks[index, 0], tasks[index, 1], tasks[index, 2]
        value, grad, square = _piece(arrays, 0, task), _piece(arrays, 1, task), _piece(arrays, 2, task)
        velocity, mean = _piece(arrays, 3, task), _piece(arrays, 4, task)
        for i in range(value.size):
            g = grad[i] + weight_decay * value[i] if weight_decay != 0 else grad[i]
            s = old * square[i] + new * g * g
            square[i] = s
            if has_mean:
                m = old * mean[i] + new * g
                mean[i] = m
                s -= m * m
                s = float32(0) if s < 0 else s   # rounding may leave a variance below zero
            g = g / (sqrt(s) + epsilon)
            if has_velocity:
                g = momentum * velocity[i] + g
                velocity[i] = g
            value[i] -= lr * g


@kernel
def _adam(arrays, tasks, rate, unbias, beta1, beta2, epsilon, l2, decay):
    """arrays: value, gradient, m, v."""
    rate, unbias, epsilon = float32(rate), float32(unbias), float32(epsilon)
    old1, new1, old2, new2 = float32(beta1), float32(1 - beta1), float32(beta2), float32(1 - beta2)
    l2, keep = float32(l2), float32(1 - decay)
    for index in prange(len(tasks)):
        task = tasks[index, 0], tasks[index, 1], tasks[index, 2]
        value, grad, m, v = _piece(arrays, 0, task), _piece(arrays, 1, task), _piece(arrays, 2, task), _piece(arrays, 3, task)
        for i in range(value.size):
            g = grad[i] + l2 * value[i] if l2 != 0 else grad[i]
            first, second = old1 * m[i] + new1 * g, old2 * v[i] + new2 * g * g
            m[i], v[i] = first, second
            value[i] = keep * value[i] - rate * (first / (sqrt(second / unbias) + epsilon))


_layouts = OrderedDict()                         # ids of arrays -> weak references to them, their addresses, tasks


def _layout(columns):
    """(parameters, arrays) the arrays' addresses, and (tasks, 3) parameter, first element, number of elements; looked up
    once as long as the arrays are the same, for that takes longer than most updates. Gradients are others in every step."""
    arrays = [array for column in columns for array in column]
    key = tuple(map(id, arrays))
    references, addresses, tasks = _layouts.get(key, ((), None, None))
    if addresses is None or any(
            reference() is not array or not array.flags.carray for reference, array in zip(references, arrays)):
        addresses = numpy.array([[in_place(array).ctypes.data for array in row] for row in zip(*columns)], "int64")
        tasks = numpy.array([(parameter, first, min(BLOCK, value.size - first)) for parameter, value in enumerate(columns[0])
                             for first in range(0, value.size, BLOCK)], "int64").reshape(-1, 3)
        _layouts[key] = [weakref.ref(array) for array in arrays], addresses, tasks
        while len(_layouts) > 16:
            _layouts.popitem(last=False)
    return addresses, tasks


def _run(update, value, grad, states, constants):
    """The update of all parameters; a state is None, or as value: an array, or a list of them. constants() gives the rest."""
    values, grads, *states = [x if isinstance(x, list) or x is None else [x] for x in (value, grad, *states)]
    grads = [behaved(grad) for grad in grads]
    addresses, tasks = _layout([values, values, *[values if state is None else state for state in states]])
    addresses = addresses.copy()
    addresses[:, 1] = [grad.ctypes.data for grad in grads]
    each_time(lambda kept=grads: update(addresses, tasks, *constants()))         # there, they live as long as the recording


def sgd(value, grad, velocity, lr, momentum, nesterov, weight_decay):
    """g = grad + λ value;  v <- μ v + g;  value <- value - lr · (v, or g + μ v with nesterov).

    velocity None: value <- value - lr · g.
    """
    _run(_sgd, value, grad, (velocity,), lambda: (
        int(velocity is not None), float(lr), float(momentum), int(nesterov), float(weight_decay)))


def rmsprop(value, grad, square, velocity, mean, lr, rho, epsilon, momentum, weight_decay):
    """s <- ρ s + (1 - ρ) g²;  value <- value - lr · g/(√s + ε).

    mean (centred): m <- ρ m + (1 - ρ) g, and s - m², the variance, stands for s. velocity: v <- μ v + g/(√s + ε)
    stands for the quotient. Either is None where it is not wanted.
    """
    _run(_rmsprop, value, grad, (square, velocity, mean), lambda: (
        int(velocity is not None), int(mean is not None), float(lr), float(rho), float(epsilon), float(momentum),
        float(weight_decay)))


def adam(value, grad, m, v, step, lr, beta1, beta2, epsilon, weight_decay):
    """m <- β₁ m + (1 - β₁) g;  v <- β₂ v + (1 - β₂) g²;  value <- value - lr · m̂/(√v̂ + ε),
    m̂ = m/(1 - β₁^step), v̂ = v/(1 - β₂^step), g = grad + λ value.
    """
    _adam_step(value, grad, m, v, step, lr, beta1, beta2, epsilon, weight_decay, 0.0)


def adamw(value, grad, m, v, step, lr, beta1, beta2, epsilon, weight_decay):
    """value <- value - lr λ value, then Adam without decay in g."""
    _adam_step(value, grad, m, v, step, lr, beta1, beta2, epsilon, 0.0, weight_decay)


def _adam_step(value, grad, m, v, step, lr, beta1, beta2, epsilon, l2, decay):
    """What Adam and AdamW share; the bias corrections in float64, for 1 - β₂ = 0.001 has few digits in float32."""
    _run(_adam, value, grad, (m, v), lambda: (
        float(lr) / (1 - float(beta1) ** int(step)), 1 - float(beta2) ** int(step), float(beta1), float(beta2),
        float(epsilon), float(l2), float(lr) * float(decay)))
