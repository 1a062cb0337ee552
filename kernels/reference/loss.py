"""Losses: each returns its value, a 0-d array, and its gradient in the predictions."""
import numpy

from .array_module import accumulator, get_array_module


def softmax_cross_entropy(logits, labels, label_smoothing):
    """L = -1/N Σ_n Σ_k t_nk log softmax(z_n)_k, so dz = (softmax(z) Σ_k t_k - t)/N.

    logits z (N, K); labels (N,) integers or t (N, K) probabilities, where 0 log 0 = 0. label_smoothing s:
    t <- (1 - s) t + s/K (Szegedy et al. 2016, sec. 7). log softmax(z) = z - max z - log Σ e^(z - max z).
    """
    xp = get_array_module(logits)
    wide = accumulator(logits.dtype)
    N, K = logits.shape
    targets = labels if labels.ndim == 2 else labels[:, None] == xp.arange(K)    # (N, K)
    targets = targets.astype(wide, copy=False)
    if label_smoothing:
        targets = (1 - label_smoothing) * targets + label_smoothing / K
    shifted = logits.astype(wide, copy=False)
    shifted = shifted - shifted.max(axis=1, keepdims=True)                       # (N, K)
    log_softmax = shifted - xp.log(xp.exp(shifted).sum(axis=1, keepdims=True))   # (N, K)
    # Where t is 0 the product is 0, also at a logit of -inf.
    loss = -(targets * xp.where(targets == 0, 0, log_softmax)).sum() / N
    dlogits = (xp.exp(log_softmax) * targets.sum(axis=1, keepdims=True) - targets) / N
    return xp.asarray(loss, logits.dtype), dlogits.astype(logits.dtype, copy=False)


def binary_cross_entropy(predictions, targets, from_logits):
    """L = -mean(t log p + (1 - t) log(1 - p)), so dp = (p - t)/(p (1 - p))/M, and dz = (σ(z) - t)/M.

    from_logits: p = σ(z) and L = mean(max(z, 0) - z t + log(1 + e^-|z|)), which overflows nowhere. Else the
    logarithms stop at -100 and p (1 - p) at 1e-12, as PyTorch's do. Any shape; M = the number of elements.
    """
    xp = get_array_module(predictions)
    wide = accumulator(predictions.dtype)
    p, t = predictions.astype(wide, copy=False), targets.astype(wide, copy=False)
    if from_logits:
        small = xp.exp(-xp.abs(p))
        loss = xp.maximum(p, 0) - p * t + xp.log1p(small)
        gradient = xp.where(p >= 0, 1, small) / (1 + small) - t
    else:
        with numpy.errstate(divide="ignore"):                                    # log 0 = -inf is meant
            log_p, log_q = xp.maximum(xp.log(p), -100), xp.maximum(xp.log1p(-p), -100)
        loss = -(t * log_p + (1 - t) * log_q)
        gradient = (p - t) / xp.maximum(p * (1 - p), 1e-12)
    gradient = gradient / predictions.size
    return xp.asarray(loss.mean(), predictions.dtype), gradient.astype(predictions.dtype, copy=False)


def mean_squared_error(predictions, targets):
    """L = mean((p - t)²), so dp = 2 (p - t)/M.  Any shape; M = the number of elements."""
    xp = get_array_module(predictions)
    wide = accumulator(predictions.dtype)
    difference = predictions.astype(wide, copy=False) - targets.astype(wide, copy=False)
    gradient = 2 * difference / predictions.size
    loss = (difference * difference).mean()
    return xp.asarray(loss, predictions.dtype), gradient.astype(predictions.dtype, copy=False)
