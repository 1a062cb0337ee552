"""The products between Winograd's transforms: for each place of a tile M = V U forward, and Vᵀ W for dw.

What limits them is not arithmetic but how their factors come from the second and third caches. So all of them stand in
panels: some channels of all rows, then the next channels. A product then reads and writes each from one end to the other,
which the caches see coming; what they cannot foresee, the next panel of U and the next sums of dw, the tile asks for.
"""
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compile import helper
from .tile import INT, LANES, ROWS, VECTORS, WIDTH, Vectors, when

DEPTH = 64                                       # products of a sum at once, and channels of a panel of V
FEW = 2                                          # rows of the smaller tile, for what is left over
LINE = 64                                        # bytes the cache fetches at once


def make_product_tile(rows, vectors, turned=False):
    @intrinsic
    def tile(context, depth, a, a_row, b, out, adds, ask, ask_step):
        """out (rows, columns) = a b [+ out if adds], of vectors·LANES columns; a (rows, depth), or its transpose (depth, rows)
        if turned, a_row floats from row to row; b (depth, columns). ask: what to fetch meanwhile, as for rows_tile."""
        def generate(_, builder, signature, arguments):
            depth, a, a_row, b, out, adds, ask, ask_step = arguments
            v, columns, one = Vectors(builder, LANES), vectors * LANES, ir.Constant(INT, 1)
            out = v.address(out)

            def fetch(pair):
                v.prefetch(v.address(builder.add(ask, builder.mul(pair, ask_step))))
            if turned:
                pointers, step = [v.address(a)], a_row
            else:
                pointers, step = [v.at(v.address(a), builder.mul(a_row, ir.Constant(INT, i))) for i in range(rows)], one
            _, sums = v.steps("k", depth, lambda a, i: builder.load(v.at(a[0], i) if turned else a[i]), pointers, step,
                              v.address(b), ir.Constant(INT, columns), [[v.zero] * vectors for _ in range(rows)],
                              meanwhile=fetch)
            sums = when(builder, builder.icmp_signed("!=", adds, ir.Constant(INT, 0)), lambda: [
                [builder.fadd(total, v.load(out, i * columns + LANES * j)) for j, total in enumerate(row)]
                for i, row in enumerate(sums)], sums)
            for i, row in enumerate(sums):
                for j, total in enumerate(row):
                    v.store(total, out, i * columns + LANES * j)
        return types.void(*[types.intp] * 8), generate
    return tile


_product, _few_product = make_product_tile(ROWS, VECTORS), make_product_tile(FEW, VECTORS)
_turned, _few_turned = make_product_tile(ROWS, VECTORS, True), make_product_tile(FEW, VECTORS, True)
_narrow, _few_narrow = make_product_tile(ROWS, 2, True), make_product_tile(FEW, 2, True)       # of SPAN columns


@helper
def in_panels(width, rows, channels, row, channel):
    """Where a number stands in panels of `width` channels, all rows of each: (panels, rows, width), the last one narrower."""
    first = channel // width * width
    return first * rows + row * min(width, channels - first) + channel - first


@helper
def multiply(V, C, tiles, rows, U, first, last, M):
    """M = V U of `tiles` of the rows of V and M, U's panels from `first` to `last`, at three addresses. Up to whole register
    tiles there are rows behind the last; what stands there does not matter."""
    pairs, size = DEPTH // 2, 4 * DEPTH * WIDTH  # of steps in a register tile, each of which fetches a line at most
    ask_step = min(LINE, size // (pairs * ((tiles + ROWS - 1) // ROWS)))
    for panel in range(first, last):
        for c in range(0, C, DEPTH):
            depth, b = min(DEPTH, C - c), U + 4 * (panel * C + c) * WIDTH
            for t in range(0, tiles, ROWS):
                ask = b + size + t // ROWS * pairs * ask_step    # what comes next of U, while this is in use
                a, out = V + 4 * in_panels(DEPTH, rows, C, t, c), M + 4 * (panel * rows + t) * WIDTH
                if tiles - t > ROWS - FEW:
                    _product(depth, a, depth, b, out, c, ask, ask_step)
                    continue
                for few in range(0, tiles - t, FEW):
                    _few_product(depth, a + 4 * few * depth, depth, b, out + 4 * few * WIDTH, c, ask, ask_step)


@helper
def add_products(V, C, tiles, rows, W, columns, out, adds):
    """out = Vᵀ W [+ out if adds] of `tiles` of the rows of V (rows, C) and W (rows, columns), at three addresses; C a multiple
    of LANES, columns one of SPAN."""
    chunks = (tiles + DEPTH - 1) // DEPTH
    for chunk in range(chunks):
        t = tiles * chunk // chunks
        depth = tiles * (chunk + 1) // chunks - t
        for f in range(0, columns, WIDTH):
            width, b = min(WIDTH, columns - f), W + 4 * in_panels(WIDTH, rows, columns, t, f)
            for c in range(0, C, DEPTH):
                _add_panel(depth, V + 4 * in_panels(DEPTH, rows, C, t, c), min(DEPTH, C - c), b, width,
                           out + 4 * in_panels(WIDTH, C, columns, c, f), adds + chunk)


@helper
def _add_panel(depth, a, channels, b, width, out, adds):
    """out (channels, width) = aᵀ b [+ out if adds] of panels a (depth, channels), b (depth, width)."""
    c = 0
    while c < channels:
        rows = ROWS if channels - c >= ROWS else FEW
        left, sums = a + 4 * c, out + 4 * c * width
        ask = sums + 4 * rows * width            # the next sums
        if width == WIDTH:
            if rows == ROWS:
                _turned(depth, left, channels, b, sums, adds, ask, LINE)
            else:
                _few_turned(depth, left, channels, b, sums, adds, ask, LINE)
        elif rows == ROWS:
            _narrow(depth, left, channels, b, sums, adds, ask, LINE)
        else:
            _few_narrow(depth, left, channels, b, sums, adds, ask, LINE)
        c += rows
