"""The register tile all products are made of: a few rows times a few vectors of columns, summed in registers.

    out[i, j] = max(init[i, j] + bias[j] + Σ_t Σ_k a_t[i, k] b[t, k, j], floor)        rows_tile: forward, dx, dense
    out[i, j] = Σ_k a[k, i] b[k, j] [+ out[i, j]]                                      columns_tile: dw

The whole sum is one loop nest of LLVM vector IR, because Numba's own vectoriser keeps no accumulators over two loops: 6
rows by 4 vectors are 24 accumulators, and each step loads 4 vectors and broadcasts 6 numbers for 24 multiply-adds, so
that arithmetic, not loading, is the limit; two steps at a time, so that counting costs little. The numbers a_t[i, ·] are
found through a table of addresses: a convolution reads the windows of its input in place, whatever their shape
(batch-reduce GEMM: Georganas et al. 2020).

Addresses are Python ints; what they point to has to be kept alive by the caller.
"""
import llvmlite.binding
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

FLOAT, INT = ir.FloatType(), ir.IntType(64)

ROWS = 6                                         # of a tile
LONG = 2 * ROWS                                  # of the tile of a single vector, else too few sums to be busy with
FEW_ROWS = 2                                     # of the tile for rows left over; alone it waits for b, hence
AHEAD = 64                                       # how many rows of b it asks for beforehand
FETCHES = 2                                      # lines that a fetching_rows_tile asks for in a pair of steps


def _host():
    """(floats a vector holds, vectors of a tile): by what the processor has; LLVM makes do where it has less."""
    features = llvmlite.binding.get_host_cpu_features()
    if features.get("avx512f"):
        return 16, 4                             # 32 registers, of which 24 accumulate
    if features.get("avx2") and features.get("fma"):
        return 8, 2                              # 16 registers
    return 4, 4 if features.get("neon") else 2


LANES, VECTORS = _host()
WIDTH = VECTORS * LANES                          # columns of a rows_tile
DEEP, SPAN = ROWS * VECTORS // 2, 2 * LANES      # rows and columns of a columns_tile, whose rows take one address
FEW_DEEP = DEEP // 3


class Vectors:
    """What the tiles below write their loops with: `builder` and vectors of some lanes."""

    def __init__(self, builder, lanes):
        self.builder, self.lanes, self.type = builder, lanes, ir.VectorType(FLOAT, lanes)
        name = f"llvm.fmuladd.v{lanes}f32"
        self.multiply_add = builder.module.globals.get(name) or ir.Function(
            builder.module, ir.FunctionType(self.type, [self.type] * 3), name)
        self.zero = ir.Constant(self.type, [0.0] * lanes)

    def address(self, number, of=FLOAT):
        return self.builder.inttoptr(number, of.as_pointer())

    def at(self, pointer, index):
        return self.builder.gep(pointer, [ir.Constant(INT, index) if isinstance(index, int) else index])

    def load(self, pointer, index):
        place = self.builder.bitcast(self.at(pointer, index), self.type.as_pointer())
        return self.builder.load(place, align=4)

    def store(self, vector, pointer, index):
        place = self.builder.bitcast(self.at(pointer, index), self.type.as_pointer())
        self.builder.store(vector, place, align=4)

    def spread(self, number):
        """A vector of copies of one float."""
        one = self.builder.insert_element(self.zero, number, ir.Constant(ir.IntType(32), 0))
        return self.builder.shuffle_vector(one, self.zero, ir.Constant(ir.VectorType(ir.IntType(32), self.lanes), [0] * self.lanes))

    def prefetch(self, pointer, near=2, to_write=0):
        """Ask for the cache line at the pointer, into the second cache, or with 3 into the first; for 1 `to_write` it."""
        name, byte, flag = "llvm.prefetch.p0", ir.IntType(8).as_pointer(), ir.IntType(32)
        function = self.builder.module.globals.get(name) or ir.Function(
            self.builder.module, ir.FunctionType(ir.VoidType(), [byte, flag, flag, flag]), name)
        self.builder.call(function, [self.builder.bitcast(pointer, byte), flag(to_write), flag(near), flag(1)])

    def constant(self, number):
        return ir.Constant(self.type, [float(number)] * self.lanes)

    def outer_product(self, numbers, columns, sums):
        """sums[i][j] + numbers[i] · columns[j], floats and vectors."""
        return [[self.builder.call(self.multiply_add, [a, column, total]) for column, total in zip(columns, row)]
                for a, row in zip(map(self.spread, numbers), sums)]

    def steps(self, name, count, a_of, a, a_step, b, b_step, sums, ahead=0, meanwhile=None):
        """(b behind the last row, sums + Σ_k a[·, k] b[k]) for k < count, two at a time; the pointers in `a` move a_step
        a step, and a_of(a, i) loads a[i, k]. meanwhile(pair) is done in each pair of steps, numbered from the last, 0."""
        builder, zero, one = self.builder, ir.Constant(INT, 0), ir.Constant(INT, 1)

        def step(a, b, sums):
            if ahead:
                later = self.at(b, builder.mul(b_step, ir.Constant(INT, ahead)))
                for j in range(len(sums[0])):
                    self.prefetch(self.at(later, self.lanes * j))
            columns = [self.load(b, self.lanes * j) for j in range(len(sums[0]))]
            sums = self.outer_product([a_of(a, i) for i in range(len(sums))], columns, sums)
            return [self.at(pointer, a_step) for pointer in a], self.at(b, b_step), sums

        def pairs():
            loop = Loop(builder, name)
            left, *state = loop.start(builder.lshr(count, one), a, b, sums)
            left = builder.sub(left, one)
            if meanwhile:
                meanwhile(left)
            state = step(*step(*state))
            loop.end(builder.icmp_signed("!=", left, zero), left, *state)
            return state
        state = when(builder, builder.icmp_signed(">", count, one), pairs, [a, b, sums])
        odd = builder.trunc(count, ir.IntType(1))
        return when(builder, odd, lambda: step(*state), state)[1:]


def _flat(values):
    """The values of nested lists."""
    return [one for value in values for one in _flat(value)] if isinstance(values, list) else [values]


def _shaped(values, like):
    """The iterator's values in nested lists as those of `like`."""
    return [_shaped(values, one) for one in like] if isinstance(like, list) else next(values)


def when(builder, condition, body, otherwise):
    """What body() gives where the condition holds, else `otherwise`, both nested lists of values."""
    before = builder.block
    with builder.if_then(condition):
        values, inside = list(body()), builder.block
    joined = []
    for value, other in zip(_flat(values), _flat(list(otherwise))):
        phi = builder.phi(value.type)
        phi.add_incoming(value, inside)
        phi.add_incoming(other, before)
        joined.append(phi)
    return _shaped(iter(joined), values)


class Loop:
    """A loop whose variables are SSA phis: `start` opens it, `end` closes it and goes on behind it."""

    def __init__(self, builder, name):
        self.builder, self.name = builder, name

    def start(self, *values):
        """The loop's variables, `values` on entry; nested lists of values give nested lists."""
        self.before, self.block = self.builder.block, self.builder.append_basic_block(self.name)
        self.builder.branch(self.block)
        self.builder.position_at_end(self.block)
        self.variables = [self._phi(value) for value in values]
        return self.variables

    def _phi(self, value):
        if isinstance(value, list):
            return [self._phi(one) for one in value]
        phi = self.builder.phi(value.type)
        phi.add_incoming(value, self.before)
        return phi

    def end(self, goes_on, *values):
        """Once more with `values` while goes_on."""
        def join(variable, value):
            if isinstance(value, list):
                for one, new in zip(variable, value):
                    join(one, new)
            else:
                variable.add_incoming(value, self.builder.block)
        for variable, value in zip(self.variables, values):
            join(variable, value)
        behind = self.builder.append_basic_block(self.name + "_end")
        self.builder.cbranch(goes_on, self.block, behind)
        self.builder.position_at_end(behind)


def make_rows_tile(rows, vectors, ahead=0, lanes=LANES, apart=ROWS, fetches=0):
    @intrinsic
    def tile(context, table, taps, skip, depth, b, b_step, bias, inits, outs, floor, ask, ask_step, lines):
        """table: addresses of rows of a for each of the taps, `apart` of them for the next, `skip` floats before what is
        read; b: (taps, depth) rows, b_step floats apart; bias: one row; inits, outs: an address for each row; inits may be
        outs. What to fetch in each pair of steps, into the second cache `ask`, ask_step bytes further each time, into the
        first so many addresses of the table `lines` as `fetches` says: all at once they would fill the queue to memory, and
        the tile's own loads wait behind them."""
        def generate(_, builder, signature, arguments):
            table, taps, skip, depth, b, b_step, bias, inits, outs, floor, ask, ask_step, lines = arguments
            v, zero, one = Vectors(builder, lanes), ir.Constant(INT, 0), ir.Constant(INT, 1)
            places = v.address(table, INT)
            inits, outs, bias, floor = v.address(inits, INT), v.address(outs, INT), v.address(bias), v.spread(floor)
            loop = Loop(builder, "tap")
            tap, b, sums = loop.start(zero, v.address(b), [[v.zero] * vectors for _ in range(rows)])
            first = builder.mul(tap, ir.Constant(INT, apart))
            a = [v.at(v.address(builder.load(v.at(places, builder.add(first, ir.Constant(INT, i))))), skip)
                 for i in range(rows)]

            def fetch(pair):
                pair = builder.add(builder.mul(tap, builder.lshr(depth, one)), pair)
                v.prefetch(v.address(builder.add(ask, builder.mul(pair, ask_step))))
                first = builder.mul(pair, ir.Constant(INT, fetches))
                for i in range(fetches):
                    line = builder.load(v.at(v.address(lines, INT), builder.add(first, ir.Constant(INT, i))))
                    v.prefetch(v.address(line), 3)
            b, sums = v.steps("k", depth, lambda a, i: builder.load(a[i]), a, 1, b, b_step, sums, ahead, fetch)
            tap = builder.add(tap, one)
            loop.end(builder.icmp_signed("<", tap, taps), tap, b, sums)
            for i in range(rows):
                source = v.address(builder.load(v.at(inits, i)))
                target = v.address(builder.load(v.at(outs, i)))
                for j in range(vectors):
                    y = builder.fadd(builder.fadd(sums[i][j], v.load(bias, lanes * j)), v.load(source, lanes * j))
                    y = builder.select(builder.fcmp_ordered("<", y, floor), floor, y)          # NaN stays NaN
                    v.store(y, target, lanes * j)
        return types.void(*[types.intp] * 9, types.float32, *[types.intp] * 3), generate
    return tile


def make_columns_tile(rows, vectors, lanes=LANES):
    @intrinsic
    def tile(context, count, a, a_step, b, b_step, out, out_row, adds, ask, ask_step):
        """a[k, i], b[k, j] for k < count, a_step and b_step floats from one k to the next; out's rows out_row apart, to which
        the sums are added if adds; ask: what to fetch meanwhile, as for rows_tile."""
        def generate(_, builder, signature, arguments):
            count, a, a_step, b, b_step, out, out_row, adds, ask, ask_step = arguments
            v = Vectors(builder, lanes)

            def fetch(pair):
                v.prefetch(v.address(builder.add(ask, builder.mul(pair, ask_step))))
            sums = [[v.zero] * vectors for _ in range(rows)]
            _, sums = v.steps("k", count, lambda a, i: builder.load(v.at(a[0], i)), [v.address(a)], a_step, v.address(b), b_step,
                              sums, meanwhile=fetch)
            out = v.address(out)
            targets = [v.at(out, builder.mul(out_row, ir.Constant(INT, i))) for i in range(rows)]
            sums = when(builder, builder.icmp_signed("!=", adds, ir.Constant(INT, 0)), lambda: [
                [builder.fadd(total, v.load(target, lanes * j)) for j, total in enumerate(row)]
                for target, row in zip(targets, sums)], sums)
            for target, row in zip(targets, sums):
                for j, total in enumerate(row):
                    v.store(total, target, lanes * j)
        return types.void(*[types.intp] * 10), generate
    return tile


rows_tile, few_rows_tile = make_rows_tile(ROWS, VECTORS), make_rows_tile(FEW_ROWS, VECTORS, AHEAD)
fetching_rows_tile = make_rows_tile(ROWS, VECTORS, fetches=FETCHES)
half_rows_tile, narrow_rows_tile = make_rows_tile(ROWS, 2), make_rows_tile(ROWS, 1)
long_rows_tile = make_rows_tile(LONG, 1, apart=LONG)
columns_tile, few_columns_tile = make_columns_tile(DEEP, 2), make_columns_tile(FEW_DEEP, 2)


def make_copy(count):
    """copy(source, target): `count` floats from one address to another, all read before any is written."""
    @intrinsic
    def copy(context, source, target):
        def generate(_, builder, signature, arguments):
            v = Vectors(builder, count)
            v.store(v.load(v.address(arguments[0]), 0), v.address(arguments[1]), 0)
        return types.void(types.intp, types.intp), generate
    return copy


@intrinsic
def list_lines(context, rows, skip, each, lines):
    """lines[i·each + j] = rows[i] + skip + j·64, j < 8, for ROWS addresses `rows`: of each row's lines so many stay as `each`
    says, where it is less than 8; the last row's all do."""
    def generate(_, builder, signature, arguments):
        rows, skip, each, lines = arguments
        eight, number = ir.VectorType(INT, 8), ir.IntType(32)
        steps = ir.Constant(eight, list(range(0, 512, 64)))
        for i in range(ROWS):
            row = builder.inttoptr(builder.add(rows, ir.Constant(INT, 8 * i)), INT.as_pointer())
            start = builder.add(builder.load(row), skip)
            one = builder.insert_element(steps, start, ir.Constant(number, 0))
            all_ = builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(number, 8), [0] * 8))
            place = builder.add(lines, builder.mul(each, ir.Constant(INT, 8 * i)))
            builder.store(builder.add(all_, steps), builder.inttoptr(place, eight.as_pointer()), align=8)
    return types.void(*[types.intp] * 4), generate


@intrinsic
def fetch_to_write(context, address):
    """Ask for the cache line there, which will be written."""
    def generate(_, builder, signature, arguments):
        v = Vectors(builder, LANES)
        v.prefetch(v.address(arguments[0]), to_write=1)
    return types.void(types.intp), generate


copy_panel_row, copy_piece_row = make_copy(SPAN), make_copy(DEEP)
