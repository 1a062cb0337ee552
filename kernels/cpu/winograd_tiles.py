"""L X Lᵀ for square arrays X of vectors, LANES channels each: the transforms of Winograd's convolution, in registers.

Straight-line LLVM vector IR made from the numbers of L (`winograd_matrices.py`): zeros cost nothing, ones an addition. A table
says where each element of X stands and another where each of the result goes, so that one emitter serves tiles of images,
filters, products and gradients.
"""
import numpy
from numba import types
from numba.extending import intrinsic

from .tile import INT, LANES, Vectors
from .winograd_matrices import matrices


def _combination(v, numbers, vectors):
    """Σ number · vector."""
    total = None
    for number, vector in zip(numbers, vectors):
        if number == 0:
            continue
        if total is None:
            total = vector if number == 1 else v.builder.fmul(v.constant(number), vector)
        elif number == 1:
            total = v.builder.fadd(total, vector)
        elif number == -1:
            total = v.builder.fsub(total, vector)
        else:
            total = v.builder.call(v.multiply_add, [v.constant(number), vector, total])
    return total


def _partners(rows):
    """Pairs of rows of a matrix that differ in some numbers' signs only, as those of two points a and -a do."""
    return [(i, k) for k, row in enumerate(rows) for i, other in enumerate(rows[:k])
            if (abs(row) == abs(other)).all() and row.any() and 0 < (row != other).sum() < (row != 0).sum()]


def _product(v, matrix, vectors):
    """matrix · vectors. What two rows, or two columns, agree in and what they do not is added up once for both."""
    for p, q in _partners(matrix.T):
        same = matrix[:, p] == matrix[:, q]
        vectors = list(vectors)
        vectors[p], vectors[q] = v.builder.fadd(vectors[p], vectors[q]), v.builder.fsub(vectors[p], vectors[q])
        matrix = matrix.copy()
        matrix[:, p], matrix[:, q] = numpy.where(same, matrix[:, p], 0), numpy.where(same, 0, matrix[:, p])
    results = [None] * len(matrix)
    for i, k in _partners(matrix):
        same = matrix[i] == matrix[k]
        agreed, other = (_combination(v, numpy.where(where, matrix[i], 0), vectors) for where in (same, ~same))
        results[i], results[k] = v.builder.fadd(agreed, other), v.builder.fsub(agreed, other)
    return [_combination(v, row, vectors) if result is None else result for row, result in zip(matrix, results)]


def _sandwich(v, matrix, load):
    """L X Lᵀ as rows of vectors, where load(i, j) gives X[i, j]."""
    size = matrix.shape[1]
    columns = [_product(v, matrix, [load(i, j) for i in range(size)]) for j in range(size)]              # L X
    return [_product(v, matrix, row) for row in zip(*columns)]


def make_transform(matrix):
    """transform(sources, skip, targets, target_skip): LANES channels from `skip` floats behind the addresses on."""
    @intrinsic
    def transform(context, sources, skip, targets, target_skip):
        def generate(_, builder, signature, arguments):
            sources, skip, targets, target_skip = arguments
            v, size = Vectors(builder, LANES), matrix.shape[1]
            sources, targets = v.address(sources, INT), v.address(targets, INT)

            def load(i, j):
                return v.load(v.at(v.address(builder.load(v.at(sources, i * size + j))), skip), 0)
            for i, row in enumerate(_sandwich(v, matrix, load)):
                for j, vector in enumerate(row):
                    place = v.address(builder.load(v.at(targets, i * len(matrix) + j)))
                    v.store(vector, v.at(place, target_skip), 0)
        return types.void(*[types.intp] * 4), generate
    return transform


def make_output_transform(matrix):
    """The same for the result: plus bias and what stands at inits, not below floor. targets may be inits, and target_skip is
    theirs and that of the bias."""
    @intrinsic
    def transform(context, sources, skip, bias, inits, targets, target_skip, floor):
        def generate(_, builder, signature, arguments):
            sources, skip, bias, inits, targets, target_skip, floor = arguments
            v, size = Vectors(builder, LANES), matrix.shape[1]
            sources, inits, targets = v.address(sources, INT), v.address(inits, INT), v.address(targets, INT)
            bias, floor = v.load(v.at(v.address(bias), target_skip), 0), v.spread(floor)

            def load(i, j):
                return v.load(v.at(v.address(builder.load(v.at(sources, i * size + j))), skip), 0)
            for i, row in enumerate(_sandwich(v, matrix, load)):
                for j, vector in enumerate(row):
                    at = i * len(matrix) + j
                    first = v.load(v.at(v.address(builder.load(v.at(inits, at))), target_skip), 0)
                    y = builder.fadd(builder.fadd(vector, bias), first)
                    y = builder.select(builder.fcmp_ordered("<", y, floor), floor, y)
                    v.store(y, v.at(v.address(builder.load(v.at(targets, at))), target_skip), 0)
        return types.void(*[types.intp] * 6, types.float32), generate
    return transform


def transforms(m):
    """For F(m x m, 3 x 3), n = m + 2: (d -> Bᵀ d B, g -> G g Gᵀ, M -> Aᵀ M A, dy -> A dy Aᵀ, U -> Gᵀ U G)."""
    at, g, bt = matrices(m)
    return (make_transform(bt), make_transform(g), make_output_transform(at), make_transform(at.T), make_transform(g.T))
