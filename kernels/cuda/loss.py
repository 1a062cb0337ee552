"""Losses: each returns its value, a 0-d array on the device, and its gradient in the predictions. Kernels: loss.cu."""
import numpy

from .columns import column_sums
from .launch import THREADS, array, blocks, each, empty, launch

ROWS = 4                                         # at once in a block: a warp each
MANY = 2**16                                     # terms, for one block; more are added up in columns first


def softmax_cross_entropy(logits, labels, label_smoothing):
    """L = -1/N Σ_n Σ_k t_nk log softmax(z_n)_k, so dz = (softmax(z) Σ_k t_k - t)/N.

    logits z (N, K); labels (N,) int64, a label out of range being a row of zeros, or t (N, K) probabilities.
    """
    logits = array("softmax_cross_entropy", "logits", logits, (None, None))
    N, K = logits.shape
    probabilities = None
    if labels.ndim == 2:
        labels, probabilities = None, array("softmax_cross_entropy", "labels", labels, (N, K))
    else:
        labels = array("softmax_cross_entropy", "labels", labels, (N,), numpy.int64)
    terms, dlogits = empty((N,)), empty((N, K))
    launch("loss", "softmax_cross_entropy", (blocks(N, ROWS),), (32, ROWS), z=logits, labels=labels,
           probabilities=probabilities, terms=terms, dz=dlogits, N=N, K=K, label_smoothing=label_smoothing)
    return _mean(terms), dlogits


def binary_cross_entropy(predictions, targets, from_logits):
    """L = -mean(t log p + (1 - t) log(1 - p)), so dp = (p - t)/(p (1 - p))/M; from_logits: of z, with p = σ(z)."""
    return _elementwise("binary_cross_entropy", predictions, targets, from_logits=int(from_logits))


def mean_squared_error(predictions, targets):
    """L = mean((p - t)²), so dp = 2 (p - t)/M.  Any shape; M = the number of elements."""
    return _elementwise("mean_squared_error", predictions, targets)


def _elementwise(loss, predictions, targets, **settings):
    p = array(loss, "predictions", predictions)
    t, terms, dp = array(loss, "targets", targets, p.shape), empty((p.size,)), empty(p.shape)
    each("loss", loss, p.size, p=p, t=t, terms=terms, dp=dp, **settings)
    return _mean(terms), dp


def _mean(terms):
    """Σ terms / their number, (n,) -> ()."""
    n, loss = terms.size, empty((1,))
    if n > MANY and n % THREADS == 0:
        terms = column_sums(terms, n // THREADS, THREADS)
    launch("loss", "mean_of_terms", (1,), (THREADS,), terms=terms, sum=loss, n=terms.size, divisor=n)
    return loss.reshape(())
