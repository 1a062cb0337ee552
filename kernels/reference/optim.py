"""Optimiser updates, in place on the value and its state, which starts at zero; PyTorch's rules.

Any shape; or lists of arrays, a parameter each, for a network at once. `lr` is a Python float or a 0-d array, `step` (from
1) an int or a 0-d array: nothing here reads either on the host.
"""
import functools

from .array_module import accumulator, get_array_module


def of_each(update):
    """The update of each parameter where the value is a list of them, as are then the gradient and every state."""
    @functools.wraps(update)
    def update_each(value, *arguments):
        if not isinstance(value, list):
            return update(value, *arguments)
        for index, one in enumerate(value):
            update(one, *[argument[index] if isinstance(argument, list) else argument for argument in arguments])
    return update_each


def _decayed(value, grad, weight_decay):
    """The gradient of L + weight_decay/2 · |value|², in the accumulator's dtype."""
    wide = accumulator(value.dtype)
    grad = grad.astype(wide, copy=False)
    return grad + weight_decay * value.astype(wide, copy=False) if weight_decay else grad


def _descend(value, rate, direction):
    """value <- value - rate · direction; the rate takes the direction's dtype, so that it widens nothing."""
    rate = get_array_module(value).asarray(rate, dtype=direction.dtype)
    value[...] = value - rate * direction


@of_each
def sgd(value, grad, velocity, lr, momentum, nesterov, weight_decay):
    """g = grad + λ value;  v <- μ v + g;  value <- value - lr · (v, or g + μ v with nesterov).

    velocity None: value <- value - lr · g. Sutskever et al. 2013, sec. 2, in PyTorch's form (lr outside v).
    """
    g = _decayed(value, grad, weight_decay)
    if velocity is not None:
        velocity[...] = momentum * velocity + g
        g = g + momentum * velocity if nesterov else velocity
    _descend(value, lr, g)


@of_each
def rmsprop(value, grad, square, velocity, mean, lr, rho, epsilon, momentum, weight_decay):
    """s <- ρ s + (1 - ρ) g²;  value <- value - lr · g/(√s + ε).  Tieleman & Hinton 2012, lecture 6.5.

    mean (centred, Graves 2013, sec. 4.2): m <- ρ m + (1 - ρ) g, and s - m², the variance, stands for s.
    velocity: v <- μ v + g/(√s + ε) stands for the quotient. Either is None where it is not wanted.
    """
    xp = get_array_module(value)
    g = _decayed(value, grad, weight_decay)
    square[...] = rho * square + (1 - rho) * g * g
    spread = square
    if mean is not None:
        mean[...] = rho * mean + (1 - rho) * g
        spread = xp.maximum(square - mean * mean, 0)         # rounding may leave a variance below zero
    direction = g / (xp.sqrt(spread) + epsilon)
    if velocity is not None:
        velocity[...] = momentum * velocity + direction
        direction = velocity
    _descend(value, lr, direction)


@of_each
def adam(value, grad, m, v, step, lr, beta1, beta2, epsilon, weight_decay):
    """m <- β₁ m + (1 - β₁) g;  v <- β₂ v + (1 - β₂) g²;  value <- value - lr · m̂/(√v̂ + ε),
    m̂ = m/(1 - β₁^step), v̂ = v/(1 - β₂^step), g = grad + λ value.  Kingma & Ba 2015, alg. 1.
    """
    g = _decayed(value, grad, weight_decay)
    _adam_step(value, g, m, v, step, lr, beta1, beta2, epsilon)


@of_each
def adamw(value, grad, m, v, step, lr, beta1, beta2, epsilon, weight_decay):
    """value <- value - lr λ value, then Adam without decay in g.  Loshchilov & Hutter 2019, alg. 2."""
    g = grad.astype(accumulator(value.dtype), copy=False)
    if weight_decay:
        _descend(value, lr * weight_decay, value.astype(g.dtype, copy=False))
    _adam_step(value, g, m, v, step, lr, beta1, beta2, epsilon)


def _adam_step(value, g, m, v, step, lr, beta1, beta2, epsilon):
    """What Adam and AdamW share: both moments, their bias corrections, and the step."""
    xp = get_array_module(value)
    m[...] = beta1 * m + (1 - beta1) * g
    v[...] = beta2 * v + (1 - beta2) * g * g
    unbias = xp.asarray(1 - beta2 ** step, dtype=g.dtype)    # a Python float or 0-d float64 until here
    _descend(value, lr / (1 - beta1 ** step), m / (xp.sqrt(v / unbias) + epsilon))
