"""The register tiles alone, at the width of every processor: LLVM makes do on this one. Then all kernels of convolutions
as other processors have them, in processes of their own."""

import os
import platform
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import llvmlite.binding
import numba
import numpy as np
import pytest

from scratchnet.kernels import cpu
from scratchnet.kernels.cpu import compile, tile
from scratchnet.kernels.cpu import winograd_products as products

ROOT = Path(cpu.__file__).resolve().parents[2]
PROCESSORS = {"SSE": (4, 2), "NEON": (4, 4), "AVX2": (8, 2), "AVX-512": (16, 4)}          # lanes, vectors
# One sum of up to 27 products of normal numbers, rounded to float32 each time.
TOLERANCE = {"rtol": 1e-5, "atol": 1e-5}
BEYOND = 12345                                   # stands where nothing may be written


def from_python(tile):
    """The tile as a function of numbers, compiled as the kernels are."""
    def thirteen(a, b, c, d, e, f, g, h, i, floor, j, k, m):
        tile(a, b, c, d, e, f, g, h, i, floor, j, k, m)

    def ten(a, b, c, d, e, f, g, h, i, j):
        tile(a, b, c, d, e, f, g, h, i, j)

    def four(a, b, c, d):
        tile(a, b, c, d)

    def two(a, b):
        tile(a, b)
    return {count: numba.njit(**compile.OPTIONS)(function) for count, function in
            ((13, thirteen), (10, ten), (4, four), (2, two))}


def rows_tile_id(case):
    processor, rows, vectors, fetches = case
    return f"{processor}: {rows} rows of {vectors} vectors" + ", fetching" * (fetches > 0)


ROWS_TILES = [(processor, *shape) for processor, (_, vectors) in PROCESSORS.items()
              for shape in sorted({(tile.ROWS, vectors, 0), (tile.ROWS, vectors, tile.FETCHES), (tile.FEW_ROWS, vectors, 0),
                                   (tile.ROWS, 2, 0), (tile.ROWS, 1, 0)})]


@pytest.fixture(scope="module", params=ROWS_TILES, ids=rows_tile_id)
def rows_tile(request):
    """(a function, rows, columns)."""
    processor, rows, vectors, fetches = request.param
    lanes, ahead = PROCESSORS[processor][0], tile.AHEAD if rows == tile.FEW_ROWS else 0
    return from_python(tile.make_rows_tile(rows, vectors, ahead, lanes, fetches=fetches))[13], rows, vectors * lanes


def addresses(array, places):
    """Those of the rows `places` of a two-dimensional array."""
    return np.array([array.ctypes.data + array.strides[0] * place for place in places], np.int64)


class RowsCase:
    """One call's arrays; NaN stands wherever nothing may be read."""

    def __init__(self, rows, width, taps, depth, skip=3, gap=5):
        rng = np.random.default_rng(taps * 100 + depth)
        self.rows, self.width, self.taps, self.depth, self.skip, self.step = rows, width, taps, depth, skip, width + gap
        self.x = np.full((40, skip + depth + 2), np.nan, np.float32)
        self.x[:, skip:skip + depth] = rng.standard_normal((40, depth))
        self.places = rng.integers(0, 40, (taps, tile.ROWS))
        self.b = np.full((taps * depth, self.step), np.nan, np.float32)
        self.b[:, :width] = rng.standard_normal((taps * depth, width))
        self.bias = np.append(rng.standard_normal(width), [np.nan] * 4).astype(np.float32)
        self.init = np.full((rows, width + 4), np.nan, np.float32)
        self.init[:, :width] = rng.standard_normal((rows, width))
        self.out = np.full((rows, width + 4), BEYOND, np.float32)

    def sums(self):
        a = self.x.astype("float64")[self.places[:, :self.rows], self.skip:self.skip + self.depth]
        b = self.b.astype("float64").reshape(self.taps, self.depth, self.step)[..., :self.width]
        return np.einsum("trk,tkj->rj", a, b)    # a (taps, rows, depth), b (taps, depth, width)

    def run(self, function, floor=-np.inf, init=None):
        init = self.init if init is None else init
        order = np.arange(self.rows)[::-1]       # rows stand anywhere
        table = addresses(self.x, self.places.reshape(-1))
        inits, outs = addresses(init, order), addresses(self.out, order)
        function(table.ctypes.data, self.taps, self.skip, self.depth, self.b.ctypes.data, self.step,
                 self.bias.ctypes.data, inits.ctypes.data, outs.ctypes.data, np.float32(floor), self.b.ctypes.data, 64,
                 np.repeat(outs, 20).ctypes.data)
        assert (self.out[:, self.width:] == BEYOND).all(), "written behind the last column"
        return self.out[::-1, :self.width]


@pytest.mark.parametrize("depth", [1, 2, 3, 8, 9])
@pytest.mark.parametrize("taps", [1, 3])
def test_rows_are_sums_over_taps_and_depth_plus_bias_and_init(rows_tile, taps, depth):
    function, rows, width = rows_tile
    case = RowsCase(rows, width, taps, depth)
    exact = case.sums() + case.bias[:width] + case.init[::-1, :width]
    np.testing.assert_allclose(case.run(function), exact, **TOLERANCE)


def test_rows_without_skip_or_gap(rows_tile):
    function, rows, width = rows_tile
    case = RowsCase(rows, width, 2, 5, skip=0, gap=0)
    exact = case.sums() + case.bias[:width] + case.init[::-1, :width]
    np.testing.assert_allclose(case.run(function), exact, **TOLERANCE)


def test_rows_are_not_below_the_floor_which_keeps_nan(rows_tile):
    function, rows, width = rows_tile
    case = RowsCase(rows, width, 2, 4)
    case.init[0, width - 1], case.init[-1, 0], case.init[0, 0] = np.nan, np.inf, -np.inf
    exact = case.sums() + case.bias[:width] + case.init[::-1, :width]
    got = case.run(function, 0.25)
    assert np.isnan(got[-1, width - 1]) and np.isposinf(got[0, 0]) and got[-1, 0] == 0.25
    np.testing.assert_allclose(got, np.where(exact < 0.25, 0.25, exact), **TOLERANCE)
    assert (got == 0.25).sum() > 1


def test_a_sum_goes_on_where_its_inits_are_its_outs(rows_tile):
    function, rows, width = rows_tile
    case = RowsCase(rows, width, 1, 7)
    case.run(function)
    exact = 2 * (case.sums() + case.bias[:width]) + case.init[::-1, :width]
    np.testing.assert_allclose(case.run(function, init=case.out), exact, **TOLERANCE)


COLUMNS_TILES = [(processor, deep) for processor, (_, vectors) in PROCESSORS.items()
                 for deep in (tile.ROWS * vectors // 2, tile.ROWS * vectors // 6)]


@pytest.fixture(scope="module", params=COLUMNS_TILES, ids=lambda case: f"{case[0]}: {case[1]} rows")
def columns_tile(request):
    """(a function, rows, columns)."""
    processor, deep = request.param
    lanes = PROCESSORS[processor][0]
    return from_python(tile.make_columns_tile(deep, 2, lanes))[10], deep, 2 * lanes


@pytest.mark.parametrize("adds", [0, 1])
@pytest.mark.parametrize("gap", [0, 3])
@pytest.mark.parametrize("count", [1, 2, 3, 7, 16, 27])
def test_columns_are_added_to_what_is_there_or_replace_it(columns_tile, count, gap, adds):
    function, deep, span = columns_tile
    rng = np.random.default_rng(count)
    a, b = np.full((count, deep + gap), np.nan, np.float32), np.full((count, span + 2 * gap), np.nan, np.float32)
    a[:, :deep], b[:, :span] = rng.standard_normal((count, deep)), rng.standard_normal((count, span))
    out = np.full((deep + 1, span + gap), BEYOND, np.float32)
    out[:deep, :span] = rng.standard_normal((deep, span))
    exact = out.astype("float64")
    # (deep, span) += (deep, count) @ (count, span)
    exact[:deep, :span] = adds * exact[:deep, :span] + a[:, :deep].astype("float64").T @ b[:, :span]
    function(count, a.ctypes.data, a.shape[1], b.ctypes.data, b.shape[1], out.ctypes.data, out.shape[1], adds, a.ctypes.data,
             64)
    np.testing.assert_allclose(out, exact, **TOLERANCE)


@pytest.mark.parametrize("count", [4, 6, 12, 32])
def test_a_copy_moves_so_many_floats_and_no_more(count):
    copy = from_python(tile.make_copy(count))[2]
    source, target = np.arange(1, 40, dtype=np.float32), np.full(40, BEYOND, np.float32)
    copy(source.ctypes.data + 4, target.ctypes.data + 8)
    assert (target[2:2 + count] == source[1:1 + count]).all()
    assert (target[:2] == BEYOND).all() and (target[2 + count:] == BEYOND).all()
    copy(source.ctypes.data, source.ctypes.data + 4)             # all read before any is written
    assert source[1:1 + count].tolist() == list(range(1, 1 + count))


@pytest.mark.parametrize("each", [1, 4, 8])
def test_listed_are_the_cache_lines_of_a_tiles_rows(each):
    rows = np.arange(1000, 1000 + 100 * tile.ROWS, 100)
    lines = np.full(8 * tile.ROWS + 1, BEYOND)
    from_python(tile.list_lines)[4](rows.ctypes.data, 12, each, lines.ctypes.data)
    expected = [row + 12 + 64 * line for row in rows for line in range(each)]
    assert lines[:len(expected)].tolist() == expected
    assert (lines[(tile.ROWS - 1) * each + 8:] == BEYOND).all()


def test_the_tile_of_this_processor_fits_the_others_files():
    assert (tile.LANES, tile.VECTORS) in PROCESSORS.values()
    assert tile.LANES % products.FEW == 0 and products.DEPTH % tile.LANES == 0, "dw takes any multiple of LANES channels"
    assert tile.WIDTH % tile.SPAN == 0, "dw's last panel is a whole SPAN"


# Direct and by Winograd, forward and backward, in whole and broken panels and pieces.
AS_ANOTHER_PROCESSOR = """
import sys
import llvmlite.binding
missing, host = sys.argv[1].split(), llvmlite.binding.get_host_cpu_features
def claimed():
    features = host()
    features.update({name: False for name in features if any(part in name for part in missing)})
    return features
llvmlite.binding.get_host_cpu_features = claimed
import numpy as np
from scratchnet.kernels import cpu, reference
from scratchnet.kernels.cpu import tile, winograd
print(tile.LANES, tile.VECTORS)
rng = np.random.default_rng(0)
for C, F, side, size, padding in ((64, 64, 20, 3, 1), (64, 40, 9, 1, 0), (20, 33, 9, 3, 1)):
    shapes = (2, side, side, C), (size, size, C, F), (2, side, side, F)
    x, w, dy = (rng.standard_normal(shape, dtype="f4") for shape in shapes)
    geometry = (1, 1), ((padding, padding),) * 2, (1, 1), 1
    m = winograd.tile_size(x.shape, dy.shape, (1, 1), (1, 1), 1, (size, size))
    assert (m > 0) == (side == 20), m
    for name, *arguments in (("conv2d", x, w, None), ("conv2d_backward_data", dy, w, x.shape),
                             ("conv2d_backward_weights", dy, x, w.shape)):
        got = getattr(cpu, name)(*arguments, *geometry)
        wide = [a.astype("f8") if isinstance(a, np.ndarray) else a for a in arguments]
        exact = getattr(reference, name)(*wide, *geometry)
        distance = np.linalg.norm(got - exact) / np.linalg.norm(exact)
        assert distance < (2e-5 if m else 2e-6), (name, C, distance)
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="only x86 has processors with less")
def test_convolutions_on_processors_that_have_less(tmp_path):
    """Some 30 s, all of it compiling; side by side."""
    missing = {"SSE": "avx fma", "AVX2": "avx512 avx10"}
    if not llvmlite.binding.get_host_cpu_features().get("avx2"):
        del missing["AVX2"]

    def run(processor):
        cache = str(tmp_path / processor)
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "XDG_CACHE_HOME": cache, "LOCALAPPDATA": cache}
        return subprocess.run([sys.executable, "-c", AS_ANOTHER_PROCESSOR, missing[processor]], env=environment,
                              capture_output=True, text=True)
    with ThreadPoolExecutor() as pool:
        for processor, done in zip(missing, pool.map(run, missing)):
            assert done.returncode == 0, done.stderr
            assert done.stdout.split() == [str(number) for number in PROCESSORS[processor]]
