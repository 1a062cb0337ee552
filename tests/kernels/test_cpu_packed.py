"""Convolutions and dense layers laid out once for inference, against the reference in float64."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from scratchnet.kernels import reference
from scratchnet.kernels.cpu import conv, winograd
from scratchnet.kernels.cpu.packed import PackedConv2D, PackedDense

DIRECT, WINOGRAD = 2e-6, 2e-5                    # relative, in norm: the rounding that float32 is allowed
ONE, NONE, SAME = (1, 1), ((0, 0), (0, 0)), ((1, 1), (1, 1))

# C, F, window, strides, padding, dilation, groups, sizes (N, H, W) of the images that one object sees
CONVOLUTIONS = {
    "Winograd and direct by the image's size": (64, 64, (3, 3), ONE, SAME, ONE, 1,
                                                [(1, 24, 21), (1, 2, 2), (8, 14, 14), (64, 6, 6)]),
    "1x1": (64, 72, (1, 1), ONE, NONE, ONE, 1, [(2, 9, 7), (1, 1, 1)]),
    "one vector and a bit": (20, 33, (3, 3), (2, 1), SAME, ONE, 1, [(2, 9, 8), (1, 12, 5)]),
    "uneven padding and dilation": (32, 48, (3, 2), ONE, ((0, 2), (3, 1)), (2, 1), 1, [(2, 9, 8)]),
    "groups": (48, 96, (3, 3), ONE, SAME, ONE, 3, [(2, 7, 7), (1, 20, 20)]),
    "depthwise": (32, 32, (3, 3), (2, 2), SAME, ONE, 32, [(2, 9, 8), (1, 5, 5)]),
    "depthwise, two filters a channel": (6, 12, (3, 3), ONE, SAME, ONE, 6, [(2, 9, 8)]),
    "a first layer": (3, 64, (7, 7), (2, 2), ((3, 3), (3, 3)), ONE, 1, [(1, 32, 30), (2, 17, 21)]),
    "LeNet's second": (6, 16, (5, 5), ONE, NONE, ONE, 1, [(3, 9, 9)]),
    "two filters": (6, 2, (5, 5), ONE, NONE, ONE, 1, [(3, 9, 9)]),
}
EPILOGUES = {"plain": (False, False), "residual": (True, False), "relu": (False, True),
             "residual and relu": (True, True)}


def normal(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


class Convolution:
    """A row of CONVOLUTIONS as arrays: the packed one, and what the reference says."""

    def __init__(self, C, F, window, strides, padding, dilation, groups, sizes, with_bias=True):
        self.w, self.b = normal(*window, C // groups, F), normal(F, seed=1) if with_bias else None
        self.geometry, self.padding, self.channels, self.sizes = (strides, padding, dilation, groups), padding, C, sizes
        self.packed = PackedConv2D(self.w, self.b, strides, dilation, groups)

    def exact(self, x):
        """In float64; a depthwise convolution is the one whose groups are the channels."""
        b = None if self.b is None else self.b.astype("float64")
        return reference.conv2d(x.astype("float64"), self.w.astype("float64"), b, *self.geometry)

    def bound(self, x, y):
        strides, _, dilation, groups = self.geometry
        takes_winograd = winograd.tile_size(x.shape, y.shape, strides, dilation, groups, self.w.shape[:2], True)
        return WINOGRAD if takes_winograd else DIRECT


def distance(got, exact):
    return np.linalg.norm(got - exact) / np.linalg.norm(exact)


@pytest.fixture(scope="module", params=CONVOLUTIONS.values(), ids=CONVOLUTIONS.keys())
def convolution(request):
    return Convolution(*request.param)


@pytest.mark.parametrize("epilogue", EPILOGUES.values(), ids=EPILOGUES.keys())
@pytest.mark.parametrize("given", [False, True], ids=["own result", "out given"])
def test_one_object_convolves_images_of_every_size(convolution, epilogue, given):
    with_residual, relu = epilogue
    for number, size in enumerate(convolution.sizes * 2):        # the second time from the layouts that are there
        x = normal(*size, convolution.channels, seed=number)
        exact = convolution.exact(x)
        residual = normal(*exact.shape, seed=10) if with_residual else None
        kept = None if residual is None else residual.copy()
        out = np.full(exact.shape, np.nan, np.float32) if given else None
        y = convolution.packed(x, convolution.padding, residual, relu, out)
        assert y is out or not given
        exact = exact + residual if with_residual else exact
        assert distance(y, np.maximum(exact, 0) if relu else exact) < convolution.bound(x, exact)
        assert kept is None or np.array_equal(residual, kept), "the residual is somebody else's"


@pytest.mark.parametrize("name", ["1x1", "Winograd and direct by the image's size", "depthwise", "two filters"])
def test_without_a_bias(name):
    convolution = Convolution(*CONVOLUTIONS[name], with_bias=False)
    x = normal(*convolution.sizes[0], convolution.channels)
    y = convolution.packed(x, convolution.padding)
    assert distance(y, convolution.exact(x)) < convolution.bound(x, y)


def test_the_cases_take_every_way():
    """Else one of them is not tested: both sizes of Winograd and none, rows of windows, planes."""
    ways = set()
    for C, F, window, strides, padding, dilation, groups, sizes in CONVOLUTIONS.values():
        w_shape = (*window, C // groups, F)
        if groups == C:
            ways.add("depthwise")
        elif conv.suits_planes(w_shape, C, dilation, groups):
            ways.add("planes")
        elif conv.is_merged(w_shape, C, dilation, groups):
            ways.add("merged")
        else:
            for N, H, W in sizes:
                y_shape = reference.conv2d(np.zeros((N, H, W, C)), np.zeros(w_shape), None, strides, padding, dilation,
                                           groups).shape
                ways.add(winograd.tile_size((N, H, W, C), y_shape, strides, dilation, groups, window, True))
    assert ways == {0, 2, 4, "merged", "planes", "depthwise"}


@pytest.mark.parametrize("relu", [False, True])
def test_no_images_give_no_images(convolution, relu):
    _, H, W = convolution.sizes[0]
    x = np.empty((0, H, W, convolution.channels), np.float32)
    shape = convolution.exact(np.zeros((1, H, W, convolution.channels), np.float32)).shape
    assert convolution.packed(x, convolution.padding, relu=relu).shape == (0, *shape[1:])


def test_nan_passes_the_relu(convolution):
    x = normal(*convolution.sizes[0], convolution.channels)
    x[0, 1, 1] = np.nan
    exact = convolution.exact(x)
    y = convolution.packed(x, convolution.padding, relu=True)
    assert np.isnan(exact).any() and np.isnan(y[np.isnan(exact)]).all()
    residual = np.zeros(exact.shape, np.float32)
    residual[-1, -1, -1, -1] = np.nan
    y = convolution.packed(np.zeros_like(x), convolution.padding, residual, True)
    assert np.argwhere(np.isnan(y)).tolist() == [[size - 1 for size in exact.shape]]


def together(call, count=4):
    """What `call` gives in each of several Python threads that begin at once."""
    with ThreadPoolExecutor(count) as pool:
        return [future.result() for future in [pool.submit(call) for _ in range(count)]]


@pytest.mark.parametrize("size", [0, -1])
def test_python_threads_at_once_get_the_same_bits(convolution, size):
    x = normal(*convolution.sizes[size], convolution.channels)
    expected = convolution.packed(x, convolution.padding, relu=True)
    convolution.packed.layouts.clear()           # the threads lay the weights out anew, at the same time
    for result in together(lambda: [convolution.packed(x, convolution.padding, relu=True) for _ in range(5)]):
        assert all(np.array_equal(y, expected) for y in result)


DENSE = {"whole panels": (512, 128), "one broken panel": (300, 10), "a sum of several chunks": (1200, 100),
         "one number": (1, 1)}


@pytest.mark.parametrize("relu", [False, True], ids=["plain", "relu"])
@pytest.mark.parametrize("N", [1, 5, 7, 8, 64])
@pytest.mark.parametrize("shape", DENSE.values(), ids=DENSE.keys())
def test_dense(shape, N, relu):
    w, b, x = normal(*shape), normal(shape[1], seed=1), normal(N, shape[0], seed=2)
    exact = reference.dense(x.astype("float64"), w.astype("float64"), b.astype("float64"))
    exact = np.maximum(exact, 0) if relu else exact
    layer, out = PackedDense(w, b), np.full(exact.shape, np.nan, np.float32)
    assert layer(x, relu, out) is out and np.array_equal(layer(x, relu), out) and np.array_equal(layer.weights(), w)
    np.testing.assert_allclose(out, exact, rtol=2e-6, atol=2e-6 * abs(exact).max())
    without = reference.dense(x.astype("float64"), w.astype("float64"), None)
    np.testing.assert_allclose(PackedDense(w, None)(x), without, rtol=2e-6, atol=2e-6 * abs(without).max())


def test_dense_of_no_images_and_of_nan():
    layer = PackedDense(normal(40, 24), normal(24))
    assert layer(np.empty((0, 40), np.float32), True).shape == (0, 24)
    x = normal(3, 40)
    x[1, 5] = np.nan
    assert np.isnan(layer(x, True)).tolist() == [[row == 1] * 24 for row in range(3)]


def test_dense_in_python_threads_at_once_gives_the_same_bits():
    layer, x = PackedDense(normal(700, 90), None), normal(33, 700)
    expected = layer(x, True)
    for result in together(lambda: [layer(x, True) for _ in range(20)]):
        assert all(np.array_equal(y, expected) for y in result)
