"""Losses: each returns (loss, dL/d first argument), means over the batch; loss is a 0-d array of the same device.

In float32 for bfloat16 arguments: a loss sums, and so do those who read it.

Textbook: kernels/reference/loss.py.  Fast: kernels/cpu/loss.py.
"""

import math

import numpy as np

from scratchnet.backend import array_like, array_module, each_time, in_float32, is_array, is_bfloat16, ops


def softmax_cross_entropy(logits, labels, label_smoothing=0):
    """L = -1/N Σ_n Σ_k t_nk log softmax(z_n)_k, so dL/dz = (softmax(z) - t)/N.  Bishop 2006, (4.108), (4.109).

    logits (N, classes). labels: (N,) integers below classes, of any width, or (N, classes) probabilities. With
    label_smoothing s the target is (1 - s) t + s/classes (Szegedy et al. 2015, section 7).
    ValueError for labels out of range or of another shape; TypeError for labels that are neither.
    """
    logits = _float_array("softmax_cross_entropy", "logits", logits)
    if logits.ndim != 2 or 0 in logits.shape:
        raise ValueError(f"softmax_cross_entropy: expected logits (N, classes), got {logits.shape}")
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"softmax_cross_entropy: expected 0 <= label_smoothing < 1, got {label_smoothing}")
    return ops(logits).softmax_cross_entropy(logits, _targets(logits, labels), float(label_smoothing))


def binary_cross_entropy(predictions, targets, from_logits=False):
    """L = -mean(t log p + (1 - t) log(1 - p)), so dL/dp = (p - t)/(p (1 - p))/size.  Bishop 2006, (4.90), (4.91).

    predictions: probabilities, or with from_logits=True the numbers before the sigmoid, for which dL/dz = (p - t)/size
    stays exact. targets: the same shape, in [0, 1]. Logarithms of probabilities are cut at -100.
    """
    predictions = _float_array("binary_cross_entropy", "predictions", predictions)
    targets = _like("binary_cross_entropy", predictions, targets)
    return ops(predictions).binary_cross_entropy(predictions, targets, bool(from_logits))


def mean_squared_error(predictions, targets):
    """L = mean((y - t)²), so dL/dy = 2 (y - t)/size.  predictions and targets of one shape."""
    predictions = _float_array("mean_squared_error", "predictions", predictions)
    return ops(predictions).mean_squared_error(predictions, _like("mean_squared_error", predictions, targets))


def _float_array(loss, what, array):
    if not is_array(array) or not (array.dtype.kind == "f" or is_bfloat16(array.dtype)):
        raise TypeError(f"{loss}: {what} must be a float array, got {getattr(array, 'dtype', type(array).__name__)}")
    array = in_float32(array)
    return ops(array).contiguous(array)


def _targets(logits, labels):
    labels = labels if is_array(labels) else np.asarray(labels)
    if labels.dtype.kind in "iu":
        if labels.shape != logits.shape[:1]:
            raise ValueError(f"softmax_cross_entropy: expected {logits.shape[0]} labels for logits {logits.shape}, got "
                             f"an array {labels.shape}")
        # Range-checked on the host only: reading a device array here would stop the GPU at every step.
        if isinstance(labels, np.ndarray):
            each_time(lambda: _check_range(labels, logits.shape[1]))
        return array_module(logits).ascontiguousarray(labels, dtype=np.int64)
    if labels.dtype.kind != "f":
        raise TypeError(f"softmax_cross_entropy: labels must be integers (N,) or probabilities (N, classes), "
                        f"got {labels.dtype}")
    if labels.shape != logits.shape:
        raise ValueError(f"softmax_cross_entropy: float labels are probabilities of the shape of the logits "
                         f"{logits.shape}, got {labels.shape}; class numbers must be integers")
    return array_module(logits).ascontiguousarray(array_like(logits, labels))


def _check_range(labels, classes):
    # One look at them in every step: without a sign negative numbers are large.
    if labels.view(labels.dtype.str.replace("i", "u")).max() >= classes:
        raise ValueError(f"softmax_cross_entropy: labels run from {labels.min()} to {labels.max()}, but there are "
                         f"{classes} classes, 0 to {classes - 1}")


def _like(loss, predictions, targets):
    if math.prod(predictions.shape) == 0 or np.shape(targets) != predictions.shape:
        raise ValueError(f"{loss}: expected targets of the shape of the predictions {predictions.shape}, not empty, "
                         f"got {np.shape(targets)}")
    return array_module(predictions).ascontiguousarray(array_like(predictions, targets))
