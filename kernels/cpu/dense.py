"""The fully connected layer: the products of `gemm.py`, cut among the threads by rows, or for few rows by columns."""
from numba import prange

from . import memory, threads
from .chwn import transpose
from .compile import behaved, kernel
from .gemm import add_product
from .windows import row_starts


@kernel
def _product(a, row_step, step, b, b_rows, bias, out, row_parts, column_parts):
    """out = A b + bias.  A (M, K) flat in any order, b (K, P) flat, bias (P,), out (M, P)."""
    M, P = out.shape
    flat_out = out.reshape(out.size)
    for part in prange(row_parts * column_parts):
        row, column = part // column_parts, part % column_parts
        m, m_last = row * M // row_parts, (row + 1) * M // row_parts
        p, p_last = column * P // column_parts, (column + 1) * P // column_parts
        for i in range(m, m_last):
            for j in range(p, p_last):
                out[i, j] = bias[j]
        add_product(a, m * row_step, row_step, step, b, b_rows, p, flat_out, m * P + p, P, m_last - m, b_rows.size,
                    p_last - p)


def _parts(M, P):
    """Into how many parts to cut the rows and the columns of (M, P), one part a thread where that pays."""
    row_parts = threads.chunks(M, 4)
    return row_parts, (threads.chunks(P, 64) if row_parts == 1 else 1)


def dense(x, w, b):
    """y = x w + b.  x (N, IN), w (IN, OUT), b (OUT,) or None -> y (N, OUT)."""
    x, w = behaved(x), behaved(w)
    N, (IN, OUT) = len(x), w.shape
    bias = memory.zeros(OUT) if b is None else behaved(b)
    y = memory.empty((N, OUT))                   # (N, OUT) = (N, IN) @ (IN, OUT)
    _product(x.reshape(-1), IN, 1, w.reshape(-1), row_starts(IN, OUT), bias, y, *_parts(N, OUT))
    return y


def dense_backward_data(dy, w):
    """dx = dy wᵀ."""
    dy, w = behaved(dy), behaved(w)
    (N, OUT), IN = dy.shape, len(w)
    dx = memory.empty((N, IN))                   # (N, IN) = (N, OUT) @ (OUT, IN)
    if dx.size:
        _product(dy.reshape(-1), OUT, 1, transpose(w).reshape(-1), row_starts(OUT, IN), memory.zeros(IN), dx, *_parts(N, IN))
    return dx


def dense_backward_weights(dy, x):
    """dw = xᵀ dy: each weight sums over the batch."""
    dy, x = behaved(dy), behaved(x)
    IN, OUT = x.shape[1], dy.shape[1]
    dw = memory.empty((IN, OUT))                 # (IN, OUT) = (IN, N) @ (N, OUT); xᵀ[i, n] is x[n·IN + i]
    _product(x.reshape(-1), 1, IN, dy.reshape(-1), row_starts(*dy.shape), memory.zeros(OUT), dw,
             *_parts(IN, OUT))
    return dw
