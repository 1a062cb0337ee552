"""Convolutions and pools against their definitions, written as loops over single pixels."""
import itertools

import numpy as np
import pytest

from scratchnet.kernels import reference as ref
from scratchnet.kernels.shapes import output_size

CASES = range(25)
TOLERANCE = dict(rtol=1e-12, atol=1e-12)          # float64: only the order of the sums differs


def draw(seed, dilated=True):
    """A small drawn geometry, often odd: stride above the window, more padding than image, one pixel."""
    rng = np.random.default_rng(seed)
    while True:
        window, strides, size = (tuple(rng.integers(1, high, 2).tolist()) for high in (4, 6, 8))
        dilation = tuple(rng.integers(1, 4, 2).tolist()) if dilated else (1, 1)
        padding = tuple(map(tuple, rng.integers(0, 4, (2, 2)).tolist()))
        ceil_mode = bool(rng.integers(2))
        geometry = zip(size, window, strides, padding, dilation)
        if all(output_size(*axis) > 0 for axis in geometry):
            return rng, size, window, strides, padding, dilation, ceil_mode


def window_pixels(size, window, strides, padding, dilation, oh, ow):
    """(kh, kw, ih, iw) for each element of window (oh, ow) that lies inside the image."""
    for kh, kw in itertools.product(range(window[0]), range(window[1])):
        ih = oh * strides[0] + kh * dilation[0] - padding[0][0]
        iw = ow * strides[1] + kw * dilation[1] - padding[1][0]
        if 0 <= ih < size[0] and 0 <= iw < size[1]:
            yield kh, kw, ih, iw


def output_shape(size, window, strides, padding, dilation, ceil_mode=False):
    return tuple(output_size(*axis, ceil_mode) for axis in zip(size, window, strides, padding, dilation))


def test_output_size_counts_the_windows_that_fit():
    for size, window, stride, before, after, dilation in itertools.product(
            range(1, 7), range(1, 4), range(1, 5), range(3), range(3), range(1, 4)):
        length, extent = before + size + after, (window - 1) * dilation + 1
        fits = [start for start in range(0, length, stride) if start + extent <= length]
        assert output_size(size, window, stride, (before, after), dilation) == len(fits)


def test_ceil_mode_adds_one_window_that_starts_inside_the_input_or_the_leading_padding():
    for size, window, stride, before, after in itertools.product(
            range(1, 8), range(1, 5), range(1, 6), range(3), range(3)):
        length = before + size + after
        starts = [start for start in range(0, length, stride) if start + window <= length]
        if not starts:
            continue
        if starts[-1] + window < length:                 # pixels are left over
            starts.append(starts[-1] + stride)
        if starts[-1] >= before + size:                  # PyTorch drops such a last window, added or not
            starts.pop()
        assert output_size(size, window, stride, (before, after), ceil_mode=True) == len(starts)


@pytest.mark.parametrize("seed", CASES)
def test_conv_is_its_definition(seed):
    rng, size, window, strides, padding, dilation, _ = draw(seed)
    groups = int(rng.integers(1, 4))
    CG, FG, N = (int(n) for n in rng.integers(1, 3, 3))
    x = rng.standard_normal((N, *size, groups * CG))
    w = rng.standard_normal((*window, CG, groups * FG))
    b = rng.standard_normal(groups * FG)
    expected = np.zeros((N, *output_shape(size, window, strides, padding, dilation), groups * FG))
    for n, oh, ow, f in np.ndindex(expected.shape):
        expected[n, oh, ow, f] = b[f]
        for kh, kw, ih, iw in window_pixels(size, window, strides, padding, dilation, oh, ow):
            for c in range(CG):
                expected[n, oh, ow, f] += x[n, ih, iw, f // FG * CG + c] * w[kh, kw, c, f]
    y = ref.conv2d(x, w, b, strides, padding, dilation, groups)
    np.testing.assert_allclose(y, expected, **TOLERANCE)
    no_bias = ref.conv2d(x, w, None, strides, padding, dilation, groups)
    np.testing.assert_allclose(no_bias, expected - b, **TOLERANCE)


@pytest.mark.parametrize("seed", CASES)
def test_depthwise_conv_is_its_definition(seed):
    rng, size, window, strides, padding, dilation, _ = draw(seed)
    N, C, m = (int(n) for n in rng.integers(1, 4, 3))
    x = rng.standard_normal((N, *size, C))
    w = rng.standard_normal((*window, 1, C * m))
    b = rng.standard_normal(C * m)
    expected = np.zeros((N, *output_shape(size, window, strides, padding, dilation), C * m))
    for n, oh, ow, f in np.ndindex(expected.shape):
        expected[n, oh, ow, f] = b[f]
        for kh, kw, ih, iw in window_pixels(size, window, strides, padding, dilation, oh, ow):
            expected[n, oh, ow, f] += x[n, ih, iw, f // m] * w[kh, kw, 0, f]
    y = ref.depthwise_conv2d(x, w, b, strides, padding, dilation)
    np.testing.assert_allclose(y, expected, **TOLERANCE)


@pytest.mark.parametrize("seed", CASES)
def test_max_pool_is_its_definition(seed):
    rng, size, window, strides, padding, dilation, ceil_mode = draw(seed)
    x = rng.integers(-3, 3, (2, *size, 2)).astype("float64")         # few values, so that maxima tie
    OH, OW = output_shape(size, window, strides, padding, dilation, ceil_mode)
    dy = rng.standard_normal((2, OH, OW, 2))
    expected = np.full((2, OH, OW, 2), -np.inf)
    expected_winners = np.full((2, OH, OW, 2), -1)
    expected_dx = np.zeros(x.shape)
    for n, oh, ow, c in np.ndindex(expected.shape):
        window_oh_ow = window_pixels(size, window, strides, padding, dilation, oh, ow)
        pixels = [(ih, iw) for _, _, ih, iw in window_oh_ow]
        if pixels:
            ih, iw = max(pixels, key=lambda pixel: x[n, pixel[0], pixel[1], c])      # the first of equals
            expected[n, oh, ow, c] = x[n, ih, iw, c]
            expected_winners[n, oh, ow, c] = ih * size[1] + iw
            expected_dx[n, ih, iw, c] += dy[n, oh, ow, c]
    y, winners = ref.max_pool2d(x, window, strides, padding, dilation, ceil_mode)
    np.testing.assert_array_equal(y, expected)
    np.testing.assert_array_equal(winners, expected_winners)
    assert winners.dtype == np.int32
    np.testing.assert_allclose(ref.max_pool2d_backward(dy, winners, x.shape, window, strides, padding, dilation), expected_dx,
                               **TOLERANCE)


def test_padding_never_wins_a_max_pool():
    for value in (-1.0, -np.inf):
        x = np.full((1, 2, 2, 1), value, "float32")
        y, winners = ref.max_pool2d(x, (2, 2), (1, 1), ((1, 1), (1, 1)), (1, 1), False)
        assert (y == value).all()
        np.testing.assert_array_equal(winners[0, :, :, 0], [[0, 0, 1], [0, 0, 1], [2, 2, 3]])


def test_nan_wins_a_max_pool():
    x = np.array([1, np.nan, 3, np.inf], "float32").reshape(1, 2, 2, 1)
    y, winners = ref.max_pool2d(x, (2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), False)
    assert np.isnan(y).all() and winners.item() == 1


def test_a_max_pool_window_of_only_padding_is_minus_infinity_and_has_no_gradient():
    x = np.ones((1, 1, 1, 2))
    geometry = (1, 1), (2, 2), ((2, 0), (2, 0)), (1, 1)
    y, winners = ref.max_pool2d(x, *geometry, False)
    np.testing.assert_array_equal(y[0, :, :, 0], [[-np.inf, -np.inf], [-np.inf, 1]])
    np.testing.assert_array_equal(winners[0, :, :, 1], [[-1, -1], [-1, 0]])
    np.testing.assert_array_equal(ref.max_pool2d_backward(np.full(y.shape, 7.0), winners, x.shape, *geometry), 7 * x)


@pytest.mark.parametrize("count_include_pad", [False, True])
@pytest.mark.parametrize("seed", CASES)
def test_avg_pool_is_its_definition(seed, count_include_pad):
    rng, size, window, strides, padding, _, ceil_mode = draw(seed, dilated=False)
    x = rng.standard_normal((2, *size, 3))
    OH, OW = output_shape(size, window, strides, padding, (1, 1), ceil_mode)
    expected = np.zeros((2, OH, OW, 3))
    for oh, ow in np.ndindex(OH, OW):
        pixels = [(ih, iw) for _, _, ih, iw in window_pixels(size, window, strides, padding, (1, 1), oh, ow)]
        count = len(pixels)
        if count_include_pad:                      # the same windows over an image as large as the padding
            padded = tuple(before + n + after for n, (before, after) in zip(size, padding))
            count = len(list(window_pixels(padded, window, strides, ((0, 0), (0, 0)), (1, 1), oh, ow)))
        for ih, iw in pixels:
            expected[:, oh, ow] += x[:, ih, iw] / count
    y = ref.avg_pool2d(x, window, strides, padding, ceil_mode, count_include_pad)
    np.testing.assert_allclose(y, expected, **TOLERANCE)


def test_the_overhang_of_ceil_mode_is_never_counted():
    x = np.ones((1, 5, 5, 1))
    for count_include_pad in (False, True):
        y = ref.avg_pool2d(x, (2, 2), (2, 2), ((0, 0), (0, 0)), True, count_include_pad)
        np.testing.assert_array_equal(y, np.ones((1, 3, 3, 1)))


@pytest.mark.parametrize("size, output", [((7, 5), (3, 4)), ((2, 3), (5, 7)), ((6, 6), (2, 3)),
                                          ((1, 1), (1, 1))])
def test_adaptive_avg_pool_averages_its_bins(size, output):
    x = np.random.default_rng(0).standard_normal((2, *size, 3))
    y = ref.adaptive_avg_pool2d(x, output)
    for oh, ow in np.ndindex(output):
        # Pixel i belongs to bin o if the intervals [i, i + 1) and [o·size/output, (o + 1)·size/output) meet.
        rows, columns = ([i for i in range(n) if i * bins < (o + 1) * n and (i + 1) * bins > o * n]
                         for n, bins, o in zip(size, output, (oh, ow)))
        expected = np.mean([x[:, ih, iw] for ih in rows for iw in columns], axis=0)
        np.testing.assert_allclose(y[:, oh, ow], expected, **TOLERANCE)


def test_global_avg_pool_averages_the_image():
    x = np.random.default_rng(0).standard_normal((3, 4, 5, 2))
    expected = sum(x[:, h, w] for h, w in np.ndindex(4, 5)) / 20
    np.testing.assert_allclose(ref.global_avg_pool2d(x), expected, **TOLERANCE)


@pytest.mark.parametrize("mode, line", [
    ("zeros", [0, 0, 0, 1, 2, 3, 4, 0, 0]), ("reflect", [4, 3, 2, 1, 2, 3, 4, 3, 2]),
    ("replicate", [1, 1, 1, 1, 2, 3, 4, 4, 4]), ("circular", [2, 3, 4, 1, 2, 3, 4, 1, 2])])
def test_pad_modes_along_either_axis(mode, line):
    x = np.arange(1.0, 5.0)
    for shape, padding in (((1, 4, 1, 1), ((3, 2), (0, 0))), ((1, 1, 4, 1), ((0, 0), (3, 2)))):
        y = ref.pad2d(x.reshape(shape), padding, mode)
        np.testing.assert_array_equal(y.ravel(), line)


def test_an_unknown_pad_mode_is_refused():
    with pytest.raises(ValueError, match="pad2d: mode must be .*'mirror'"):
        ref.pad2d(np.zeros((1, 2, 2, 1)), ((1, 1), (1, 1)), "mirror")
