"""Register tiles for few channels: here not the channels but the pixels are the columns, wherever each row of them begins.

    out[i, p] += Σ_k a[i, k] b_k[p]          lanes_tile: the weights times runs of pixels (`windows.py`)
    out[i, j] += Σ_p a_i[p] b_j[p]           dots_tile: runs times runs

A table says where the rows begin. What is left of a row behind its last whole vector is read and written under a mask.
"""
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .tile import INT, LANES, VECTORS, Loop, Vectors, when

ROWS, DOTS = 6, VECTORS                          # rows of lanes_tile and of dots_tile, whose columns are as many the other way


class _Masked(Vectors):
    """Vectors whose last `valid` lanes are not touched in memory."""

    def mask(self, valid):
        lane = ir.VectorType(INT, self.lanes)
        first = self.builder.insert_element(ir.Constant(lane, ir.Undefined), valid, ir.Constant(ir.IntType(32), 0))
        zeros = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes)
        all_lanes = self.builder.shuffle_vector(first, ir.Constant(lane, ir.Undefined), zeros)
        return self.builder.icmp_signed("<", ir.Constant(lane, list(range(self.lanes))), all_lanes)

    def _intrinsic(self, kind, result, arguments):
        name = f"llvm.masked.{kind}.v{self.lanes}f32.p0"
        return self.builder.module.globals.get(name) or ir.Function(self.builder.module, ir.FunctionType(result, arguments), name)

    def masked_load(self, pointer, mask):
        place = self.builder.bitcast(pointer, self.type.as_pointer())
        load = self._intrinsic("load", self.type, [place.type, ir.IntType(32), mask.type, self.type])
        return self.builder.call(load, [place, ir.IntType(32)(4), mask, self.zero])

    def masked_store(self, vector, pointer, mask):
        place = self.builder.bitcast(pointer, self.type.as_pointer())
        store = self._intrinsic("store", ir.VoidType(), [self.type, place.type, ir.IntType(32), mask.type])
        self.builder.call(store, [vector, place, ir.IntType(32)(4), mask])

    def total(self, vector):
        """The sum of the lanes, halves added to halves."""
        width = self.lanes
        while width > 1:
            width //= 2
            order = ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [(i + width) % self.lanes for i in range(self.lanes)])
            vector = self.builder.fadd(vector, self.builder.shuffle_vector(vector, vector, order))
        return self.builder.extract_element(vector, ir.Constant(ir.IntType(32), 0))


def make_lanes_tile(rows, vectors, part=True, lanes=LANES):
    """part: of the vectors' lanes the first `valid` are meant, else all."""
    @intrinsic
    def tile(context, count, a, a_row, a_step, b, b_rows, out, out_row, valid):
        """a[i, k] i·a_row + k·a_step floats behind a; b_k b_rows[k] floats behind b; count at least 1."""
        def generate(_, builder, signature, arguments):
            count, a, a_row, a_step, b, b_rows, out, out_row, valid = arguments
            v, one = _Masked(builder, lanes), ir.Constant(INT, 1)
            masks = [v.mask(builder.sub(valid, ir.Constant(INT, lanes * j))) if part else None for j in range(vectors)]

            def load(row):
                return [v.load(row, lanes * j) if mask is None else v.masked_load(v.at(row, lanes * j), mask)
                        for j, mask in enumerate(masks)]

            a, b, out = v.address(a), v.address(b), v.address(out)
            a_rows = [v.at(a, builder.mul(a_row, ir.Constant(INT, i))) for i in range(rows)]
            loop = Loop(builder, "k")
            left, place, a_rows, sums = loop.start(count, v.address(b_rows, INT), a_rows,
                                                   [[v.zero] * vectors for _ in range(rows)])
            sums = v.outer_product([builder.load(row) for row in a_rows], load(v.at(b, builder.load(place))), sums)
            left = builder.sub(left, one)
            loop.end(builder.icmp_signed("!=", left, ir.Constant(INT, 0)), left, v.at(place, 1),
                     [v.at(row, a_step) for row in a_rows], sums)
            for i in range(rows):
                row = v.at(out, builder.mul(out_row, ir.Constant(INT, i)))
                for j, (old, mask) in enumerate(zip(load(row), masks)):
                    new, place = builder.fadd(old, sums[i][j]), v.at(row, lanes * j)
                    v.store(new, place, 0) if mask is None else v.masked_store(new, place, mask)
        return types.void(*[types.intp] * 9), generate
    return tile


def make_dots_tile(rows, columns, lanes=LANES):
    @intrinsic
    def tile(context, lines, length, a, a_rows, a_line, b, b_row, b_line, out, out_row):
        """a_i a_rows[i] floats behind a, b_j j·b_row floats behind b: `lines` runs of `length`, at least 1, a_line and
        b_line floats apart."""
        def generate(_, builder, signature, arguments):
            lines, length, a, a_rows, a_line, b, b_row, b_line, out, out_row = arguments
            v, zero = _Masked(builder, lanes), ir.Constant(INT, 0)
            a, b, out, a_rows = v.address(a), v.address(b), v.address(out), v.address(a_rows, INT)
            rows_of_a = [v.at(a, builder.load(v.at(a_rows, i))) for i in range(rows)]
            rows_of_b = [v.at(b, builder.mul(b_row, ir.Constant(INT, j))) for j in range(columns)]
            whole = builder.and_(length, ir.Constant(INT, -lanes))
            mask = v.mask(builder.sub(length, whole))

            def add(sums, rows_of_a, rows_of_b, load):
                vectors = [load(row) for row in rows_of_b]
                return [[builder.call(v.multiply_add, [vector, other, total]) for other, total in zip(vectors, line)]
                        for vector, line in zip([load(row) for row in rows_of_a], sums)]

            def whole_vectors(sums, rows_of_a, rows_of_b):
                loop = Loop(builder, "p")
                p, sums = loop.start(zero, sums)
                sums = add(sums, rows_of_a, rows_of_b, lambda row: v.load(row, p))
                p = builder.add(p, ir.Constant(INT, lanes))
                loop.end(builder.icmp_signed("<", p, whole), p, sums)
                return [sums]

            over_lines = Loop(builder, "line")
            left, rows_of_a, rows_of_b, sums = over_lines.start(lines, rows_of_a, rows_of_b,
                                                                [[v.zero] * columns for _ in range(rows)])
            [sums] = when(builder, builder.icmp_signed(">", whole, zero),
                          lambda: whole_vectors(sums, rows_of_a, rows_of_b), [sums])
            [sums] = when(builder, builder.icmp_signed(">", length, whole), lambda: [
                add(sums, rows_of_a, rows_of_b, lambda row: v.masked_load(v.at(row, whole), mask))], [sums])
            left = builder.sub(left, ir.Constant(INT, 1))
            over_lines.end(builder.icmp_signed("!=", left, zero), left, [v.at(row, a_line) for row in rows_of_a],
                           [v.at(row, b_line) for row in rows_of_b], sums)
            for i in range(rows):
                row = v.at(out, builder.mul(out_row, ir.Constant(INT, i)))
                for j in range(columns):
                    place = v.at(row, j)
                    builder.store(builder.fadd(builder.load(place), v.total(sums[i][j])), place)
        return types.void(*[types.intp] * 10), generate
    return tile


six_rows, four_rows, two_rows, one_row = (make_lanes_tile(rows, VECTORS, False) for rows in (ROWS, 4, 2, 1))
six_rows_in_part, four_rows_in_part, two_rows_in_part, one_row_in_part = (
    make_lanes_tile(rows, VECTORS) for rows in (ROWS, 4, 2, 1))
six_rows_of_one, two_rows_of_one, one_row_of_one = (make_lanes_tile(rows, 1) for rows in (ROWS, 2, 1))
dots_of_six, dots_of_four, dots_of_two, dots_of_one = (make_dots_tile(DOTS, columns) for columns in (6, 4, 2, 1))
one_dot_of_six, one_dot_of_two, one_dot = (make_dots_tile(1, columns) for columns in (6, 2, 1))
