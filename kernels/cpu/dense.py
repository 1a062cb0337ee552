"""The fully connected layer: the products of `gemm.py`, cut among the threads by rows, or for few rows by columns. Rows that
lie with the images innermost go to `dense_images.py`."""
from numba import prange
from numpy import float32

from . import dense_images, memory, threads
from .bias import NONE, NUMBER, activate, activation_and_bias_backward
from .chwn import as_chwn, contiguous
from .compile import behaved, kernel
from .gemm import DEEPEST, add_dots, add_product
from .tile import DEEP, SPAN, columns_tile
from .windows import fill, row_starts

TALL = 48                                        # rows of a result at a time, so that they stay in the cache
CACHED = 2 ** 18                                 # floats of a matrix that does too


@kernel
def _product(a, row_step, step, b, b_rows, bias, activation, out, row_parts, column_parts, depth):
    """out = activation(A b + bias).  A (M, K) flat in any order, b (K, P) flat, bias (P,), out (M, P); `depth` rows of b at a
    time."""
    (M, P), K = out.shape, b_rows.size
    flat_out = out.reshape(out.size)
    for part in prange(row_parts * column_parts):
        row, column = part // column_parts, part % column_parts
        m_last = (row + 1) * M // row_parts
        p, p_last = column * P // column_parts, (column + 1) * P // column_parts
        for m in range(row * M // row_parts, m_last, TALL):
            rows = min(TALL, m_last - m)
            for i in range(m, m + rows):
                for j in range(p, p_last):
                    out[i, j] = bias[j]
            for k in range(0, K, depth):
                add_product(a, m * row_step + k * step, row_step, step, b, b_rows[k:k + depth], p, flat_out, m * P + p, P,
                            rows, min(depth, K - k), p_last - p)
            if activation != NONE:
                for i in range(m, m + rows):
                    activate(out[i, p:p_last], activation)


@kernel
def _product_of_transpose(a, a_rows, b, out, row_parts, column_parts):
    """out = a bᵀ.  a (M, K) and b (P, K) flat, out (M, P): each element is the dot product of two rows."""
    M, P = out.shape
    flat_out = out.reshape(out.size)
    K = a.size // M
    for part in prange(row_parts * column_parts):
        row, column = part // column_parts, part % column_parts
        m, m_last = row * M // row_parts, (row + 1) * M // row_parts
        p, p_last = column * P // column_parts, (column + 1) * P // column_parts
        for i in range(m, m_last):
            fill(flat_out, i * P + p, p_last - p, float32(0))
        add_dots(a, a_rows, m * K, 0, b, p * K, K, 0, flat_out, m * P + p, P, m_last - m, p_last - p, K, 1)


@kernel
def _outer_products(x, dy, dw, parts):
    """dw = Σ_n x[n]ᵀ dy[n].  x (N, IN), dy (N, OUT), dw (IN, OUT), at least a tile. Each number of dw is written once,
    when it is complete: the way there and back of a large dw is half of the time."""
    (N, IN), OUT = x.shape, dy.shape[1]
    for part in prange(parts):
        last = (part + 1) * (IN // DEEP) // parts * DEEP if part + 1 < parts else IN
        for i in range(part * (IN // DEEP) // parts * DEEP, last, DEEP):
            i = min(i, IN - DEEP)                # the last tiles compute some of their neighbours' numbers again
            for p in range(0, OUT, SPAN):
                p = min(p, OUT - SPAN)
                for n in range(0, N, DEEPEST):
                    columns_tile(min(DEEPEST, N - n), x.ctypes.data + 4 * (n * IN + i), IN, dy.ctypes.data + 4 * (n * OUT + p),
                                 OUT, dw.ctypes.data + 4 * (i * OUT + p), OUT, n, dw.ctypes.data, 0)


def _multiply(a, row_step, step, b, bias, out, activation=NONE):
    """out = activation(A b + bias), cut among the threads by rows; or, where b is large, by columns, so that each reads its
    part of b, some rows at a time, from one end to the other: else each row would be on another page of memory."""
    (M, P), K = out.shape, len(b)
    large = b.size > CACHED and P >= 64 * threads.threads()
    parts = (1, threads.threads()) if large else _parts(M, P)
    depth = 32 if large else max(1, K)
    _product(a.reshape(-1), row_step, step, b.reshape(-1), row_starts(K, P), bias, activation, out, *parts, depth)


def _parts(M, P):
    """Into how many parts to cut the rows and the columns of (M, P), one part a thread where that pays."""
    row_parts = threads.chunks(M, 4)
    return row_parts, (threads.chunks(P, 64) if row_parts == 1 else 1)


def dense(x, w, b, activation=None):
    """y = activation(x w + b), for None, "relu" or "tanh".  x (N, IN), w (IN, OUT), b (OUT,) or None -> y (N, OUT)."""
    if dense_images.suits(x, w):
        return dense_images.dense(x, w, b, activation)
    x, w = contiguous(x), behaved(w)
    N, (IN, OUT) = len(x), w.shape
    bias = memory.zeros(OUT) if b is None else behaved(b)
    y = memory.empty((N, OUT))                   # (N, OUT) = (N, IN) @ (IN, OUT)
    _multiply(x, IN, 1, w, bias, y, NUMBER[activation])
    return y


def dense_backward_data(dy, w):
    """dx = dy wᵀ."""
    dy, w = contiguous(dy), behaved(w)
    (N, OUT), IN = dy.shape, len(w)
    dx = memory.empty((N, IN))                   # (N, IN) = (N, OUT) @ (OUT, IN)
    if dx.size and w.size <= CACHED:
        _multiply(dy, OUT, 1, as_chwn(w), memory.zeros(IN), dx)
    elif dx.size:                                # a copy of w would be read and written too
        _product_of_transpose(dy.reshape(-1), row_starts(N, OUT), w.reshape(-1), dx, 1, threads.chunks(IN))
    return dx


def dense_backward_weights(dy, x):
    """dw = xᵀ dy: each weight sums over the batch."""
    dy, x = contiguous(dy), contiguous(x)
    IN, OUT = x.shape[1], dy.shape[1]
    dw = memory.empty((IN, OUT))                 # (IN, OUT) = (IN, N) @ (N, OUT); xᵀ[i, n] is x[n·IN + i]
    if len(x) and IN >= DEEP and OUT >= SPAN:
        _outer_products(x, dy, dw, threads.chunks(IN // DEEP))
    else:
        _multiply(x, 1, IN, dy, memory.zeros(OUT), dw)
    return dw


def dense_backward(dy, y, x, w, activation, needs):
    """dx, dw and db of y = activation(x w + b), None for those that `needs` does not name: three flags. y and x are used
    for the activation and for dw only."""
    if needs[1] and dense_images.suits(x, w):
        dx, dw, db = dense_images.dense_backward(dy, y, x, w, activation, needs[0])
        return dx, dw, db if needs[2] else None
    dz, db = activation_and_bias_backward(dy, y, activation, needs[2])
    return dense_backward_data(dz, w) if needs[0] else None, dense_backward_weights(dz, x) if needs[1] else None, db
