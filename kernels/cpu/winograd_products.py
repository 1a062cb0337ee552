"""The products between Winograd's transforms: for each place of a tile M = V U forward, and Vᵀ W for dw.

Both read transforms where they were written, tiles of an image in rows. A row takes a vector more than its channels: a power
of two of floats from row to row, and a column of them would share few sets of the cache.
"""
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compile import helper
from .tile import (DEEP, FEW_DEEP, INT, LANES, ROWS, SPAN, VECTORS, WIDTH, Vectors, columns_tile, few_columns_tile, when)

DEPTH = 64                                       # channels at once: with WIDTH columns 16 KB of U
TILES = 128                                      # at once: with SPAN columns 16 KB of W
FEW = 2                                          # rows of the smaller tile, for what is left over
LINE = 64                                        # bytes the cache fetches at once


def make_product_tile(rows):
    @intrinsic
    def tile(context, depth, a, a_row, b, out, out_row, adds, ask, ask_step):
        """out (rows, WIDTH) = a (rows, depth) b (depth, WIDTH) [+ out if adds]; rows of a and out floats apart; ask: what
        to fetch meanwhile, as for rows_tile."""
        def generate(_, builder, signature, arguments):
            depth, a, a_row, b, out, out_row, adds, ask, ask_step = arguments
            v = Vectors(builder, LANES)

            def fetch(pair):
                v.prefetch(v.address(builder.add(ask, builder.mul(pair, ask_step))))
            a, out = ([v.at(v.address(start), builder.mul(row, ir.Constant(INT, i))) for i in range(rows)]
                      for start, row in ((a, a_row), (out, out_row)))
            _, sums = v.steps("k", depth, lambda a, i: builder.load(a[i]), a, 1, v.address(b), ir.Constant(INT, WIDTH),
                              [[v.zero] * VECTORS for _ in range(rows)], meanwhile=fetch)
            sums = when(builder, builder.icmp_signed("!=", adds, ir.Constant(INT, 0)), lambda: [
                [builder.fadd(total, v.load(out[i], LANES * j)) for j, total in enumerate(row)]
                for i, row in enumerate(sums)], sums)
            for i, row in enumerate(sums):
                for j, total in enumerate(row):
                    v.store(total, out[i], LANES * j)
        return types.void(*[types.intp] * 9), generate
    return tile


_product, _few_product = make_product_tile(ROWS), make_product_tile(FEW)


@helper
def row_of(channels):
    """Floats from one row of a transform to the next."""
    return channels + LANES


@helper
def multiply(V, C, tiles, U, panels, M, M_row):
    """M (tiles, panels·WIDTH) = V (tiles, C) U (panels, C, WIDTH), at three addresses. Up to whole register tiles there are
    rows behind the last; what stands there does not matter."""
    V_row, size = row_of(C), 4 * DEPTH * WIDTH
    pairs = DEPTH // 2                           # of steps in a register tile, each of which fetches a line at most
    ask_step = min(LINE, size // (pairs * ((tiles + ROWS - 1) // ROWS)))
    for panel in range(panels):
        for c in range(0, C, DEPTH):
            depth, b = min(DEPTH, C - c), U + 4 * (panel * C + c) * WIDTH
            for t in range(0, tiles, ROWS):
                ask = b + size + t // ROWS * pairs * ask_step    # what comes next of U, while this is in use
                a, out = V + 4 * (t * V_row + c), M + 4 * (t * M_row + panel * WIDTH)
                if tiles - t > ROWS - FEW:
                    _product(depth, a, V_row, b, out, M_row, c, ask, ask_step)
                    continue
                for few in range(0, tiles - t, FEW):
                    _few_product(depth, a + 4 * few * V_row, V_row, b, out + 4 * few * M_row, M_row, c, ask, ask_step)


@helper
def add_products(V, C, tiles, W, columns, out, out_row):
    """out (C, columns) += Vᵀ W of V (tiles, C), W (tiles, columns); C a multiple of FEW_DEEP, columns of SPAN."""
    V_row, W_row = row_of(C), row_of(columns)
    whole = C // DEEP * DEEP
    for t in range(0, tiles, TILES):
        count = min(TILES, tiles - t)
        for f in range(0, columns, SPAN):
            b = W + 4 * (t * W_row + f)
            for c in range(0, whole, DEEP):
                columns_tile(count, V + 4 * (t * V_row + c), V_row, b, W_row, out + 4 * (c * out_row + f), out_row)
            for c in range(whole, C, FEW_DEEP):
                few_columns_tile(count, V + 4 * (t * V_row + c), V_row, b, W_row, out + 4 * (c * out_row + f), out_row)
