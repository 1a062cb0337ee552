"""Max pooling: the largest element of each window, and where it was; one pass over the channels per element."""
from math import inf

from numba import prange
from numpy import float32, int32

from ..shapes import output_size
from . import memory, threads
from .compile import INT32, behaved, helper, kernel


@helper
def _keep_larger(x, index, y, winners):
    """What of x is larger than y, or the first NaN, or the first element at all, takes its place in y."""
    for c in range(y.size):
        value, best, winner = x[c], y[c], winners[c]
        # By bits, not by `or`: branches would stop the vectoriser.
        wins = (winner < 0) | (value > best) | ((value != value) & (best == best))
        y[c] = value if wins else best
        winners[c] = int32(index) if wins else winner


@kernel
def _forward(x, pool_size, strides, origin, dilation, y, winners):
    N, OH, OW, C = y.shape
    _, H, W, _ = x.shape
    for task in prange(N * OH):
        n, oh = task // OH, task % OH
        for ow in range(OW):
            best, winner = y[n, oh, ow], winners[n, oh, ow]
            for c in range(C):
                best[c] = float32(-inf)
                winner[c] = -1
            for kh in range(pool_size[0]):
                ih = oh * strides[0] - origin[0] + kh * dilation[0]
                if 0 <= ih < H:
                    for kw in range(pool_size[1]):
                        iw = ow * strides[1] - origin[1] + kw * dilation[1]
                        if 0 <= iw < W:
                            _keep_larger(x[n, ih, iw], ih * W + iw, best, winner)


@kernel
def _backward(dy, winners, cuts, dx):
    """dy, winners (N, P, C), dx (N, H·W, C); each task has some channels of one image to itself."""
    N, P, C = dy.shape
    for task in prange(N * cuts):
        n, first, last = task // cuts, task % cuts * C // cuts, (task % cuts + 1) * C // cuts
        for i in range(dx.shape[1]):
            for c in range(first, last):
                dx[n, i, c] = 0
        for p in range(P):
            for c in range(first, last):
                if winners[n, p, c] >= 0:
                    dx[n, winners[n, p, c], c] += dy[n, p, c]


def max_pool2d(x, pool_size, strides, padding, dilation, ceil_mode):
    """y = max over the window; winners = ih·W + iw of the first maximum.

    x (N, H, W, C) -> y (N, OH, OW, C), winners int32 (N, OH, OW, C). Padding never wins; NaN wins over all numbers.
    A window of nothing but padding gives -inf and winner -1.
    """
    x = behaved(x)
    N, H, W, C = x.shape
    OH = output_size(H, pool_size[0], strides[0], padding[0], dilation[0], ceil_mode)
    OW = output_size(W, pool_size[1], strides[1], padding[1], dilation[1], ceil_mode)
    y, winners = memory.empty((N, OH, OW, C)), memory.empty((N, OH, OW, C), INT32)
    _forward(x, pool_size, strides, (padding[0][0], padding[1][0]), dilation, y, winners)
    return y, winners


def max_pool2d_backward(dy, winners, x_shape):
    """dx[n, winner, c] += dy: the gradient goes to the element that won; one that won often sums."""
    dy, winners = behaved(dy), behaved(winners, INT32)
    N, H, W, C = x_shape
    OHOW = dy.shape[1] * dy.shape[2]
    dx = memory.empty(x_shape)
    cuts = max(1, min(C // 16, -(-threads.threads() // max(1, N))))
    _backward(dy.reshape(N, OHOW, C), winners.reshape(N, OHOW, C), cuts, dx.reshape(N, H * W, C))
    return dx
