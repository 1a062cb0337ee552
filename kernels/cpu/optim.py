"""Optimiser updates, one pass each, in place on the value and its state, which starts at zero; PyTorch's rules.

Any shape. `lr` is a Python float or a 0-d array, `step` (from 1) an int or a 0-d array.
"""
from numba import prange
from numpy import float32, sqrt

from .compile import behaved, in_place, light_kernel


@light_kernel
def _sgd(value, grad, velocity, has_velocity, lr, momentum, nesterov, weight_decay):
    lr, momentum, weight_decay = float32(lr), float32(momentum), float32(weight_decay)
    for i in prange(value.size):
        g = grad[i] + weight_decay * value[i] if weight_decay != 0 else grad[i]
        if has_velocity:
            v = momentum * velocity[i] + g
            velocity[i] = v
            g = g + momentum * v if nesterov else v
        value[i] -= lr * g


@light_kernel
def _rmsprop(value, grad, square, velocity, has_velocity, mean, has_mean, lr, rho, epsilon, momentum, weight_decay):
    lr, momentum, weight_decay, epsilon = float32(lr), float32(momentum), float32(weight_decay), float32(epsilon)
    old, new = float32(rho), float32(1 - rho)
    for i in prange(value.size):
        g = grad[i] + weight_decay * value[i] if weight_decay != 0 else grad[i]
        s = old * square[i] + new * g * g
        square[i] = s
        if has_mean:
            m = old * mean[i] + new * g
            mean[i] = m
            s -= m * m
            s = float32(0) if s < 0 else s       # rounding may leave a variance below zero
        g = g / (sqrt(s) + epsilon)
        if has_velocity:
            g = momentum * velocity[i] + g
            velocity[i] = g
        value[i] -= lr * g


@light_kernel
def _adam(value, grad, m, v, rate, unbias, beta1, beta2, epsilon, l2, decay):
    rate, unbias, epsilon = float32(rate), float32(unbias), float32(epsilon)
    old1, new1, old2, new2 = float32(beta1), float32(1 - beta1), float32(beta2), float32(1 - beta2)
    l2, keep = float32(l2), float32(1 - decay)
    for i in prange(value.size):
        g = grad[i] + l2 * value[i] if l2 != 0 else grad[i]
        first, second = old1 * m[i] + new1 * g, old2 * v[i] + new2 * g * g
        m[i], v[i] = first, second
        value[i] = keep * value[i] - rate * (first / (sqrt(second / unbias) + epsilon))


def sgd(value, grad, velocity, lr, momentum, nesterov, weight_decay):
    """g = grad + λ value;  v <- μ v + g;  value <- value - lr · (v, or g + μ v with nesterov).

    velocity None: value <- value - lr · g.
    """
    value, grad = in_place(value), behaved(grad).reshape(-1)
    _sgd(value, grad, *_state(velocity, grad), float(lr), float(momentum), int(nesterov), float(weight_decay))


def rmsprop(value, grad, square, velocity, mean, lr, rho, epsilon, momentum, weight_decay):
    """s <- ρ s + (1 - ρ) g²;  value <- value - lr · g/(√s + ε).

    mean (centred): m <- ρ m + (1 - ρ) g, and s - m², the variance, stands for s. velocity: v <- μ v + g/(√s + ε)
    stands for the quotient. Either is None where it is not wanted.
    """
    value, grad = in_place(value), behaved(grad).reshape(-1)
    _rmsprop(value, grad, in_place(square), *_state(velocity, grad), *_state(mean, grad), float(lr), float(rho),
             float(epsilon), float(momentum), float(weight_decay))


def adam(value, grad, m, v, step, lr, beta1, beta2, epsilon, weight_decay):
    """m <- β₁ m + (1 - β₁) g;  v <- β₂ v + (1 - β₂) g²;  value <- value - lr · m̂/(√v̂ + ε),
    m̂ = m/(1 - β₁^step), v̂ = v/(1 - β₂^step), g = grad + λ value.
    """
    _adam_step(value, grad, m, v, step, lr, beta1, beta2, epsilon, float(weight_decay), 0.0)


def adamw(value, grad, m, v, step, lr, beta1, beta2, epsilon, weight_decay):
    """value <- value - lr λ value, then Adam without decay in g."""
    _adam_step(value, grad, m, v, step, lr, beta1, beta2, epsilon, 0.0, float(lr) * float(weight_decay))


def _adam_step(value, grad, m, v, step, lr, beta1, beta2, epsilon, l2, decay):
    """What Adam and AdamW share; the bias corrections in float64, for 1 - β₂ = 0.001 has few digits in float32."""
    rate, unbias = float(lr) / (1 - float(beta1) ** int(step)), 1 - float(beta2) ** int(step)
    _adam(in_place(value), behaved(grad).reshape(-1), in_place(m), in_place(v), rate, unbias, float(beta1),
          float(beta2), float(epsilon), l2, decay)


def _state(array, placeholder):
    """The state to update and whether there is one; the kernel does not touch the placeholder."""
    return (placeholder, 0) if array is None else (in_place(array), 1)
