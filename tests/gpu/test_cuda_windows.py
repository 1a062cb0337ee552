"""CUDA kernels of convolutions and pools against the reference in float64, on the host and, if there is one, a GPU."""

import numpy as np
import pytest
from engines import BFLOAT16, FLOAT32, agree, normal, run, wide
from host_device import tf32_rounded

import scratchnet as sn
from scratchnet.kernels import cuda, reference
from scratchnet.kernels.cuda import conv

# N, (H, W), window, strides, padding, dilation
WINDOWS = {
    "one pixel": (1, (1, 1), (1, 1), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "LeNet": (2, (12, 11), (5, 5), (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "same": (3, (7, 9), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "strides, padding on one side": (2, (11, 10), (3, 2), (2, 3), ((0, 1), (1, 0)), (1, 1)),
    "strides larger than the window": (1, (13, 12), (2, 2), (3, 4), ((0, 0), (0, 0)), (1, 1)),
    "dilation": (2, (12, 13), (3, 2), (1, 2), ((2, 1), (1, 3)), (2, 3)),
    "strides and dilation of one factor": (2, (14, 13), (3, 2), (2, 4), ((2, 2), (1, 1)), (2, 6)),
    "window larger than the image": (2, (2, 2), (3, 3), (1, 1), ((1, 1), (1, 1)), (1, 1)),
    "a first layer": (1, (20, 19), (7, 7), (2, 2), ((3, 3), (3, 3)), (1, 1)),
}
SAME = (3, 3), ((1, 1), ((1, 1), (1, 1)), (1, 1)), 1             # window, geometry, groups
CHANNELS = {"1 to 6": (1, 1, 6), "3 to 65": (1, 3, 65), "20 to 33": (1, 20, 33), "3 groups of 5 to 7": (3, 5, 7)}


@pytest.fixture(params=WINDOWS.values(), ids=WINDOWS.keys())
def windows(request):
    return request.param


def check_convolution(engine, N, sizes, window, geometry, groups, CG, FG):
    x, w, b = normal(0, N, *sizes, groups * CG), normal(1, *window, CG, groups * FG), normal(2, groups * FG)
    exact = wide([x, w, b])
    y, = run(engine, cuda.conv2d, x, w, b, *geometry, groups)
    agree(y, reference.conv2d(*exact, *geometry, groups), w[..., 0].size)
    y, = run(engine, cuda.conv2d, x, w, None, *geometry, groups, "tanh")
    expected = reference.conv2d(*exact[:2], None, *geometry, groups, "tanh")
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6 * np.sqrt(w[..., 0].size) * 4)
    dy = normal(3, *y.shape)
    dx, = run(engine, cuda.conv2d_backward_data, dy, w, x.shape, *geometry, groups)
    agree(dx, reference.conv2d_backward_data(*wide([dy, w]), x.shape, *geometry, groups), w[:, :, 0].size)
    dw, = run(engine, cuda.conv2d_backward_weights, dy, x, w.shape, *geometry, groups)
    agree(dw, reference.conv2d_backward_weights(*wide([dy, x]), w.shape, *geometry, groups), dy[..., 0].size)
    y = np.tanh(normal(4, *y.shape))
    rest = *geometry, groups, "tanh", (True,) * 3
    expected = reference.conv2d_backward(*wide([dy, y, x]), x.shape, wide(w), *rest)
    for ours, theirs in zip(run(engine, cuda.conv2d_backward, dy, y, x, x.shape, w, *rest), expected):
        agree(ours, theirs, 4 * (dy[..., 0].size + w.size))


@pytest.mark.parametrize("channels", CHANNELS)
def test_convolution_and_both_gradients(engine, windows, channels):
    N, sizes, window, *geometry = windows
    check_convolution(engine, N, sizes, window, geometry, *CHANNELS[channels])


@pytest.mark.parametrize("strides", [(1, 1), (2, 3)])
def test_convolution_of_one_by_one_is_a_product_of_matrices(engine, strides, monkeypatch):
    monkeypatch.setattr(conv, "_launch", None)                         # no kernel of ours
    check_convolution(engine, 2, (7, 8), (1, 1), (strides, ((0, 0), (0, 0)), (1, 1)), 1, 20, 9)


@pytest.mark.parametrize("padding, groups", [(((1, 0), (0, 1)), 1), (((0, 0), (0, 0)), 3)])
def test_convolution_of_one_by_one_with_padding_or_groups(engine, padding, groups):
    check_convolution(engine, 2, (5, 4), (1, 1), ((1, 1), padding, (1, 1)), groups, 6, 5)


@pytest.mark.parametrize("tiles", [(128, 64), (128, 128)], ids=str)
def test_convolution_in_large_tiles(engine, tiles, monkeypatch):
    monkeypatch.setattr(conv, "ENOUGH", 2)                             # blocks: what is small counts as large
    launched, launch = [], conv.launch
    monkeypatch.setattr(conv, "launch", lambda *given, **named: launched.append(dict(given[4])) or launch(*given, **named))
    check_convolution(engine, 2, (9, 8), *SAME, *((66, 70) if tiles[1] == 128 else (20, 33)))
    assert (tiles[0], tiles[1]) in [(macros["TILE_M"], macros["TILE_N"]) for macros in launched]


def test_convolution_gradients_of_the_weights_in_shares(engine, monkeypatch):
    monkeypatch.setattr(conv, "SHARE", 8)                              # 2 x 7 x 9 pixels in 16 shares and a bit
    check_convolution(engine, 2, (7, 9), *SAME[:2], 2, 3, 4)


def close_to_tf32(engine, got, exact, of_rounded, terms):
    """On the host factors are rounded as they must be, and nothing else is: near the reference's result of rounded factors.
    cuBLAS may round them otherwise: near the reference's own, as 11 bits allow."""
    if engine.name == "host":
        agree(got, of_rounded, terms)
    assert 1e-5 < np.linalg.norm(got - exact) / np.linalg.norm(exact) < 1e-3


def test_dense_in_tf32_rounds_its_factors_and_only_inside_the_block(engine):
    x, w = normal(0, 33, 65), normal(1, 65, 129)
    with sn.use_precision("tf32"):
        got, = run(engine, cuda.dense, x, w, None)
        with sn.use_precision("float32"):
            agree(run(engine, cuda.dense, x, w, None)[0], wide(x) @ wide(w), 65)
    close_to_tf32(engine, got, wide(x) @ wide(w), wide(tf32_rounded(x)) @ wide(tf32_rounded(w)), 65)
    agree(run(engine, cuda.dense, x, w, None)[0], wide(x) @ wide(w), 65)
    with pytest.raises(ValueError, match="use_precision: expected one of float32, tf32, bf16, got 'half'"):
        with sn.use_precision("half"):
            pass


# For a multiplier of 1 a thread has 4 channels of float32, 8 of bfloat16, where they are a multiple of that; in
# backward-weights fewer, so that a block has 32 columns.
@pytest.mark.parametrize("C, multiplier, dtype", [(1, 1, FLOAT32), (5, 3, FLOAT32), (40, 1, FLOAT32), (8, 2, BFLOAT16),
                                                  (72, 1, BFLOAT16)], ids=str)
def test_depthwise_convolution_and_both_gradients(engine, windows, C, multiplier, dtype):
    check_depthwise(engine, windows, C, multiplier, dtype)


@pytest.mark.parametrize("C, dtype", [(136, FLOAT32), (264, BFLOAT16)], ids=str)
def test_depthwise_convolution_of_many_channels(engine, C, dtype):
    check_depthwise(engine, WINDOWS["strides, padding on one side"], C, 1, dtype)


def check_depthwise(engine, windows, C, multiplier, dtype):
    N, sizes, window, *geometry = windows
    x, w, b = normal(0, N, *sizes, C, dtype=dtype), normal(1, *window, 1, C * multiplier), normal(2, C * multiplier)
    y, = run(engine, cuda.depthwise_conv2d, x, w, b, *geometry)
    agree(y, reference.depthwise_conv2d(*wide([x, w, b]), *geometry), w[..., 0].size, dtype)
    dy = normal(3, *y.shape, dtype=dtype)
    dx, = run(engine, cuda.depthwise_conv2d_backward_data, dy, w, x.shape, *geometry)
    agree(dx, reference.depthwise_conv2d_backward_data(*wide([dy, w]), x.shape, *geometry), w[..., 0].size * multiplier,
          dtype)
    dw, = run(engine, cuda.depthwise_conv2d_backward_weights, dy, x, w.shape, *geometry)
    agree(dw, reference.depthwise_conv2d_backward_weights(*wide([dy, x]), w.shape, *geometry), dy[..., 0].size)


@pytest.mark.parametrize("ceil_mode", [False, True])
def test_max_pool_and_its_gradient(engine, windows, ceil_mode):
    N, sizes, window, strides, padding, dilation = windows
    x = np.round(2 * normal(0, N, *sizes, 5))                          # many ties
    geometry = window, strides, padding, dilation
    y, winners = run(engine, cuda.max_pool2d, x, *geometry, ceil_mode)
    exact_y, exact_winners = reference.max_pool2d(x, *geometry, ceil_mode)
    np.testing.assert_array_equal(y, exact_y)
    np.testing.assert_array_equal(winners, exact_winners)
    assert winners.dtype == np.int32
    dy = normal(1, *y.shape)
    dx, = run(engine, cuda.max_pool2d_backward, dy, winners, x.shape, *geometry)
    agree(dx, reference.max_pool2d_backward(dy.astype("f8"), winners, x.shape, *geometry), 4)


def test_nan_wins_a_max_pool_and_padding_never_does(engine):
    x = normal(0, 1, 6, 6, 3)
    x[0, 2, 3, 0], x[0, :, :, 1] = np.nan, -np.inf
    geometry = (3, 3), (2, 2), ((1, 1), (1, 1)), (1, 1), False
    for ours, theirs in zip(run(engine, cuda.max_pool2d, x, *geometry), reference.max_pool2d(x, *geometry)):
        np.testing.assert_array_equal(ours, theirs)


UNDILATED = {name: windows for name, windows in WINDOWS.items() if windows[-1] == (1, 1)}


@pytest.mark.parametrize("windows", UNDILATED.values(), ids=UNDILATED)
@pytest.mark.parametrize("count_include_pad", [False, True])
@pytest.mark.parametrize("ceil_mode", [False, True])
def test_average_pool_and_its_gradient(engine, windows, ceil_mode, count_include_pad):
    N, sizes, window, strides, padding, _ = windows
    x, rest = normal(0, N, *sizes, 5), (window, strides, padding, ceil_mode, count_include_pad)
    y, = run(engine, cuda.avg_pool2d, x, *rest)
    agree(y, reference.avg_pool2d(x.astype("f8"), *rest), 4)
    dy = normal(1, *y.shape)
    dx, = run(engine, cuda.avg_pool2d_backward, dy, x.shape, *rest)
    agree(dx, reference.avg_pool2d_backward(dy.astype("f8"), x.shape, *rest), 4)


@pytest.mark.parametrize("output", [(1, 1), (3, 2), (7, 6), (9, 13)])
def test_adaptive_average_pool_and_its_gradient(engine, output):
    x, dy = normal(0, 2, 7, 6, 5), normal(1, 2, *output, 5)
    agree(run(engine, cuda.adaptive_avg_pool2d, x, output)[0], reference.adaptive_avg_pool2d(x.astype("f8"), output), 4)
    agree(run(engine, cuda.adaptive_avg_pool2d_backward, dy, x.shape)[0],
          reference.adaptive_avg_pool2d_backward(dy.astype("f8"), x.shape), 4)


def test_global_average_pool_and_its_gradient(engine):
    x, dy = normal(0, 3, 7, 6, 70), normal(1, 3, 70)
    agree(run(engine, cuda.global_avg_pool2d, x)[0], reference.global_avg_pool2d(x.astype("f8")), 16)
    agree(run(engine, cuda.global_avg_pool2d_backward, dy, x.shape)[0],
          reference.global_avg_pool2d_backward(dy.astype("f8"), x.shape))
