"""The two products that all convolutions and dense layers are made of.

Plain loops whose innermost one runs along contiguous memory, so that LLVM turns it into vector instructions; what is
loaded there is used in several products, because loads are what limits it. The arrays are flat, and a table says
where each row of a factor starts: that is how a convolution reads its windows in place (`windows.py`).

Indices are unsigned: a signed one may count from the end, and the test of that stops LLVM's vectoriser.
"""
from numpy import float32, uint64

from .compile import helper

PANEL = 64 * 1024                                # floats of b worked on at a time: 256 KB, a part of the L2 cache


@helper
def add_product(a, a_start, a_row, a_step, b, b_rows, b_start, out, out_start, out_row, M, K, P):
    """out[m, p] += Σ_k a[m, k] b[k, p] for m < M, k < K, p < P, where

    a[m, k] stands at a_start + m·a_row + k·a_step, so that `a` may be a transpose; b[k, p] at b_start + b_rows[k] + p;
    out[m, p] at out_start + m·out_row + p. The rows go in pairs: for odd M, row M of out is overwritten.
    """
    depth = max(4, PANEL // max(1, P) // 4 * 4)
    for first in range(0, K, depth):             # the panel of b stays in the cache for all rows of out
        last = min(K, first + depth)
        for m in range(0, M, 2):
            i, j = a_start + m * a_row, a_start + min(m + 1, M - 1) * a_row
            y = out_start + m * out_row
            _add_two_rows(a, i, j, a_step, b, b_rows, b_start, first, last, out, y, y + out_row, P)


@helper
def _add_two_rows(a, i, j, step, b, b_rows, b_start, first, last, out, y, z, P):
    """out[y + p] += Σ_k a[i + k·step] b[k, p] and out[z + p] += Σ_k a[j + k·step] b[k, p], four k a pass."""
    y, z = uint64(y), uint64(z)
    fours = first + (last - first) // 4 * 4
    for k in range(first, fours, 4):
        at = i + k * step
        c0, c1, c2, c3 = a[at], a[at + step], a[at + 2 * step], a[at + 3 * step]
        at = j + k * step
        d0, d1, d2, d3 = a[at], a[at + step], a[at + 2 * step], a[at + 3 * step]
        b0, b1 = uint64(b_start + b_rows[k]), uint64(b_start + b_rows[k + 1])
        b2, b3 = uint64(b_start + b_rows[k + 2]), uint64(b_start + b_rows[k + 3])
        for p in range(uint64(P)):
            out[y + p] += c0 * b[b0 + p] + c1 * b[b1 + p] + c2 * b[b2 + p] + c3 * b[b3 + p]
            out[z + p] += d0 * b[b0 + p] + d1 * b[b1 + p] + d2 * b[b2 + p] + d3 * b[b3 + p]
    for k in range(fours, last):
        c0, d0, b0 = a[i + k * step], a[j + k * step], uint64(b_start + b_rows[k])
        for p in range(uint64(P)):
            out[y + p] += c0 * b[b0 + p]
            out[z + p] += d0 * b[b0 + p]


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
