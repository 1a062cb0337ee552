"""Winograd's matrices, exactly: in fractions, and against those that Lavin & Gray 2016 print (arXiv 1509.09308, sec. 4)."""

from fractions import Fraction

import numpy as np
import pytest

from scratchnet.kernels.cpu.winograd_matrices import fractions, matrices

PRINTED_POINTS = {2: (0, 1, -1), 4: (0, 1, -1, 2, -2)}       # ours are others for F(4x4), with half the rounding error
# Aᵀ, G, Bᵀ: sec. 4.1 for F(2x2, 3x3), sec. 4.2 for F(4x4, 3x3).
PRINTED = {
    2: ([[1, 1, 1, 0],
         [0, 1, -1, -1]],
        [["1", "0", "0"],
         ["1/2", "1/2", "1/2"],
         ["1/2", "-1/2", "1/2"],
         ["0", "0", "1"]],
        [[1, 0, -1, 0],
         [0, 1, 1, 0],
         [0, -1, 1, 0],
         [0, 1, 0, -1]]),
    4: ([[1, 1, 1, 1, 1, 0],
         [0, 1, -1, 2, -2, 0],
         [0, 1, 1, 4, 4, 0],
         [0, 1, -1, 8, -8, 1]],
        [["1/4", "0", "0"],
         ["-1/6", "-1/6", "-1/6"],
         ["-1/6", "1/6", "-1/6"],
         ["1/24", "1/12", "1/6"],
         ["1/24", "-1/12", "1/6"],
         ["0", "0", "1"]],
        [[4, 0, -5, 0, 1, 0],
         [0, -4, -4, 1, 1, 0],
         [0, 4, -4, -1, 1, 0],
         [0, -2, -1, 2, 1, 0],
         [0, 2, -1, -2, 1, 0],
         [0, 4, 0, -5, 0, 1]]),
}


def times(a, b):
    return [[sum(x * y for x, y in zip(row, column)) for column in zip(*b)] for row in a]


def transposed(a):
    return [list(column) for column in zip(*a)]


def sandwich(a, x):
    """a x aᵀ."""
    return times(times(a, x), transposed(a))


def products(a, b):
    return [[x * y for x, y in zip(*rows)] for rows in zip(a, b)]


def unit(rows, columns, i, j):
    return [[Fraction(int((row, column) == (i, j))) for column in range(columns)] for row in range(rows)]


@pytest.fixture(params=[2, 4], ids=lambda m: f"F({m}, 3)")
def m(request):
    return request.param


def test_it_is_the_correlation_of_every_unit_vector_with_every_other(m):
    """Bilinear, so that of any two vectors."""
    at, g, bt = fractions(m)
    for i in range(m + 2):
        for k in range(3):
            middle = products(times(g, unit(3, 1, k, 0)), times(bt, unit(m + 2, 1, i, 0)))
            assert times(at, middle) == [[int(place + k == i)] for place in range(m)]


def test_nested_it_is_the_correlation_in_two_dimensions(m):
    at, g, bt = fractions(m)
    n = m + 2
    filters = {(k, c): sandwich(g, unit(3, 3, k, c)) for k in range(3) for c in range(3)}
    for i in range(n):
        for j in range(n):
            image = sandwich(bt, unit(n, n, i, j))
            for (k, c), weights in filters.items():
                assert sandwich(at, products(weights, image)) == [
                    [int((row + k, column + c) == (i, j)) for column in range(m)] for row in range(m)]


def test_of_the_papers_points_they_are_the_printed_ones_up_to_signs(m):
    """The paper turns some rows of Bᵀ round, and the same of G or the same columns of Aᵀ."""
    at, g, bt = fractions(m, points=PRINTED_POINTS[m])
    printed_at, printed_g, printed_bt = [[[Fraction(value) for value in row] for row in matrix] for matrix in PRINTED[m]]

    def sign(row, printed):
        assert row in (printed, [-value for value in printed])
        return 1 if row == printed else -1
    for point in range(m + 2):
        assert (sign(bt[point], printed_bt[point]) * sign(g[point], printed_g[point])
                * sign(transposed(at)[point], transposed(printed_at)[point]) == 1)


def test_images_are_transformed_by_numbers_that_float32_holds_exactly(m):
    assert all(Fraction(float(np.float32(value))) == value for row in fractions(m)[2] for value in row)


def test_floats_are_the_fractions(m):
    for floats, exact in zip(matrices(m), fractions(m)):
        assert floats.dtype == "float64" and floats.tolist() == [[float(value) for value in row] for row in exact]
