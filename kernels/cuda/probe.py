"""Is there a GPU that works? Importing CuPy proves nothing, so a kernel is compiled and run, and cuBLAS called."""

import contextlib
import importlib.metadata
import re
import subprocess
from pathlib import Path

N = 256
LOADED_DRIVER = Path("/proc/driver/nvidia/version")
DISTRIBUTIONS = "cupy-cuda12x", "cupy-cuda13x", "cupy"       # each brings the folder cupy


def probe():
    """(True, the device's name), or (False, why not in one line)."""
    found, words = _probe()
    return found, words if found else "; ".join(filter(None, [words, conflict()]))


def conflict():
    """What to do where several of CuPy's distributions are installed, each over the others' files; else None."""
    installed = []
    for name in DISTRIBUTIONS:
        try:
            installed.append(f"{name} {importlib.metadata.version(name)}")
        except importlib.metadata.PackageNotFoundError:
            pass
    if len(installed) > 1:
        return (f"{' and '.join(installed)} are installed over each other; uninstall them all, then install the one "
                "extra that fits the driver, cuda12 or cuda13")
    return None


def tensor_cores():
    """Whether the current device multiplies in TF32 and bfloat16: those of compute capability 8.0 and above do."""
    import cupy
    return int(cupy.cuda.Device().compute_capability) >= 80


def facts():
    """{what: value} about the device that probe() found, its driver, and the versions of CUDA."""
    from cupy.cuda import Device, runtime

    properties = runtime.getDeviceProperties(Device().id)
    return {"gpu memory": f"{properties['totalGlobalMem'] / 2**30:.1f} GiB",
            "gpu multiprocessors": properties["multiProcessorCount"],
            "gpu compute capability": f"{properties['major']}.{properties['minor']}",
            "gpu driver": driver() or "unknown",
            "cuda of the driver": _version(runtime.driverGetVersion()),
            "cuda of cupy": _version(runtime.runtimeGetVersion())}


def driver():
    """The driver's version, "580.159.04", as Linux or else nvidia-smi knows it; None where neither does."""
    words = ""
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        words = LOADED_DRIVER.read_text(encoding="utf-8") if LOADED_DRIVER.exists() else subprocess.run(
            ["nvidia-smi", "--query-gpu=driver_version", "--format=csv,noheader"], capture_output=True, text=True,
            timeout=20, check=True).stdout
    found = re.search(r"\b\d{3,}\.\d+(?:\.\d+)?\b", words)
    return found and found[0]


def _version(number):
    """CUDA's way to write versions: 13020 is 13.2."""
    return f"{number // 1000}.{number % 1000 // 10}"


def _probe():
    try:
        import cupy
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError) and error.name == "cupy"
        return False, ("CuPy is not installed; install the extra cuda12 or cuda13" if missing
                       else f"CuPy does not import: {_line(error)}")
    try:
        if cupy.cuda.runtime.getDeviceCount() == 0:
            return False, "CuPy finds no device"
        source = Path(__file__).with_suffix(".cu").read_text(encoding="utf-8")
        x = cupy.arange(N, dtype=cupy.float32)
        y = cupy.zeros_like(x)
        cupy.RawModule(code=source).get_function("probe")((1,), (N,), (x, y, cupy.int32(N)))
        if y.get().tolist() != [2.0 * i for i in range(N)]:
            return False, "a test kernel gave a wrong result"
        cupy.cuda.device.get_cublas_handle()     # a wheel without the extra ctk has no library for it
        name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"]
        return True, name.decode() if isinstance(name, bytes) else str(name)
    except Exception as error:                    # CuPy raises many kinds; each of them means "not usable"
        return False, _line(error)


def _line(error):
    return f"{type(error).__name__}: {error}".splitlines()[0]
