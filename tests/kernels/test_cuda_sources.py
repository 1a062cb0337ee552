"""Without a GPU: every .cu compiles, and the probe says why there is no device."""

import os
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from scratchnet.kernels.cuda import probe

SOURCES = sorted(Path(probe.__file__).parent.glob("*.cu"))
needs_nvcc = pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not installed")


def compiled(source, folder, *kinds):
    """What nvcc says of `source` with each of `kinds` of options, as many side by side as there are processors."""
    def run(kind):
        return subprocess.run(["nvcc", "-cubin", "-Werror", "all-warnings", *kind, "-o",
                               str(folder / ("".join(kind) + ".cubin")), str(source)], capture_output=True, text=True)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done in pool.map(run, kinds):
            assert done.returncode == 0, f"{done.args}: {done.stderr}"
            yield done.stderr


@needs_nvcc
@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.name)
def test_every_cuda_source_compiles(source, tmp_path):
    """For each meaning of `real`, where its kernels take arrays of them."""
    meanings = range(1 + ("real*" in source.read_text("utf-8")))
    kinds = [(f"-arch={architecture}", f"-DBF16={bf16}") for architecture in ("sm_80", "sm_90", "sm_90a") for bf16 in meanings]
    assert len(list(compiled(source, tmp_path, *kinds))) == len(kinds)


@needs_nvcc
def test_batch_norm_of_several_columns_a_thread_compiles_and_keeps_its_sums_in_registers(tmp_path):
    source = Path(probe.__file__).with_name("batch_norm.cu")
    kinds = [("-arch=sm_90", "-Xptxas=-v", f"-DBF16={bf16}", f"-DWIDTH={width}") for bf16, width in ((0, 2), (1, 2), (1, 4))]
    for kind, said in zip(kinds, compiled(source, tmp_path, *kinds)):
        assert said.count(" 0 bytes stack frame, 0 bytes spill stores") == 5, f"{kind}: {said}"


def test_there_is_a_cuda_source():
    assert "probe.cu" in [source.name for source in SOURCES]


class FakeCupy:
    """Just enough of CuPy for the probe; `result` is what its kernel leaves in y."""

    class cuda:
        class runtime:
            count = 1
            getDeviceCount = classmethod(lambda cls: cls.count)
            getDeviceProperties = staticmethod(lambda device: {"name": b"Fake GPU", "totalGlobalMem": 3 << 29, "major": 9,
                                                               "minor": 0, "multiProcessorCount": 132})
            driverGetVersion = staticmethod(lambda: 13020)
            runtimeGetVersion = staticmethod(lambda: 12090)

        class Device:
            id = 0


@pytest.mark.parametrize("error, words", [
    (ModuleNotFoundError("No module named 'cupy'", name="cupy"), "CuPy is not installed; install the extra"),
    (ImportError("libnvrtc.so: cannot open"), "CuPy does not import: ImportError: libnvrtc.so"),
])
def test_the_probe_says_why_cupy_cannot_be_used(monkeypatch, error, words):
    import builtins
    real = builtins.__import__

    def failing(name, *arguments, **keywords):
        if name == "cupy":
            raise error
        return real(name, *arguments, **keywords)
    monkeypatch.setattr(builtins, "__import__", failing)
    found, reason = probe.probe()
    assert not found and words in reason


def test_the_probe_survives_a_driver_that_fails(monkeypatch):
    class Broken(FakeCupy):
        class cuda(FakeCupy.cuda):
            class runtime:
                @staticmethod
                def getDeviceCount():
                    raise RuntimeError("cudaErrorInsufficientDriver: driver too old\nmore lines")

    monkeypatch.setitem(__import__("sys").modules, "cupy", Broken)
    assert probe.probe() == (False, "RuntimeError: cudaErrorInsufficientDriver: driver too old")


def test_no_device_is_no_gpu(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "cupy", FakeCupy)
    monkeypatch.setattr(FakeCupy.cuda.runtime, "count", 0)
    assert probe.probe() == (False, "CuPy finds no device")


def test_facts_about_the_device(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "cupy", FakeCupy)
    monkeypatch.setitem(__import__("sys").modules, "cupy.cuda", FakeCupy.cuda)
    monkeypatch.setattr(probe, "LOADED_DRIVER", tmp_path / "version")
    (tmp_path / "version").write_text("NVRM version: NVIDIA UNIX x86_64 Kernel Module  580.159.04  Fri Oct 10 2025\n")
    assert probe.facts() == {"gpu memory": "1.5 GiB", "gpu multiprocessors": 132, "gpu compute capability": "9.0",
                             "gpu driver": "580.159.04", "cuda of the driver": "13.2", "cuda of cupy": "12.9"}


def test_a_driver_that_linux_does_not_tell_is_asked_for_and_may_be_unknown(monkeypatch, tmp_path):
    monkeypatch.setattr(probe, "LOADED_DRIVER", tmp_path / "none")
    monkeypatch.setenv("PATH", str(tmp_path))
    assert probe.driver() is None
    (tmp_path / "nvidia-smi").write_text("#!/bin/sh\necho 580.1\n")
    (tmp_path / "nvidia-smi").chmod(0o755)
    assert probe.driver() == "580.1"


def test_two_cupys_over_each_other_are_named_with_what_to_do(monkeypatch):
    import importlib.metadata

    def version(name):
        if name == "cupy":
            raise importlib.metadata.PackageNotFoundError(name)
        return "14.2.0"
    monkeypatch.setattr(importlib.metadata, "version", version)
    monkeypatch.setitem(__import__("sys").modules, "cupy", FakeCupy)
    monkeypatch.setattr(FakeCupy.cuda.runtime, "count", 0)
    assert probe.probe() == (False, "CuPy finds no device; cupy-cuda12x 14.2.0 and cupy-cuda13x 14.2.0 are installed over "
                                    "each other; uninstall them all, then install the one extra that fits the driver, "
                                    "cuda12 or cuda13")
    monkeypatch.setattr(importlib.metadata, "version", lambda name: version("cupy"))
    assert probe.conflict() is None
