"""Convolutions, pooling and padding in float32 against the reference in float64, on drawn shapes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scratchnet.kernels import cpu, reference
from scratchnet.kernels.shapes import output_size

EXAMPLES = settings(max_examples=60, deadline=None, derandomize=True)


def agree(got, expected, terms=1):
    """float32 rounds at 6e-8, and the errors of `terms` summed products grow as their square root."""
    assert got.dtype == np.float32 and got.shape == expected.shape
    error, size = np.linalg.norm(got - expected), np.linalg.norm(expected)
    assert error <= 3e-7 * np.sqrt(terms) * size + 1e-30, f"‖error‖ {error:.1e} of {size:.1e}, {terms} terms"


@st.composite
def windows(draw, most_padding=3, dilated=True):
    """(sizes (H, W), window, strides, padding, dilation) of which at least one window fits."""
    window = draw(st.tuples(*[st.integers(1, 4)] * 2))
    strides = draw(st.tuples(*[st.integers(1, 5)] * 2))                  # may exceed the window
    dilation = draw(st.tuples(*[st.integers(1, 3)] * 2)) if dilated else (1, 1)
    padding = draw(st.tuples(*[st.tuples(*[st.integers(0, most_padding)] * 2)] * 2))
    least = [max(1, step * (extent - 1) + 1 - sum(sides)) for extent, step, sides in zip(window, dilation, padding)]
    sizes = tuple(draw(st.integers(low, low + 17)) for low in least)
    return sizes, window, strides, padding, dilation


def normal(rng, *shape):
    return rng.standard_normal(shape, dtype=np.float32)


def outputs(sizes, window, strides, padding, dilation=(1, 1), ceil_mode=False):
    return tuple(output_size(*axis, ceil_mode) for axis in zip(sizes, window, strides, padding, dilation))


@EXAMPLES
@given(windows(), st.integers(1, 4), st.integers(1, 3), st.integers(1, 5), st.integers(1, 5), st.booleans(), st.integers(0, 99))
def test_convolution_and_both_gradients(geometry, N, groups, CG, FG, with_bias, seed):
    sizes, window, strides, padding, dilation = geometry
    rng = np.random.default_rng(seed)
    x, w = normal(rng, N, *sizes, groups * CG), normal(rng, *window, CG, groups * FG)
    b = normal(rng, groups * FG) if with_bias else None
    dy = normal(rng, N, *outputs(*geometry), groups * FG)
    rest, wide = (strides, padding, dilation, groups), [None if a is None else a.astype("f8") for a in (x, w, b, dy)]
    agree(cpu.conv2d(x, w, b, *rest), reference.conv2d(*wide[:3], *rest), w[..., 0].size)
    agree(cpu.conv2d_backward_data(dy, w, x.shape, *rest), reference.conv2d_backward_data(wide[3], wide[1], x.shape, *rest),
          w[:, :, 0].size)
    agree(cpu.conv2d_backward_weights(dy, x, w.shape, *rest),
          reference.conv2d_backward_weights(wide[3], wide[0], w.shape, *rest), dy[..., 0].size)


@pytest.mark.parametrize("N, sizes, C, F, window, padding", [
    (1, (61, 67), 3, 5, (7, 5), ((3, 3), (2, 2))),               # many blocks of rows, and a remainder
    (2, (9, 9), 129, 67, (3, 3), ((1, 1), (1, 1))),              # many channels, none a multiple of a vector
    (1, (11, 130), 2, 64, (3, 3), ((1, 1), (1, 1))),             # several blocks also of dy's rows, and a remainder
    (33, (5, 5), 2, 3, (5, 5), ((0, 0), (0, 0))),                # one output pixel an image
    (1, (1, 200), 1, 1, (1, 9), ((0, 0), (4, 4))),               # a line
    (3, (14, 14), 6, 16, (1, 1), ((0, 0), (0, 0))),
])
def test_convolution_of_sizes_that_need_several_blocks(N, sizes, C, F, window, padding):
    rng = np.random.default_rng(0)
    x, w, b = normal(rng, N, *sizes, C), normal(rng, *window, C, F), normal(rng, F)
    rest = ((1, 1), padding, (1, 1), 1)
    dy = normal(rng, N, *outputs(sizes, window, (1, 1), padding), F)
    wide = [a.astype("f8") for a in (x, w, b, dy)]
    agree(cpu.conv2d(x, w, b, *rest), reference.conv2d(*wide[:3], *rest), w[..., 0].size)
    agree(cpu.conv2d_backward_data(dy, w, x.shape, *rest), reference.conv2d_backward_data(wide[3], wide[1], x.shape, *rest),
          w[:, :, 0].size)
    agree(cpu.conv2d_backward_weights(dy, x, w.shape, *rest),
          reference.conv2d_backward_weights(wide[3], wide[0], w.shape, *rest), dy[..., 0].size)


@EXAMPLES
@given(windows(), st.integers(1, 3), st.integers(1, 9), st.integers(1, 3), st.booleans(), st.integers(0, 99))
def test_depthwise_convolution_and_both_gradients(geometry, N, C, multiplier, with_bias, seed):
    sizes, window, strides, padding, dilation = geometry
    rng = np.random.default_rng(seed)
    x, w = normal(rng, N, *sizes, C), normal(rng, *window, 1, C * multiplier)
    b = normal(rng, C * multiplier) if with_bias else None
    dy = normal(rng, N, *outputs(*geometry), C * multiplier)
    rest, wide = (strides, padding, dilation), [None if a is None else a.astype("f8") for a in (x, w, b, dy)]
    agree(cpu.depthwise_conv2d(x, w, b, *rest), reference.depthwise_conv2d(*wide[:3], *rest), 16)
    agree(cpu.depthwise_conv2d_backward_data(dy, w, x.shape, *rest),
          reference.depthwise_conv2d_backward_data(wide[3], wide[1], x.shape, *rest), 16 * multiplier)
    agree(cpu.depthwise_conv2d_backward_weights(dy, x, w.shape, *rest),
          reference.depthwise_conv2d_backward_weights(wide[3], wide[0], w.shape, *rest), dy[..., 0].size)


@EXAMPLES
@given(windows(), st.integers(1, 3), st.sampled_from([1, 2, 6, 23, 24, 35]), st.booleans(),
       st.sampled_from(["distinct", "ties", "nan", "-inf"]),
       st.integers(0, 99))
def test_max_pooling_and_its_gradient(geometry, N, C, ceil_mode, values, seed):
    sizes, window, strides, padding, dilation = geometry
    rng = np.random.default_rng(seed)
    x = normal(rng, N, *sizes, C)
    if values == "ties":
        x = np.round(x)
    elif values != "distinct":
        x[rng.random(x.shape) < 0.2] = float(values)
    rest = (window, strides, padding, dilation, ceil_mode)
    y, winners = cpu.max_pool2d(x, *rest)
    expected, expected_winners = reference.max_pool2d(x, *rest)
    np.testing.assert_array_equal(y, expected)                            # choosing rounds nothing
    np.testing.assert_array_equal(winners, expected_winners)
    assert winners.dtype == np.int32
    dy = normal(rng, *y.shape)
    agree(cpu.max_pool2d_backward(dy, winners, x.shape, *rest[:4]),
          reference.max_pool2d_backward(dy.astype("f8"), winners, x.shape, *rest[:4]), 16)


@EXAMPLES
@given(st.tuples(*[st.integers(1, 4)] * 2), st.tuples(*[st.integers(1, 30)] * 2), st.integers(1, 3),
       st.sampled_from([1, 3, 6, 8, 9, 16, 21]), st.integers(0, 99))
def test_average_pooling_side_by_side_and_its_gradient(window, more, N, C, seed):
    sizes = [size + extra - 1 for size, extra in zip(window, more)]
    rng, rest = np.random.default_rng(seed), (window, window, ((0, 0), (0, 0)), False, False)
    x = normal(rng, N, *sizes, C)
    y = cpu.avg_pool2d(x, *rest)
    agree(y, reference.avg_pool2d(x.astype("f8"), *rest), 16)
    dy = normal(rng, *y.shape)
    agree(cpu.avg_pool2d_backward(dy, x.shape, *rest), reference.avg_pool2d_backward(dy.astype("f8"), x.shape, *rest))


@EXAMPLES
@given(windows(dilated=False), st.integers(1, 3), st.integers(1, 9), st.booleans(), st.booleans(), st.integers(0, 99))
def test_average_pooling_and_its_gradient(geometry, N, C, ceil_mode, count_include_pad, seed):
    sizes, window, strides, padding, _ = geometry
    rng = np.random.default_rng(seed)
    x = normal(rng, N, *sizes, C)
    rest = (window, strides, padding, ceil_mode, count_include_pad)
    agree(cpu.avg_pool2d(x, *rest), reference.avg_pool2d(x.astype("f8"), *rest), 16)
    dy = normal(rng, N, *outputs(*geometry, ceil_mode), C)
    agree(cpu.avg_pool2d_backward(dy, x.shape, *rest), reference.avg_pool2d_backward(dy.astype("f8"), x.shape, *rest), 16)


@EXAMPLES
@given(st.integers(1, 3), st.tuples(*[st.integers(1, 17)] * 2), st.integers(1, 9), st.tuples(*[st.integers(1, 19)] * 2),
       st.integers(0, 99))
def test_adaptive_and_global_average_pooling_and_their_gradients(N, sizes, C, bins, seed):
    rng = np.random.default_rng(seed)
    x, dy, flat = normal(rng, N, *sizes, C), normal(rng, N, *bins, C), normal(rng, N, C)
    agree(cpu.adaptive_avg_pool2d(x, bins), reference.adaptive_avg_pool2d(x.astype("f8"), bins), x[0, ..., 0].size)
    agree(cpu.adaptive_avg_pool2d_backward(dy, x.shape),
          reference.adaptive_avg_pool2d_backward(dy.astype("f8"), x.shape), dy[0, ..., 0].size)
    agree(cpu.global_avg_pool2d(x), reference.global_avg_pool2d(x.astype("f8")), x[0, ..., 0].size)
    agree(cpu.global_avg_pool2d_backward(flat, x.shape), reference.global_avg_pool2d_backward(flat.astype("f8"), x.shape))


@EXAMPLES
@given(st.integers(1, 3), st.tuples(*[st.integers(4, 9)] * 2), st.integers(1, 9),
       st.tuples(*[st.tuples(*[st.integers(0, 3)] * 2)] * 2), st.sampled_from(["zeros", "reflect", "replicate", "circular"]),
       st.integers(0, 99))
def test_padding_and_its_gradient(N, sizes, C, padding, mode, seed):
    rng = np.random.default_rng(seed)
    x = normal(rng, N, *sizes, C)
    y = cpu.pad2d(x, padding, mode)
    np.testing.assert_array_equal(y, reference.pad2d(x, padding, mode))
    dy = normal(rng, *y.shape)
    agree(cpu.pad2d_backward(dy, padding, mode), reference.pad2d_backward(dy.astype("f8"), padding, mode), 16)


def test_an_empty_batch_gives_empty_outputs_and_no_gradient():
    x, w = np.zeros((0, 6, 6, 3), np.float32), np.ones((3, 3, 3, 4), np.float32)
    rest = ((1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    y = cpu.conv2d(x, w, None, *rest)
    assert y.shape == (0, 4, 4, 4)
    assert not cpu.conv2d_backward_weights(y, x, w.shape, *rest).any()
    assert cpu.conv2d_backward_data(y, w, x.shape, *rest).shape == x.shape
    assert cpu.max_pool2d(x, (2, 2), (2, 2), ((0, 0), (0, 0)), (1, 1), False)[0].shape == (0, 3, 3, 3)
    assert cpu.avg_pool2d(x, (2, 2), (2, 2), ((0, 0), (0, 0)), False, False).shape == (0, 3, 3, 3)
