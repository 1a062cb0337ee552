"""The ways a convolution can be computed on the CPU, each against the reference in float64: register tiles with channels of
whole and broken panels, rows of windows, phases of strides, Winograd of both sizes, planes for few channels."""

import itertools

import numpy as np
import pytest

from scratchnet.kernels import cpu, reference
from scratchnet.kernels.cpu import conv, conv_planes, gather, memory, threads, tile, winograd, winograd_weights

DIRECT, WINOGRAD = 2e-6, 2e-5                    # relative, in norm: the rounding that float32 is allowed

# N, H, W, C, F, window, strides, padding, dilation, groups
CASES = {
    "1x1": (2, 9, 7, 64, 64, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "1x1, strides 2": (2, 9, 8, 40, 72, (1, 1), (2, 2), ((0, 0), (0, 0)), (1, 1), 1),
    "3x3 with one vector and a bit": (1, 10, 11, 20, 33, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    "3x3, strides 2, padding on one side": (2, 11, 10, 32, 80, (3, 3), (2, 2), ((0, 1), (1, 0)), (1, 1), 1),
    "stride larger than the window": (1, 13, 12, 16, 16, (2, 2), (3, 4), ((0, 0), (0, 0)), (1, 1), 1),
    "dilation": (1, 12, 12, 24, 48, (3, 2), (1, 2), ((2, 1), (1, 3)), (2, 3), 1),
    "a last block of eight pixels": (1, 20, 10, 160, 64, (2, 2), (1, 1), ((1, 0), (0, 1)), (1, 1), 1),
    "groups": (2, 7, 7, 48, 96, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 3),
    "many groups": (1, 6, 6, 32, 32, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 8),
    "sums of many chunks": (1, 4, 4, 600, 17, (3, 3), (1, 1), ((1, 1), (1, 1)), (2, 1), 1),
    "rows of a first layer's windows": (2, 20, 19, 3, 64, (7, 7), (2, 2), ((3, 3), (3, 3)), (1, 1), 1),
    "rows of windows, no padding": (2, 12, 12, 1, 32, (5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "LeNet's first": (3, 12, 12, 1, 6, (5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "LeNet's second": (3, 9, 9, 6, 16, (5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "one pixel, one image": (1, 1, 1, 128, 96, (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "window larger than the image": (1, 2, 2, 16, 64, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    "Winograd 4, clipped tiles": (3, 22, 21, 64, 96, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    "Winograd 4, uneven padding": (4, 25, 18, 64, 32, (3, 3), (1, 1), ((0, 2), (2, 1)), (1, 1), 1),
    "Winograd, no padding": (8, 14, 14, 80, 48, (3, 3), (1, 1), ((0, 0), (0, 0)), (1, 1), 1),
    "Winograd 2": (64, 6, 6, 64, 64, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
    "Winograd, several tasks": (2, 56, 56, 32, 160, (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1), 1),
}


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    N, H, W, C, F, window, *geometry, groups = request.param
    rng = np.random.default_rng(0)
    x = rng.standard_normal((N, H, W, C), dtype=np.float32)
    w = rng.standard_normal((*window, C // groups, F), dtype=np.float32)
    b = rng.standard_normal(F, dtype=np.float32)
    return x, w, b, (*geometry, groups)


def distance(got, exact):
    return np.linalg.norm(got - exact) / np.linalg.norm(exact)


def poisoned(shape, dtype=np.float32, empty=memory.empty):
    """memory.empty full of NaN, which shows what is read before it is written."""
    array = empty(shape, dtype)
    array.fill(np.nan)
    return array


def bound(x, y_shape, window, geometry):
    strides, _, dilation, groups = geometry
    return WINOGRAD if winograd.tile_size(x.shape, y_shape, strides, dilation, groups, window) else DIRECT


def as_float64(*arrays):
    return [array.astype("float64") for array in arrays]


def test_forward(case):
    x, w, b, geometry = case
    y = cpu.conv2d(x, w, b, *geometry)
    assert distance(y, reference.conv2d(*as_float64(x, w, b), *geometry)) < bound(x, y.shape, w.shape[:2], geometry)
    without = cpu.conv2d(x, w, None, *geometry)
    assert distance(y - without, np.broadcast_to(b, y.shape)) < 1e-4


def test_backward_data(case):
    x, w, _, geometry = case
    y_shape = cpu.conv2d(x, w, None, *geometry).shape
    dy = np.random.default_rng(1).standard_normal(y_shape, dtype=np.float32)
    dx = cpu.conv2d_backward_data(dy, w, x.shape, *geometry)
    exact = reference.conv2d_backward_data(*as_float64(dy, w), x.shape, *geometry)
    assert distance(dx, exact) < bound(dy, x.shape, w.shape[:2], geometry)


def test_backward_data_adds_init_and_is_zero_behind_a_shut_gate(case):
    x, w, _, geometry = case
    rng = np.random.default_rng(1)
    dy = rng.standard_normal(cpu.conv2d(x, w, None, *geometry).shape, dtype=np.float32)
    init, gate = rng.standard_normal((2, *x.shape), dtype=np.float32)
    for given in ((init, None), (None, gate), (init, gate)):
        exact = reference.conv2d_backward_data(*as_float64(dy, w), x.shape, *geometry, *given)
        got = cpu.conv2d_backward_data(dy, w, x.shape, *geometry, *(a if a is None else a.copy() for a in given))
        assert distance(got, exact) < bound(dy, x.shape, w.shape[:2], geometry)
        assert given[1] is None or (got[gate <= 0] == 0).all()


def test_an_init_that_is_dy_itself_is_not_written_while_it_is_read():
    dy, w = np.random.default_rng(0).standard_normal((2, 64, 64), dtype=np.float32)
    geometry = (1, 1), ((0, 0), (0, 0)), (1, 1), 1
    dy, w = dy.reshape(1, 8, 8, 64), w.reshape(1, 1, 64, 64)
    exact = reference.conv2d_backward_data(*as_float64(dy, w), dy.shape, *geometry, dy)
    assert distance(cpu.conv2d_backward_data(dy, w, dy.shape, *geometry, dy), exact) < DIRECT


def test_backward_weights(case, monkeypatch):
    monkeypatch.setattr(memory, "empty", poisoned)
    x, w, _, geometry = case
    y_shape = cpu.conv2d(x, w, None, *geometry).shape
    dy = np.random.default_rng(1).standard_normal(y_shape, dtype=np.float32)
    dw = cpu.conv2d_backward_weights(dy, x, w.shape, *geometry)
    exact = reference.conv2d_backward_weights(*as_float64(dy, x), w.shape, *geometry)
    assert distance(dw, exact) < bound(x, y_shape, w.shape[:2], geometry)


def test_the_cases_take_every_way():
    """Else one of them is not tested."""
    ways = set()
    for name, (N, H, W, C, F, window, strides, padding, dilation, groups) in CASES.items():
        y_shape = reference.conv2d(np.zeros((N, H, W, C)), np.zeros((*window, C // groups, F)), None, strides, padding,
                                   dilation, groups).shape
        m = winograd.tile_size((N, H, W, C), y_shape, strides, dilation, groups, window)
        assert (m > 0) == name.startswith("Winograd"), name
        ways.add(m)
    assert ways == {0, 2, 4}


@pytest.mark.parametrize("images", [(2, 9, 11), (1, 7, 8)], ids=["many tiles", "few tiles"])
@pytest.mark.parametrize("large", [0, 2**40], ids=["shared tiles", "own tiles"])
@pytest.mark.parametrize("m", [2, 4])
def test_winograd_of_both_sizes_with_poisoned_memory(m, large, images, monkeypatch):
    """Whatever the rules prefer."""
    monkeypatch.setattr(memory, "empty", poisoned)
    monkeypatch.setattr(winograd, "LARGE", large)
    monkeypatch.setattr(winograd_weights, "LARGE", large)
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((*images, 32), dtype=np.float32), rng.standard_normal((3, 3, 32, 48), dtype=np.float32)
    init = rng.standard_normal((*images, 48), dtype=np.float32)
    geometry = (1, 1), ((1, 1), (1, 1)), (1, 1), 1
    exact = reference.conv2d(*as_float64(x, w), None, *geometry)
    y = memory.empty(init.shape)
    winograd.convolve(x, winograd.filters(w, m), gather.pack_bias(None, 48), init, y, m, (1, 1), relu=True)
    assert distance(y, np.maximum(exact + init, 0)) < WINOGRAD
    dw = winograd_weights.backward_weights(x, y, m, (1, 1)).reshape(w.shape)
    assert distance(dw, reference.conv2d_backward_weights(*as_float64(y, x), w.shape, *geometry)) < WINOGRAD


@pytest.mark.parametrize("shared", [True, False], ids=["shared tiles", "own tiles"])
def test_winograd_of_several_panels_blocks_and_parts_of_sums(shared, monkeypatch):
    """80 channels are a panel and a quarter; 168 tiles are several blocks, each more than are summed at once."""
    for module in (winograd, winograd_weights):
        monkeypatch.setattr(module, "plan", lambda *_: (80, shared))
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((3, 27, 30, 80), dtype=np.float32), rng.standard_normal((3, 27, 30, 112), dtype=np.float32)
    w, b = rng.standard_normal((3, 3, 80, 112), dtype=np.float32), rng.standard_normal(112, dtype=np.float32)
    geometry, y = ((1, 1), ((1, 1), (1, 1)), (1, 1), 1), np.empty_like(dy)
    winograd.convolve(x, winograd.filters(w, 4), gather.pack_bias(b, 112), None, y, 4, (1, 1))
    assert distance(y, reference.conv2d(*as_float64(x, w, b), *geometry)) < WINOGRAD
    dw = winograd_weights.backward_weights(x, dy, 4, (1, 1)).reshape(w.shape)
    assert distance(dw, reference.conv2d_backward_weights(*as_float64(dy, x), w.shape, *geometry)) < WINOGRAD


def test_planes_take_any_case_too(case):
    """They are chosen for few channels only, but nothing in them depends on it."""
    x, w, b, geometry = case
    assert distance(conv_planes.conv2d(x, w, b, *geometry), reference.conv2d(*as_float64(x, w, b), *geometry)) < DIRECT


@pytest.mark.parametrize("shape", [(2, 20, 20, 64, 64), (1, 7, 7, 512, 512), (4, 14, 14, 16, 48)], ids=str)
def test_the_number_of_threads_changes_rounding_only_and_runs_agree_to_the_bit(shape):
    N, H, W, C, F = shape
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((N, H, W, C), dtype=np.float32), rng.standard_normal((3, 3, C, F), dtype=np.float32)
    dy = rng.standard_normal((N, H, W, F), dtype=np.float32)
    geometry = (1, 1), ((1, 1), (1, 1)), (1, 1), 1

    def passes():
        return (cpu.conv2d(x, w, None, *geometry), cpu.conv2d_backward_data(dy, w, x.shape, *geometry),
                cpu.conv2d_backward_weights(dy, x, w.shape, *geometry))
    before = threads.threads()
    runs = []
    try:
        for count in (1, before, before):
            threads.set_threads(count)
            runs.append(passes())
    finally:
        threads.set_threads(before)
    for one, several, again in zip(*runs):
        assert distance(one, several) < 5e-6 and np.array_equal(several, again)


def test_nothing_finite_hides_a_nan():
    """Whichever way is taken, what a NaN in the image reaches is NaN, also behind the ReLU of the epilogue."""
    for channels, groups in itertools.product((4, 64), (1, 2)):
        x, w = np.ones((1, 24, 24, channels), np.float32), np.ones((3, 3, channels // groups, channels), np.float32)
        x[0, 5, 5, 0] = np.nan
        y = cpu.conv2d(x, w, None, (1, 1), ((1, 1), (1, 1)), (1, 1), groups)
        assert np.isnan(y[0, 4:7, 4:7, 0]).all()


def test_rows_of_zeros_are_long_enough():
    assert gather.zeros_for(5000).size == 5000 and not gather.zeros_for(5000).any() and not gather.zeros_for(10).any()


def test_tables_follow_the_tile():
    assert conv.LANES == tile.LANES and tile.WIDTH % tile.LANES == 0 and tile.ROWS % tile.FEW_ROWS == 0
