"""Convolutions on the tensor cores, in bfloat16 and in TF32, against the reference in float64 of the rounded factors."""

import os
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from engines import BFLOAT16, FLOAT32, agree, normal, run, wide
from host_device import tf32_rounded
from test_cuda_windows import WINDOWS

import scratchnet as sn
from scratchnet.kernels import cuda, reference
from scratchnet.kernels.cuda import conv, conv_tensor, launch

SAME = (1, 1), ((1, 1), (1, 1)), (1, 1)          # strides, padding, dilation
ROUNDED = {"tf32": tf32_rounded, "bf16": lambda array: array.astype(BFLOAT16)}
DTYPES = {"tf32": FLOAT32, "bf16": BFLOAT16}


@pytest.fixture(params=ROUNDED)
def precision(request):
    with sn.use_precision(request.param):
        yield request.param


@pytest.fixture
def launched(monkeypatch):
    """(file, kernel, macros, arguments) of every launch of a convolution."""
    seen = []
    for module in (conv, conv_tensor):
        def record(file, name, grid, block, macros=(), launch=module.launch, **arguments):
            seen.append((file, name, dict(macros), arguments))
            launch(file, name, grid, block, macros, **arguments)
        monkeypatch.setattr(module, "launch", record)
    return seen


def close(engine, precision, got, expected, terms, dtype=None):
    """Products of rounded factors are exact. The host adds them in float32; tensor cores drop some digits while they do."""
    dtype = DTYPES[precision] if dtype is None else dtype
    agree(got, expected, terms * (1 if engine.name == "host" else 100), dtype)


def check(engine, precision, N, sizes, window, geometry, groups, CG, FG, passes=(0, 1, 2)):
    x, w, b = normal(0, N, *sizes, groups * CG), normal(1, *window, CG, groups * FG), normal(2, groups * FG)
    dy = normal(3, *reference.conv2d(x, w, None, *geometry, groups).shape)
    rx, rw, rdy = wide([ROUNDED[precision](array) for array in (x, w, dy)])
    rest = *geometry, groups
    if 0 in passes:
        y, = run(engine, cuda.conv2d, x, w, b, *rest, "relu")
        close(engine, precision, y, reference.conv2d(rx, rw, wide(b), *rest, "relu"), w[..., 0].size)
    if 1 in passes:
        dx, = run(engine, cuda.conv2d_backward_data, dy, w, x.shape, *rest)
        close(engine, precision, dx, reference.conv2d_backward_data(rdy, rw, x.shape, *rest), w[:, :, 0].size)
    if 2 in passes:
        dw, = run(engine, cuda.conv2d_backward_weights, dy, x, w.shape, *rest)
        close(engine, precision, dw, reference.conv2d_backward_weights(rdy, rx, w.shape, *rest), dy[..., 0].size, FLOAT32)


@pytest.mark.parametrize("windows, groups, CG, FG", [
    *((name, 2, 8, 16) for name in WINDOWS), ("same", 1, 24, 40), ("strides and dilation of one factor", 1, 24, 40)])
def test_all_three_passes(engine, precision, launched, windows, groups, CG, FG):
    N, sizes, window, *geometry = WINDOWS[windows]
    check(engine, precision, N, sizes, window, geometry, groups, CG, FG)
    assert {file for file, *_ in launched} == {"conv_tensor"}


@pytest.mark.parametrize("tiles", [(128, 128), (128, 64), (64, 64)], ids=str)
def test_every_tile_has_tails_in_rows_columns_and_k(engine, precision, launched, tiles, monkeypatch):
    monkeypatch.setattr(conv_tensor, "ENOUGH", 1 if tiles[0] == 128 else 100)
    FG = 72 if tiles[1] == 128 else 40
    check(engine, precision, 2, (9, 8), (3, 3), SAME, 1, FG, FG)
    assert {(macros["TILE_M"], macros["TILE_N"]) for _, _, macros, _ in launched if macros} == {tiles}


def test_few_blocks_share_out_k_and_their_sums_are_added_before_the_activation(engine, precision, launched, monkeypatch):
    monkeypatch.setattr(conv_tensor, "LEAST", 1)
    check(engine, precision, 1, (9, 8), (3, 3), SAME, 2, 16, 24)
    forward = [arguments["shares"] for _, name, _, arguments in launched if name == "conv2d_shares"]
    weights = [len(arguments["dw"]) for _, name, _, arguments in launched if name == "conv2d_backward_weights"]
    assert len(forward) == 2 and min(forward) > 2 and len(weights) == 2 and min(weights) > 2


@pytest.mark.parametrize("C", [1, 3, 13])
def test_channels_of_an_image_are_filled_up_with_zeros(engine, precision, launched, C):
    check(engine, precision, 2, (11, 10), (5, 5), ((2, 2), ((2, 1), (2, 1)), (1, 1)), 1, C, 16, passes=(0, 2))
    assert {file for file, *_ in launched} == {"conv_tensor"}


@pytest.mark.parametrize("groups, CG, FG", [(1, 16, 6), (2, 3, 16), (2, 16, 3)])
def test_other_channels_or_filters_are_left_to_the_ordinary_units(engine, precision, launched, groups, CG, FG):
    x, w = normal(0, 2, 5, 4, groups * CG), normal(1, 3, 3, CG, groups * FG)
    y, = run(engine, cuda.conv2d, x, w, None, *SAME, groups)
    factors = (x, w) if precision == "tf32" else (x.astype(BFLOAT16), w.astype(BFLOAT16))
    agree(y, reference.conv2d(*wide(factors), None, *SAME, groups), w[..., 0].size, DTYPES[precision])
    assert {file for file, *_ in launched} == {"conv"}


def test_an_array_that_does_not_begin_at_a_multiple_of_16_bytes_is_left_to_them_too(engine, precision, launched):
    x, w = normal(0, 2 * 5 * 4 * 16 + 1, dtype=DTYPES[precision]), normal(1, 3, 3, 16, 16)
    y, = run(engine, lambda x, w: cuda.conv2d(x[1:].reshape(2, 5, 4, 16), w, None, *SAME, 1), x, w)
    assert {file for file, *_ in launched} == {"conv"} and not np.isnan(y.astype("f4")).any()


def test_bfloat16_images_are_multiplied_as_such_in_any_precision(engine, launched):
    x, w = normal(0, 2, 5, 4, 16, dtype=BFLOAT16), normal(1, 3, 3, 16, 24)
    y, = run(engine, cuda.conv2d, x, w, None, *SAME, 1)
    agree(y, reference.conv2d(*wide([x, w.astype(BFLOAT16)]), None, *SAME, 1), 16 * 9, BFLOAT16)
    assert {file for file, *_ in launched} == {"conv_tensor"}


def test_what_is_nan_or_infinite_stays_so(engine, precision):
    x, w = normal(0, 1, 6, 5, 16), normal(1, 3, 3, 16, 24)
    x[0, 1, 1, 3], x[0, 4, 3, 5] = np.nan, np.inf
    y, = run(engine, cuda.conv2d, x, w, None, *SAME, 1)
    with np.errstate(invalid="ignore"):
        expected = reference.conv2d(x, w, None, *SAME, 1)
    np.testing.assert_array_equal(np.isfinite(y.astype("f4")), np.isfinite(expected))
    np.testing.assert_array_equal(np.isnan(y.astype("f4")), np.isnan(expected))


# What test_cuda_sources.py does not compile: the larger tiles, for how many blocks a multiprocessor has room.
REGISTERS = {("conv_tensor", "sm_90", bf16, tiles): 255 for bf16 in (0, 1) for tiles in ((128, 64), (128, 128))} | {
    ("conv_tensor", "sm_80", 1, (128, 128)): 255, ("conv_tensor", "sm_90", 1, (64, 64)): 102,
    ("conv", "sm_90", 0, (128, 64)): 255, ("conv", "sm_90", 0, (128, 128)): 255}


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")
def test_every_tile_compiles_and_keeps_its_sums_in_registers(tmp_path):
    """Some 20 s of nvcc; side by side."""
    def compiled(case):
        file, architecture, bf16, (rows, columns) = case
        return subprocess.run(["nvcc", "-cubin", f"-arch={architecture}", "-Werror", "all-warnings", "-Xptxas", "-v",
                               f"-DBF16={bf16}", f"-DTILE_M={rows}", f"-DTILE_N={columns}", "-o",
                               str(tmp_path / f"{file}-{architecture}-{bf16}-{rows}-{columns}.cubin"),
                               str(launch.FOLDER / f"{file}.cu")], capture_output=True, text=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for case, done in zip(REGISTERS, pool.map(compiled, REGISTERS)):
            assert done.returncode == 0, f"{case}: {done.stderr}"
            used = [int(number) for number in re.findall(r"Used (\d+) registers", done.stderr)]
            assert len(used) == (5 if case[0] == "conv_tensor" else 3) and max(used) <= REGISTERS[case], (case, used)
            assert done.stderr.count(" 0 bytes stack frame, 0 bytes spill stores") == len(used), f"{case}: {done.stderr}"
