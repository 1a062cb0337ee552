"""Losses: each returns its value, a 0-d array, and its gradient in the predictions.

The kernels write each row's or element's loss; then these are added up in float64, in an order that does not depend on the
threads.
"""
from math import exp, log, log1p

import numpy
from numba import prange
from numpy import float32

from . import memory
from .activation import softmax_row
from .compile import INT64, behaved, light_kernel


@light_kernel
def _cross_entropy(logits, targets, smoothing, losses, dlogits):
    N, K = logits.shape
    keep, floor = float32(1 - smoothing), float32(smoothing / K)
    for n in prange(N):
        row = dlogits[n]
        largest, total = softmax_row(logits[n], row)
        log_total = log(numpy.float64(total))
        loss, mass = 0.0, float32(0)
        for k in range(K):
            target = keep * targets[n, k] + floor
            mass += target
            if target != float32(0):             # 0 · log 0 is 0, also at a logit of -inf
                loss -= target * (numpy.float64(logits[n, k]) - largest - log_total)
        for k in range(K):
            row[k] = (row[k] * mass - (keep * targets[n, k] + floor)) / float32(N)
        losses[n] = loss


@light_kernel
def _one_hot(targets, labels):
    """targets[n, k] = 1 where k is the label, else 0.  targets (N, K), labels (N,)"""
    for n in prange(labels.size):
        for k in range(targets.shape[1]):
            targets[n, k] = float32(k == labels[n])


def softmax_cross_entropy(logits, labels, label_smoothing):
    """L = -1/N Σ_n Σ_k t_nk log softmax(z_n)_k, so dz = (softmax(z) Σ_k t_k - t)/N.

    logits z (N, K); labels (N,) integers or t (N, K) probabilities. label_smoothing s: t <- (1 - s) t + s/K.
    """
    logits = behaved(logits)
    N, K = logits.shape
    if labels.ndim == 1:
        targets = memory.empty((N, K))
        _one_hot(targets, behaved(labels.astype(INT64, copy=False), INT64))
    else:
        targets = behaved(labels)
    losses, dlogits = numpy.empty(N), memory.empty((N, K))
    _cross_entropy(logits, targets, float(label_smoothing), losses, dlogits)
    return _mean(losses), dlogits


@light_kernel
def _binary_cross_entropy(predictions, targets, from_logits, losses, gradient):
    count = float32(predictions.size)
    for i in prange(predictions.size):
        p, t = predictions[i], targets[i]
        if from_logits:
            small = exp(-abs(numpy.float64(p)))
            losses[i] = (p if p > 0 or p != p else float32(0)) - p * t + log1p(small)
            gradient[i] = float32((1.0 if p >= 0 else small) / (1.0 + small) - t) / count
        else:
            log_p, log_q = log(numpy.float64(p)), log1p(-numpy.float64(p))
            log_p = -100.0 if log_p < -100.0 else log_p
            log_q = -100.0 if log_q < -100.0 else log_q
            losses[i] = -(t * log_p + (1 - t) * log_q)
            variance = p * (1 - p)
            gradient[i] = (p - t) / (float32(1e-12) if variance < float32(1e-12) else variance) / count


def binary_cross_entropy(predictions, targets, from_logits):
    """L = -mean(t log p + (1 - t) log(1 - p)), so dp = (p - t)/(p (1 - p))/M, and dz = (σ(z) - t)/M.

    from_logits: p = σ(z) and L = mean(max(z, 0) - z t + log(1 + e^-|z|)), which overflows nowhere. Else the
    logarithms stop at -100 and p (1 - p) at 1e-12, as PyTorch's do. Any shape; M = the number of elements.
    """
    predictions, targets = behaved(predictions), behaved(targets)
    losses, gradient = numpy.empty(predictions.size), memory.empty(predictions.shape)
    _binary_cross_entropy(predictions.reshape(-1), targets.reshape(-1), int(from_logits), losses,
                          gradient.reshape(-1))
    return _mean(losses), gradient


@light_kernel
def _squared_error(predictions, targets, losses, gradient):
    factor = float32(2 / predictions.size)
    for i in prange(predictions.size):
        difference = predictions[i] - targets[i]
        losses[i] = numpy.float64(difference) * difference
        gradient[i] = factor * difference


def mean_squared_error(predictions, targets):
    """L = mean((p - t)²), so dp = 2 (p - t)/M.  Any shape; M = the number of elements."""
    predictions, targets = behaved(predictions), behaved(targets)
    losses, gradient = numpy.empty(predictions.size), memory.empty(predictions.shape)
    _squared_error(predictions.reshape(-1), targets.reshape(-1), losses, gradient.reshape(-1))
    return _mean(losses), gradient


@light_kernel
def _add_up(losses, mean):
    """mean[0]: of all losses. Each thread would have a part of the sum, and there is little to do."""
    for _ in prange(1):
        total = 0.0
        for i in range(losses.size):
            total += losses[i]
        mean[0] = total / max(1, losses.size)


def _mean(losses):
    """The mean as a 0-d float32 array."""
    mean = numpy.empty(1, numpy.float32)
    _add_up(losses, mean)
    return mean.reshape(())
