"""Local response normalisation across channels, pixel by pixel: the window slides along memory.

PyTorch's window, size//2 channels before and (size-1)//2 after, and its alpha/size for the paper's alpha.
"""
from math import sqrt

from numba import prange
from numpy import float32, uint64

from . import memory, threads
from .compile import behaved, helper, kernel


@helper
def _window_sum(x, before, after, total):
    """total[c] = Σ x[c - before : c + after + 1], nothing beyond the first and last channel.

    One pass over the channels per place in the window, not a running sum: one infinity would stay in that.
    """
    C = x.size
    for c in range(C):
        total[c] = x[c]
    for shift in range(1, min(before, C - 1) + 1):
        for c in range(uint64(C - shift)):
            total[c + uint64(shift)] += x[c]
    for shift in range(1, min(after, C - 1) + 1):
        for c in range(uint64(C - shift)):
            total[c] += x[c + uint64(shift)]


@helper
def _power(scale, beta, out):
    """out = scale^-beta; by square roots for the paper's 3/4, since the general power is a call per element."""
    if beta == 0.75:
        for c in range(scale.size):
            root = float32(sqrt(scale[c]))
            out[c] = float32(1) / (root * float32(sqrt(root)))
    else:
        for c in range(scale.size):
            out[c] = scale[c] ** float32(-beta)


@kernel
def _forward(x, size, alpha, beta, k, squares, y, scale):
    """x, y, scale (pixels, C); squares (parts, C) is scratch."""
    pixels, C = x.shape
    parts = squares.shape[0]
    for part in prange(parts):
        square = squares[part]
        for i in range(part * pixels // parts, (part + 1) * pixels // parts):
            for c in range(C):
                square[c] = x[i, c] * x[i, c]
            _window_sum(square, size // 2, (size - 1) // 2, scale[i])
            for c in range(C):
                scale[i, c] = float32(k) + float32(alpha / size) * scale[i, c]
            _power(scale[i], beta, y[i])
            for c in range(C):
                y[i, c] *= x[i, c]


@kernel
def _backward(dy, x, scale, size, alpha, beta, scratch, dx):
    """scratch (parts, 3, C)."""
    pixels, C = x.shape
    parts = scratch.shape[0]
    for part in prange(parts):
        power, product, total = scratch[part, 0], scratch[part, 1], scratch[part, 2]
        for i in range(part * pixels // parts, (part + 1) * pixels // parts):
            _power(scale[i], beta, power)
            for c in range(C):
                product[c] = dy[i, c] * x[i, c] * power[c] / scale[i, c]
            _window_sum(product, (size - 1) // 2, size // 2, total)      # mirrored: whose windows hold c
            for c in range(C):
                dx[i, c] = dy[i, c] * power[c] - float32(2 * alpha * beta / size) * x[i, c] * total[c]


def local_response_norm(x, size, alpha, beta, k):
    """scale = k + alpha/size · Σ_window x²; y = x · scale^-beta.  x (..., C) -> y, scale (..., C)."""
    x = behaved(x)
    y, scale = memory.empty(x.shape), memory.empty(x.shape)
    C = x.shape[-1]
    squares = memory.empty((threads.chunks(x.size // max(1, C)), C))
    _forward(x.reshape(-1, C), int(size), float(alpha), float(beta), float(k), squares, y.reshape(-1, C),
             scale.reshape(-1, C))
    return y, scale


def local_response_norm_backward(dy, x, scale, size, alpha, beta):
    """dx = dy · scale^-beta - 2 alpha beta/size · x · Σ_window' dy x scale^-(beta+1), window' the mirrored one."""
    dy, x, scale = behaved(dy), behaved(x), behaved(scale)
    C = x.shape[-1]
    dx = memory.empty(x.shape)
    scratch = memory.empty((threads.chunks(x.size // max(1, C)), 3, C))
    _backward(dy.reshape(-1, C), x.reshape(-1, C), scale.reshape(-1, C), int(size), float(alpha), float(beta),
              scratch, dx.reshape(-1, C))
    return dx
