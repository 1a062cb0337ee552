"""L X Lᵀ for square arrays X of vectors, LANES channels each: the transforms of Winograd's convolution, in registers.

Straight-line LLVM vector IR made from the numbers of L (`winograd_matrices.py`): zeros cost nothing, ones an addition. A table
says where each element of X stands and another where each of the result goes, so that one emitter serves tiles of images,
filters, products and gradients.
"""
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


def _sandwich(v, matrix, load):
    """L X Lᵀ as rows of vectors, where load(i, j) gives X[i, j]."""
    size = matrix.shape[1]
    columns = []
    for j in range(size):                        # L X, column by column
        column = [load(i, j) for i in range(size)]
        columns.append([_combination(v, row, column) for row in matrix])
    return [[_combination(v, row, [column[i] for column in columns]) for row in matrix] for i in range(len(matrix))]


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
    """The same for the result: plus bias and what stands at inits, not below floor. targets may be inits."""
    @intrinsic
    def transform(context, sources, skip, bias, inits, targets, target_skip, floor):
        def generate(_, builder, signature, arguments):
            sources, skip, bias, inits, targets, target_skip, floor = arguments
            v, size = Vectors(builder, LANES), matrix.shape[1]
            sources, inits, targets = v.address(sources, INT), v.address(inits, INT), v.address(targets, INT)
            bias, floor = v.load(v.at(v.address(bias), skip), 0), v.spread(floor)

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
