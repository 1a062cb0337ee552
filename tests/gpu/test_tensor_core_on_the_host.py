"""The stand-in for tensor_core.cuh is as strict as a device may be: each of these kernels but the first has one mistake."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from scratchnet.kernels.cuda import launch

# Each of 64 threads copies 16 bytes and one of them zeros; each reads what a thread of the other warp has copied.
COPIES = """
#include "common.cuh"
#include "tensor_core.cuh"
extern "C" __global__ void copied(const float* x, float* y) {{
    alignas(128) __shared__ float shared[256];
    copy_16_bytes((char*)(shared + threadIdx.x * 4), x + threadIdx.x * 4, threadIdx.x != 7);
    {group}
    {wait}
    {barrier}
    for (int i = 0; i < 4; i++) y[threadIdx.x * 4 + i] = shared[255 - threadIdx.x * 4 - i];
}}
"""
RIGHT = {"group": "end_group();", "wait": "wait_for_groups<0>();", "barrier": "__syncthreads();"}
# A warp reads numbers `apart` from one another.
BANKS = """
#include "common.cuh"
#include "tensor_core.cuh"
extern "C" __global__ void banks(float* y) {
    alignas(128) __shared__ float shared[32 * APART];
    for (int i = threadIdx.x; i < 32 * APART; i += 32) shared[i] = i;
    __syncwarp();
    y[threadIdx.x] = __int_as_float(load_number((const char*)(shared + threadIdx.x * APART)));
}
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
y = np.zeros(32, np.float32)
launch.launch("kernel", "banks", (1,), (32,), (("APART", int(sys.argv[4])),), y=y)
print(*y.astype(int))
"""


def write(folder, kernel):
    (folder / "kernel.cu").write_text(kernel, "utf-8")
    for header in "common.cuh", "tensor_core.cuh":
        (folder / header).write_text((launch.FOLDER / header).read_text("utf-8"), "utf-8")


@pytest.mark.parametrize("mistake, is_right", [
    ({}, True), ({"group": ""}, False), ({"wait": ""}, False), ({"wait": "wait_for_groups<1>();"}, False),
    ({"barrier": ""}, False)], ids=str)
def test_what_is_copied_is_there_after_the_wait_and_for_others_after_a_barrier(host, tmp_path, monkeypatch, mistake, is_right):
    write(tmp_path, COPIES.format(**{**RIGHT, **mistake}))
    monkeypatch.setattr(launch, "FOLDER", tmp_path)
    monkeypatch.setattr(launch, "device", host)
    x, given = np.arange(256, dtype=np.float32), []
    for backwards in (False, True):
        launch._declarations.cache_clear(), launch._checks.cache_clear(), launch._reals.cache_clear()
        host.libraries.pop(("kernel", ()), None)
        y, host.backwards = host.empty(x.shape, np.float32), backwards
        launch.launch("kernel", "copied", (1,), (64,), x=x, y=y)
        given.append(y[::-1])
    host.backwards = False
    expected = np.where(x // 4 == 7, 0, x)
    assert all(np.array_equal(y, expected) for y in given) == is_right
    assert is_right or np.isnan(np.stack(given)).any()


@pytest.mark.parametrize("apart, words", [(1, ""), (2, "what is read at once is in the same banks"), (33, "")])
def test_numbers_of_the_same_bank_are_not_read_at_once(host, tmp_path, apart, words):
    write(tmp_path, BANKS)
    folders = [str(launch.FOLDER.parents[1]), str(Path(__file__).parent), str(tmp_path)]
    done = subprocess.run([sys.executable, "-c", IN_A_PROCESS, *folders, str(apart)], capture_output=True, text=True)
    assert (done.returncode == 0) == (not words) and words in done.stderr, done.stderr
    assert words or done.stdout.split() == [str(i * apart) for i in range(32)]
