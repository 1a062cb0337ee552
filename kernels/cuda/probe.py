"""Is there a GPU that works? Importing CuPy proves nothing, so a kernel is compiled and run."""

from pathlib import Path

N = 256


def probe():
    """(True, the device's name), or (False, why not in one line)."""
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
        name = cupy.cuda.runtime.getDeviceProperties(cupy.cuda.Device().id)["name"]
        return True, name.decode() if isinstance(name, bytes) else str(name)
    except Exception as error:                    # CuPy raises many kinds; each of them means "not usable"
        return False, _line(error)


def _line(error):
    return f"{type(error).__name__}: {error}".splitlines()[0]
