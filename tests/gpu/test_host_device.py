"""The stand-in for the GPU notices what it is there to notice: each of these kernels has one mistake."""

import subprocess

import numpy as np
import pytest

from scratchnet.kernels.cuda import launch

# Neighbours are exchanged through shared memory; `at` is where a thread writes, `barrier` what stands between the two.
KERNEL = """
#include "common.cuh"
extern "C" __global__ void mirrored(const float* x, float* y, int n) {{
    __shared__ float shared[64];
    if (threadIdx.x < {written}) shared[threadIdx.x] = x[blockIdx.x * 64 + threadIdx.x{offset}];
    {barrier}
    {guard} y[blockIdx.x * 64 + threadIdx.x] = shared[63 - threadIdx.x];
}}
"""
RIGHT = {"written": 64, "offset": "", "barrier": "__syncthreads();", "guard": ""}
x = np.arange(128, dtype=np.float32)
EXPECTED = x.reshape(2, 64)[:, ::-1].reshape(-1)


@pytest.fixture
def mirrored(host, tmp_path, monkeypatch):
    """run(backwards, **mistakes) -> y"""
    (tmp_path / "common.cuh").write_text((launch.FOLDER / "common.cuh").read_text("utf-8"), "utf-8")
    monkeypatch.setattr(launch, "FOLDER", tmp_path)
    monkeypatch.setattr(launch, "device", host)

    def run(backwards, y=None, **mistakes):
        launch._declarations.cache_clear()
        host.libraries.pop(("kernel", ()), None)
        (tmp_path / "kernel.cu").write_text(KERNEL.format(**{**RIGHT, **mistakes}), "utf-8")
        y, host.backwards = host.empty(x.shape, np.float32) if y is None else y, backwards
        launch.launch("kernel", "mirrored", (2,), (64,), x=x, y=y, n=128)
        return y
    yield run
    host.backwards = False
    launch._declarations.cache_clear()
    host.libraries.pop(("kernel", ()), None)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_right_kernel_is_right_in_either_order(mirrored, backwards):
    np.testing.assert_array_equal(mirrored(backwards), EXPECTED)


def test_a_missing_barrier_shows_in_one_order_or_the_other(mirrored):
    assert not np.array_equal(mirrored(False, barrier=""), EXPECTED) or not np.array_equal(mirrored(True, barrier=""), EXPECTED)


def test_shared_memory_that_nobody_wrote_is_nan(mirrored):
    assert np.isnan(mirrored(False, written=63)).sum() == 2              # once in each block


def test_a_result_that_nobody_wrote_is_nan(mirrored):
    assert np.isnan(mirrored(False, guard="if (threadIdx.x != 5)")).sum() == 2


def test_a_read_behind_the_end_gives_nan(mirrored):
    assert np.isnan(mirrored(False, offset=" + 1")).sum() == 1


def test_a_write_behind_the_end_is_found(mirrored, host):
    with pytest.raises(AssertionError, match="kernel.cu: mirrored has written outside of y"):
        mirrored(False, y=host.empty((127,), np.float32))


def test_a_warp_that_parts_before_a_barrier_is_an_error():
    """It aborts, so in a process of its own."""
    code = f"""
import pathlib, sys, tempfile
sys.path[:0] = {[str(launch.FOLDER.parents[1]), str(__import__('pathlib').Path(__file__).parent)]}
import numpy as np
from scratchnet.kernels.cuda import launch
from host_device import Host
folder = pathlib.Path(tempfile.mkdtemp())
launch.FOLDER, launch.device = folder, Host(folder)
(folder / "kernel.cu").write_text('extern "C" __global__ void parting(float* x) {{{{ if (threadIdx.x < 5) __syncthreads(); x[0] = 1; }}}}'.replace("{{{{", "{{").replace("}}}}", "}}"))
launch.launch("kernel", "parting", (1,), (32,), x=np.zeros(1, np.float32))
"""
    import sys
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode != 0 and "a thread ended while others wait at __syncthreads" in done.stderr, done.stderr
