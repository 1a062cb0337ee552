"""The two products that all convolutions and dense layers are made of.

Plain loops whose innermost one runs along contiguous memory, so that LLVM turns it into vector instructions; what is
loaded there is used in several products, because loads are what limits it. The arrays are flat, and a table says
where each row of a factor starts: that is how a convolution reads its windows in place (`windows.py`).

Indices are unsigned: a signed one may count from the end, and the test of that stops LLVM's vectoriser.
"""
from numpy import float32, uint64

from .compile import helper
from .windows import fill

ROWS = 3                                         # rows of out that are added to at a time
PANEL = 64 * 1024                                # floats of b worked on at a time: 256 KB, a part of the L2 cache
DEEPEST = 128                                    # products of one sum: rounding is then that of PyTorch's convolutions


def whole_rows(M):
    """How many rows `out` needs for the threes of add_product."""
    return -(-M // ROWS) * ROWS


@helper
def add_product(a, a_start, a_row, a_step, b, b_rows, b_start, out, out_start, out_row, M, K, P, sums, sums_start):
    """out[m, p] += Σ_k a[m, k] b[k, p] for m < M, k < K, p < P, where

    a[m, k] stands at a_start + m·a_row + k·a_step, so that `a` may be a transpose; b[k, p] at b_start + b_rows[k] + p;
    out[m, p] at out_start + m·out_row + p. Rows go in threes, so that up to two behind the last are overwritten: see
    `whole_rows`. Many products are summed by DEEPEST first, in sums, scratch for three rows of P from sums_start on:
    rounding grows with the root of how many numbers a sum runs over.
    """
    depth = max(4, min(DEEPEST, PANEL // max(1, P)) // 4 * 4)
    for first in range(0, K, depth):             # the panel of b stays in the cache for all rows of out
        last = min(K, first + depth)
        for m in range(0, M, 3):
            i0 = a_start + m * a_row
            i1, i2 = a_start + min(m + 1, M - 1) * a_row, a_start + min(m + 2, M - 1) * a_row
            y = out_start + m * out_row
            if K <= depth:
                _add_three_rows(a, i0, i1, i2, a_step, b, b_rows, b_start, first, last, out, y, out_row, P)
                continue
            fill(sums, sums_start, 3 * P, float32(0))
            _add_three_rows(a, i0, i1, i2, a_step, b, b_rows, b_start, first, last, sums, sums_start, P, P)
            for i in range(3):
                to, s = uint64(y + i * out_row), uint64(sums_start + i * P)
                for p in range(uint64(P)):
                    out[to + p] += sums[s + p]


@helper
def _add_three_rows(a, i0, i1, i2, step, b, b_rows, b_start, first, last, out, y, out_row, P):
    """Three rows of out, from y on, += three rows of a, from i0, i1 and i2 on, times b; four k a pass."""
    y0, y1, y2 = uint64(y), uint64(y + out_row), uint64(y + 2 * out_row)
    fours = first + (last - first) // 4 * 4
    for k in range(first, fours, 4):
        at = k * step
        c0, d0, e0 = a[i0 + at], a[i1 + at], a[i2 + at]
        at += step
        c1, d1, e1 = a[i0 + at], a[i1 + at], a[i2 + at]
        at += step
        c2, d2, e2 = a[i0 + at], a[i1 + at], a[i2 + at]
        at += step
        c3, d3, e3 = a[i0 + at], a[i1 + at], a[i2 + at]
        j0, j1 = uint64(b_start + b_rows[k]), uint64(b_start + b_rows[k + 1])
        j2, j3 = uint64(b_start + b_rows[k + 2]), uint64(b_start + b_rows[k + 3])
        for p in range(uint64(P)):
            # All loads before the first store, which might change what is loaded for all LLVM knows.
            b0, b1, b2, b3 = b[j0 + p], b[j1 + p], b[j2 + p], b[j3 + p]
            s0 = out[y0 + p] + c0 * b0 + c1 * b1 + c2 * b2 + c3 * b3
            s1 = out[y1 + p] + d0 * b0 + d1 * b1 + d2 * b2 + d3 * b3
            s2 = out[y2 + p] + e0 * b0 + e1 * b1 + e2 * b2 + e3 * b3
            out[y0 + p], out[y1 + p], out[y2 + p] = s0, s1, s2
    for k in range(fours, last):
        c0, d0, e0 = a[i0 + k * step], a[i1 + k * step], a[i2 + k * step]
        j0 = uint64(b_start + b_rows[k])
        for p in range(uint64(P)):
            b0 = b[j0 + p]
            s0, s1, s2 = out[y0 + p] + c0 * b0, out[y1 + p] + d0 * b0, out[y2 + p] + e0 * b0
            out[y0 + p], out[y1 + p], out[y2 + p] = s0, s1, s2


@helper
def add_dots(a, a_rows, a_start, b, b_start, b_row, out, out_start, out_row, M, N, P):
    """out[m, n] += Σ_p a[m, p] b[n, p] for m < M, n < N, p < P, where a[m, p] stands at a_start + a_rows[m] + p,
    b[n, p] at b_start + n·b_row + p, out[m, n] at out_start + m·out_row + n.

    Four rows of a with two of b at a time; past the last row the last one is taken again and its sums dropped.
    """
    for n in range(0, N, 2):
        n1 = min(n + 1, N - 1)
        for m in range(0, M, 4):
            m1, m2, m3 = min(m + 1, M - 1), min(m + 2, M - 1), min(m + 3, M - 1)
            sums = _eight_dots(a, a_start + a_rows[m], a_start + a_rows[m1], a_start + a_rows[m2],
                               a_start + a_rows[m3], b, b_start + n * b_row, b_start + n1 * b_row, P)
            for i in range(min(4, M - m)):
                at = out_start + (m + i) * out_row + n
                out[at] += sums[i][0]
                if n1 > n:
                    out[at + 1] += sums[i][1]


@helper
def _eight_dots(a, i0, i1, i2, i3, b, j0, j1, P):
    """The sums of four rows of a with two rows of b: eight products for six loads."""
    i0, i1, i2, i3, j0, j1 = uint64(i0), uint64(i1), uint64(i2), uint64(i3), uint64(j0), uint64(j1)
    s00 = s01 = s10 = s11 = s20 = s21 = s30 = s31 = float32(0)
    for p in range(uint64(P)):
        s00 += a[i0 + p] * b[j0 + p]
        s01 += a[i0 + p] * b[j1 + p]
        s10 += a[i1 + p] * b[j0 + p]
        s11 += a[i1 + p] * b[j1 + p]
        s20 += a[i2 + p] * b[j0 + p]
        s21 += a[i2 + p] * b[j1 + p]
        s30 += a[i3 + p] * b[j0 + p]
        s31 += a[i3 + p] * b[j1 + p]
    return (s00, s01), (s10, s11), (s20, s21), (s30, s31)
