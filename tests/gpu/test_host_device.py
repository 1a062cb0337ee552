"""The stand-in for the GPU notices what it is there to notice: each of these kernels has one mistake."""

import subprocess
import sys
from pathlib import Path

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


def forget():
    launch._declarations.cache_clear()
    launch._checks.cache_clear()


@pytest.fixture
def mirrored(host, tmp_path, monkeypatch):
    """run(backwards, **mistakes) -> y"""
    (tmp_path / "common.cuh").write_text((launch.FOLDER / "common.cuh").read_text("utf-8"), "utf-8")
    monkeypatch.setattr(launch, "FOLDER", tmp_path)
    monkeypatch.setattr(launch, "device", host)

    def run(backwards, y=None, **mistakes):
        forget()
        host.libraries.pop(("kernel", ()), None)
        (tmp_path / "kernel.cu").write_text(KERNEL.format(**{**RIGHT, **mistakes}), "utf-8")
        y, host.backwards = host.empty(x.shape, np.float32) if y is None else y, backwards
        launch.launch("kernel", "mirrored", (2,), (64,), x=x, y=y, n=128)
        return y
    yield run
    host.backwards = False
    forget()
    host.libraries.pop(("kernel", ()), None)


@pytest.mark.parametrize("backwards", [False, True])
def test_a_right_kernel_is_right_in_either_order(mirrored, backwards):
    np.testing.assert_array_equal(mirrored(backwards), EXPECTED)


def test_a_missing_barrier_shows_in_one_order_or_the_other(mirrored):
    assert any(not np.array_equal(mirrored(backwards, barrier=""), EXPECTED) for backwards in (False, True))


def test_shared_memory_that_nobody_wrote_is_nan(mirrored):
    assert np.isnan(mirrored(False, written=63)).sum() == 2              # once in each block


def test_a_result_that_nobody_wrote_is_nan(mirrored):
    assert np.isnan(mirrored(False, guard="if (threadIdx.x != 5)")).sum() == 2


def test_a_read_behind_the_end_gives_nan(mirrored):
    assert np.isnan(mirrored(False, offset=" + 1")).sum() == 1


def test_a_write_behind_the_end_is_found(mirrored, host):
    with pytest.raises(AssertionError, match="kernel.cu: mirrored has written outside of y"):
        mirrored(False, y=host.empty((127,), np.float32))


PARTING = """extern "C" __global__ void parting(float* x) {
    if (threadIdx.x < 5) __syncthreads();
    x[0] = 1;
}
"""
MISALIGNED = """struct alignas(16) Four { float x, y, z, w; };
extern "C" __global__ void four(float* x) { *reinterpret_cast<Four*>(x) = {1, 2, 3, 4}; }
"""
IN_A_PROCESS = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[1:3]
import numpy as np
from scratchnet.kernels.cuda import launch
from host_device import Host
launch.FOLDER = Path(sys.argv[3])
launch.device = Host(launch.FOLDER)
launch.launch("kernel", sys.argv[4], (1,), (32,), x=np.zeros(8, np.float32)[int(sys.argv[5]):])
"""


def in_a_process(folder, source, name, first=0):
    """How a process ends that runs the kernel on an array that begins `first` numbers behind its memory."""
    (folder / "kernel.cu").write_text(source, "utf-8")
    folders = [str(launch.FOLDER.parents[1]), str(Path(__file__).parent), str(folder)]
    command = [sys.executable, "-c", IN_A_PROCESS, *folders, name, str(first)]
    return subprocess.run(command, capture_output=True, text=True)


def test_a_block_that_parts_at_a_barrier_aborts_with_words(host, tmp_path):
    done = in_a_process(tmp_path, PARTING, "parting")
    assert done.returncode != 0 and "a thread ended while others wait at __syncthreads" in done.stderr, done.stderr


def test_sixteen_bytes_at_once_where_they_are_not_aligned_abort_with_words(host, tmp_path):
    assert in_a_process(tmp_path, MISALIGNED, "four", first=4).returncode == 0
    for first in (1, 2, 3):
        done = in_a_process(tmp_path, MISALIGNED, "four", first)
        assert done.returncode != 0 and "what is read or written at once is not aligned" in done.stderr, done.stderr
