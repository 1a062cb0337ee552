"""Winograd's matrices: y = Aᵀ [(G g Gᵀ) ⊙ (Bᵀ d B)] A is the correlation of a tile d with a filter g.

In one dimension, m outputs of a filter of r taps take n = m + r - 1 inputs, y_i = Σ_k d_(i+k) g_k. The product of two
polynomials of degrees r - 1 and m - 1 is known from its values at n points, one of which may be infinity, where the value
is the leading coefficient (Toom 1963, Cook 1966):

    coefficients of g·h = V⁻¹ [(V_r g) ⊙ (V_m h)],  V_k: row i holds 1, a_i, a_i², ... k numbers

For a fixed g that is a matrix times h; its transpose is the correlation: y = V_mᵀ [(V_r g) ⊙ (V⁻ᵀ d)]. So Aᵀ = V_mᵀ,
G = V_r, Bᵀ = V⁻ᵀ (Winograd 1980; for networks: Lavin & Gray 2016). Each row of Bᵀ is multiplied, and that of G divided, by
Π_(j≠i) (a_i - a_j), which leaves numbers in Bᵀ that floats hold exactly. In fractions.
"""
from fractions import Fraction
from math import prod

import numpy

# And infinity. Rounding is amplified by their powers, large or small: of symmetric ones these halve the error of 0, ±1, ±2.
POINTS = {2: (0, 1, -1), 4: (0, Fraction(3, 4), -Fraction(3, 4), Fraction(3, 2), -Fraction(3, 2))}


def _vandermonde(points, k):
    """V_k: a row for each point, and that of infinity."""
    return [[Fraction(a) ** power for power in range(k)] for a in points] + [[Fraction(int(i == k - 1)) for i in range(k)]]


def _inverse(rows):
    """The inverse of a matrix of fractions, by Gauss and Jordan."""
    n = len(rows)
    rows = [list(row) + [Fraction(int(i == j)) for j in range(n)] for i, row in enumerate(rows)]
    for i in range(n):
        pivot = next(j for j in range(i, n) if rows[j][i])
        rows[i], rows[pivot] = rows[pivot], rows[i]
        rows[i] = [value / rows[i][i] for value in rows[i]]
        for j in range(n):
            if j != i:
                rows[j] = [value - rows[j][i] * other for value, other in zip(rows[j], rows[i])]
    return [row[n:] for row in rows]


def fractions(m, r=3, points=None):
    """(Aᵀ (m, n), G (n, r), Bᵀ (n, n)) of F(m, r), lists of rows of fractions."""
    points = POINTS[m] if points is None else points
    scales = [prod(Fraction(a - other) for other in points if other != a) for a in points] + [Fraction(1)]
    at = [list(column) for column in zip(*_vandermonde(points, m))]
    g = [[value / scale for value in row] for row, scale in zip(_vandermonde(points, r), scales)]
    inverse = _inverse(_vandermonde(points, m + r - 1))
    bt = [[value * scale for value in column] for column, scale in zip(zip(*inverse), scales)]
    return at, g, bt


def matrices(m, r=3):
    """The same as float64 arrays."""
    return [numpy.array([[float(value) for value in row] for row in matrix]) for matrix in fractions(m, r)]
