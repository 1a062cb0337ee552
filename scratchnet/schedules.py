"""Learning-rate schedules: functions of the step t = 0, 1, 2, …, used as `optimizer.lr = schedule(t)`.

Each function here returns such a schedule. Steps are batches, so `steps` is epochs times batches in an epoch.
Past its end a schedule stays at its last value.
"""

import math


def constant(lr):
    """lr(t) = lr."""
    _check("constant", lr=lr)
    return lambda t: lr


def step(lr, every, factor=0.1):
    """lr(t) = lr · factor^⌊t/every⌋.  Krizhevsky et al. 2012, section 5, divide by 10 by hand."""
    _check("step", lr=lr, factor=factor)
    _check_count("step", every=every)
    return lambda t: lr * factor ** (t // every)


def cosine(lr, steps, final=0.0):
    """lr(t) = final + (lr - final)(1 + cos(π t/steps))/2: from lr at 0 to final at `steps`.

    Loshchilov & Hutter 2016, equation (5), without restarts.
    """
    _check("cosine", lr=lr, final=final)
    _check_count("cosine", steps=steps)
    return lambda t: _cosine_between(lr, final, t / steps)


def one_cycle(lr, steps, rise=0.3, start_divisor=25, end_divisor=250_000):
    """From lr/start_divisor up to lr at rise·steps, then down to lr/end_divisor at `steps`, on half cosines.

    Smith & Topin 2017, section 3, with straight lines; half cosines are fast.ai's (Howard & Gugger 2020), the
    defaults PyTorch's.
    """
    _check("one_cycle", lr=lr)
    _check_count("one_cycle", steps=steps)
    if not 0 < rise < 1 or start_divisor < 1 or end_divisor < 1:
        raise ValueError(f"one_cycle: expected 0 < rise < 1 and divisors of at least 1, got rise={rise}, "
                         f"start_divisor={start_divisor}, end_divisor={end_divisor}")
    top = rise * steps

    def schedule(t):
        if t < top:
            return _cosine_between(lr / start_divisor, lr, t / top)
        return _cosine_between(lr, lr / end_divisor, (t - top) / (steps - top))
    return schedule


def warm_up(schedule, steps):
    """lr(t) = schedule(t) · (t + 1)/(steps + 1) for t < steps, then schedule(t): a straight line up, no jump.

    Goyal et al. 2017, section 2.2. The first step is small, not zero, so it is not wasted.
    """
    _check_count("warm_up", steps=steps)
    return lambda t: schedule(t) * min(1.0, (t + 1) / (steps + 1))


def _cosine_between(first, last, share):
    """first at share 0, last at share 1 and beyond, along half a cosine."""
    return last + (first - last) * (1 + math.cos(math.pi * min(share, 1.0))) / 2


def _check(schedule, **values):
    for name, value in values.items():
        if not 0 <= value < math.inf:
            raise ValueError(f"{schedule}: {name} must be a finite number of at least 0, got {value!r}")


def _check_count(schedule, **values):
    for name, value in values.items():
        if not value >= 1 or value != int(value):
            raise ValueError(f"{schedule}: {name} must be a whole number of steps, at least 1, got {value!r}")
