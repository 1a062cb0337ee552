"""What a training step does on the device beside its operations: running statistics, and counting. Kernels: training.cu."""
import numpy

from .launch import THREADS, array, blocks, in_place, launch

WARPS = 32                                       # of the block that counts, as in training.cu


def running_statistics(running_mean, running_var, mean, var, count, momentum):
    """running <- running + momentum (batch - running), in place, for each of the channels whose statistics, of `count`
    values each, are finite; the variance of the batch is made unbiased.  All (C,)."""
    C = len(mean)
    launch("training", "running_statistics", (blocks(C, THREADS),), (THREADS,), mean=mean, var=var, C=C,
           running_mean=in_place("running_statistics", "running_mean", running_mean, (C,)),
           running_var=in_place("running_statistics", "running_var", running_var, (C,)),
           momentum=momentum, unbias=count / (count - 1))


def tally(losses, hits, at, loss, scores, labels, skipped):
    """losses[at] = loss, and hits[at] = how many of the scores (N, K) are largest where `labels` says: (N,) int64, or
    probabilities (N, K). The loss of a step that was skipped, which `skipped`, (1,) int32 or None, says, is NaN, another
    one that is not finite infinity.  losses float32, hits int64, (batches,)"""
    scores = array("tally", "scores", scores, (None, None))
    N, K = scores.shape
    labels, probabilities = (array("tally", "labels", labels, (N,), numpy.int64), None) if labels.ndim == 1 else (
        None, array("tally", "labels", labels, (N, K)))
    launch("training", "tally", (1,), (32 * WARPS,), losses=losses, hits=hits, at=at, loss=array("tally", "loss", loss),
           scores=scores, labels=labels, probabilities=probabilities, skipped=skipped, N=N, K=K)
