"""The two products of few channels and of dense layers, on the tiles of `lanes_tiles.py`: what is left over in rows goes to
smaller tiles. The arrays are flat, and a table says where each row of a factor starts: that is how a convolution reads its
windows in place (`windows.py`)."""
from .compile import helper
from .lanes_tiles import (DOTS, ROWS, one_dot, one_row, one_row_of_one, six_dots, six_rows, six_rows_of_one, two_dots,
                          two_rows, two_rows_of_one)
from .tile import LANES, WIDTH

DEEPEST = 128                                    # products of one sum: rounding is then that of PyTorch's convolutions


@helper
def add_product(a, a_start, a_row, a_step, b, b_rows, b_start, out, out_start, out_row, M, K, P):
    """out[m, p] += Σ_k a[m, k] b[k, p] for m < M, k < K, p < P, where

    a[m, k] stands at a_start + m·a_row + k·a_step, so that `a` may be a transpose; b[k, p] at b_start + b_rows[k] + p;
    out[m, p] at out_start + m·out_row + p. Many products are summed by DEEPEST first: rounding grows with the root of how
    many numbers a sum runs over.
    """
    p = 0
    while p < P:                                 # few columns, whose part of b stays in the cache for all rows of out
        columns = WIDTH if P - p >= WIDTH else min(LANES, P - p)
        for first in range(0, K, DEEPEST):
            _add_rows(a, a_start + first * a_step, a_row, a_step, b, b_rows[first:first + DEEPEST], b_start + p, out,
                      out_start + p, out_row, M, columns)
        p += columns


@helper
def _add_rows(a, a_start, a_row, a_step, b, b_rows, b_start, out, out_start, out_row, M, columns):
    """The same for all the b_rows at once and either WIDTH columns or those of a vector."""
    count, table, b_at = b_rows.size, b_rows.ctypes.data, b.ctypes.data + 4 * b_start
    m = 0
    while m < M:
        row, y = a.ctypes.data + 4 * (a_start + m * a_row), out.ctypes.data + 4 * (out_start + m * out_row)
        rows = ROWS if M - m >= ROWS else 2 if M - m >= 2 else 1
        if columns == WIDTH:
            if rows == ROWS:
                six_rows(count, row, a_row, a_step, b_at, table, y, out_row, columns)
            elif rows == 2:
                two_rows(count, row, a_row, a_step, b_at, table, y, out_row, columns)
            else:
                one_row(count, row, a_row, a_step, b_at, table, y, out_row, columns)
        elif rows == ROWS:
            six_rows_of_one(count, row, a_row, a_step, b_at, table, y, out_row, columns)
        elif rows == 2:
            two_rows_of_one(count, row, a_row, a_step, b_at, table, y, out_row, columns)
        else:
            one_row_of_one(count, row, a_row, a_step, b_at, table, y, out_row, columns)
        m += rows


@helper
def add_dots(a, a_rows, a_start, b, b_start, b_row, out, out_start, out_row, M, N, P):
    """out[m, n] += Σ_p a[m, p] b[n, p] for m < M, n < N, p < P, where a[m, p] stands at a_start + a_rows[m] + p,
    b[n, p] at b_start + n·b_row + p, out[m, n] at out_start + m·out_row + n."""
    a_at, b_at = a.ctypes.data + 4 * a_start, b.ctypes.data + 4 * b_start
    n = 0
    while n < N:
        columns = DOTS if N - n >= DOTS else 2 if N - n >= 2 else 1
        column = b_at + 4 * n * b_row
        m = 0
        while m < M:
            rows, y = a_rows.ctypes.data + 8 * m, out.ctypes.data + 4 * (out_start + m * out_row + n)
            if columns == DOTS and M - m >= ROWS:
                six_dots(P, a_at, rows, column, b_row, y, out_row)
                m += ROWS
            elif columns >= 2 and M - m >= 2:
                for pair in range(0, columns, 2):
                    two_dots(P, a_at, rows, column + 4 * pair * b_row, b_row, y + 4 * pair, out_row)
                m += 2
            else:
                for one in range(columns):
                    one_dot(P, a_at, rows, column + 4 * one * b_row, b_row, y + 4 * one, out_row)
                m += 1
        n += columns
