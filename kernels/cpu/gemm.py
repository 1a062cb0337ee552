"""The two products of few channels and of dense layers, on the tiles of `lanes_tiles.py`: what is left over in rows goes to
smaller tiles. The arrays are flat, and a table says where each row of a factor starts: that is how a convolution reads its
windows in place (`windows.py`)."""
from .compile import helper
from .lanes_tiles import (DOTS, ROWS, dots_of_four, dots_of_one, dots_of_six, dots_of_two, four_rows, four_rows_in_part,
                          one_dot, one_dot_of_six, one_dot_of_two, one_row, one_row_in_part, one_row_of_one, six_rows,
                          six_rows_in_part, six_rows_of_one, two_rows, two_rows_in_part, two_rows_of_one)
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
        columns = min(WIDTH, P - p)
        for first in range(0, K, DEEPEST):
            _add_rows(a, a_start + first * a_step, a_row, a_step, b, b_rows[first:first + DEEPEST], b_start + p, out,
                      out_start + p, out_row, M, columns)
        p += columns


@helper
def _add_rows(a, a_start, a_row, a_step, b, b_rows, b_start, out, out_start, out_row, M, columns):
    """The same for all the b_rows at once and at most WIDTH columns."""
    count, table, b_at = b_rows.size, b_rows.ctypes.data, b.ctypes.data + 4 * b_start
    m = 0
    while m < M:
        row, y = a.ctypes.data + 4 * (a_start + m * a_row), out.ctypes.data + 4 * (out_start + m * out_row)
        rows = ROWS if M - m >= ROWS else 4 if M - m >= 4 and columns > LANES else 2 if M - m >= 2 else 1
        if columns == WIDTH:
            if rows == ROWS:
                six_rows(count, row, a_row, a_step, b_at, table, y, out_row, columns)
            elif rows == 4:
                four_rows(count, row, a_row, a_step, b_at, table, y, out_row, columns)
            elif rows == 2:
                two_rows(count, row, a_row, a_step, b_at, table, y, out_row, columns)
            else:
                one_row(count, row, a_row, a_step, b_at, table, y, out_row, columns)
        elif columns > LANES:
            if rows == ROWS:
                six_rows_in_part(count, row, a_row, a_step, b_at, table, y, out_row, columns)
            elif rows == 4:
                four_rows_in_part(count, row, a_row, a_step, b_at, table, y, out_row, columns)
            elif rows == 2:
                two_rows_in_part(count, row, a_row, a_step, b_at, table, y, out_row, columns)
            else:
                one_row_in_part(count, row, a_row, a_step, b_at, table, y, out_row, columns)
        elif rows == ROWS:
            six_rows_of_one(count, row, a_row, a_step, b_at, table, y, out_row, columns)
        elif rows == 2:
            two_rows_of_one(count, row, a_row, a_step, b_at, table, y, out_row, columns)
        else:
            one_row_of_one(count, row, a_row, a_step, b_at, table, y, out_row, columns)
        m += rows


@helper
def add_dots(a, a_rows, a_start, a_line, b, b_start, b_row, b_line, out, out_start, out_row, M, N, P, lines):
    """out[m, n] += Σ_l Σ_p a_l[m, p] b_l[n, p] for m < M, n < N, p < P, l < lines, where a_l[m, p] stands at
    a_start + a_rows[m] + l·a_line + p, b_l[n, p] at b_start + n·b_row + l·b_line + p, out[m, n] at out_start +
    m·out_row + n."""
    a_at, b_at, out_at = a.ctypes.data + 4 * a_start, b.ctypes.data + 4 * b_start, out.ctypes.data + 4 * out_start
    n = 0
    while n < N:
        columns = 6 if N - n >= 6 else 4 if N - n >= 4 else 2 if N - n >= 2 else 1
        column = b_at + 4 * n * b_row
        m = 0
        while m < M:
            rows, y = a_rows.ctypes.data + 8 * m, out_at + 4 * (m * out_row + n)
            if M - m >= DOTS:
                if columns == 6:
                    dots_of_six(lines, P, a_at, rows, a_line, column, b_row, b_line, y, out_row)
                elif columns == 4:
                    dots_of_four(lines, P, a_at, rows, a_line, column, b_row, b_line, y, out_row)
                elif columns == 2:
                    dots_of_two(lines, P, a_at, rows, a_line, column, b_row, b_line, y, out_row)
                else:
                    dots_of_one(lines, P, a_at, rows, a_line, column, b_row, b_line, y, out_row)
                m += DOTS
            else:
                if columns == 6:
                    one_dot_of_six(lines, P, a_at, rows, a_line, column, b_row, b_line, y, out_row)
                else:
                    for pair in range(columns // 2):
                        one_dot_of_two(lines, P, a_at, rows, a_line, column + 8 * pair * b_row, b_row, b_line, y + 8 * pair,
                                       out_row)
                    if columns == 1:
                        one_dot(lines, P, a_at, rows, a_line, column, b_row, b_line, y, out_row)
                m += 1
        n += columns
