"""Which kernels run: decided here, by the arrays, and nowhere else."""

import contextlib
import importlib
import sys
import threading

import numpy as np


class _Choice(threading.local):
    forced = None                        # the kernels that use_kernels() asks for in this thread


_choice = _Choice()
_loaded = {}
KERNELS = ("reference", "cpu")
PRECISIONS = ("float32", "tf32", "bf16")
RECORDERS = "scratchnet.kernels.cpu.recording", "scratchnet.kernels.cuda.graph"


def ops(x):
    """The kernels for arrays like x: `cpu` for float32 NumPy arrays, `cuda` for float32 and bfloat16 CuPy ones,
    `reference` for everything else."""
    if _choice.forced is not None:
        return _choice.forced
    if x.dtype == np.float32:
        return kernels("cpu" if type(x) is np.ndarray else "cuda" if is_cupy(x) else "reference")
    return kernels("cuda" if is_bfloat16(x.dtype) and is_cupy(x) else "reference")


def kernels(name):
    """The module kernels/NAME. Imported at first use: compiled kernels are not needed to read a shape."""
    if name not in _loaded:
        _loaded[name] = importlib.import_module(f"scratchnet.kernels.{name}")
    return _loaded[name]


def runs_on_cuda(x):
    """Whether operations on arrays like x are CUDA kernels of ours."""
    return ops(x) is _loaded.get("cuda")


def runs_on_cpu(x):
    """Whether operations on arrays like x are compiled kernels of ours for the CPU."""
    return ops(x) is _loaded.get("cpu")


def varying(number):
    """number(), a Python int or float; while a step is recorded, its place in the recording."""
    recorder = _recorder()
    return number() if recorder is None else recorder.varying(number)


def each_time(action):
    """Call action(); while a step is recorded, let it be called for each replay."""
    recorder = _recorder()
    return action() if recorder is None else recorder.each_time(action)


def lasting(array):
    """`array`, which is kept beyond the step. RuntimeError where a step is recorded, whose arrays end with the recording."""
    if _recorder() is not None:
        raise RuntimeError("an array that is to last was made in a step that is recorded")
    return array


def _recorder():
    """The module that this thread records a step with, or None."""
    for name in RECORDERS:
        module = sys.modules.get(name)
        if module is not None and module.recording():
            return module
    return None


@contextlib.contextmanager
def use_kernels(name):
    """Inside it, this thread runs every operation on the kernels NAME: "reference" takes all arrays, "cpu" float32 NumPy
    ones. A backward runs on the kernels in force when it is called."""
    if name not in KERNELS:
        raise ValueError(f"use_kernels: expected one of {', '.join(KERNELS)}, got {name!r}")
    before, _choice.forced = _choice.forced, kernels(name)
    try:
        yield
    finally:
        _choice.forced = before


@contextlib.contextmanager
def use_precision(name):
    """How exactly this thread's convolutions and dense layers compute on a GPU, inside it: "float32", the default; "tf32",
    factors rounded to 11 bits of mantissa for the tensor cores; or "bf16", factors and results in bfloat16, which halves
    the memory and the traffic of all activations. Sums, parameters, their gradients, statistics and losses are float32 in
    all of them. A backward runs in the precision in force when it is called. Nothing changes on the CPU."""
    if name not in PRECISIONS:
        raise ValueError(f"use_precision: expected one of {', '.join(PRECISIONS)}, got {name!r}")
    if name != PRECISIONS[0] and _loaded.get("gpu", (False,))[0]:
        check_precision(name)
    from scratchnet.kernels.cuda.precision import precision
    before, precision.name = precision.name, name
    try:
        yield
    finally:
        precision.name = before


def check_precision(name):
    """RuntimeError where the GPU, which there is, does not compute in this precision."""
    from scratchnet.kernels.cuda.probe import tensor_cores
    if name != PRECISIONS[0] and not tensor_cores():
        raise RuntimeError(f"{name}: expected a GPU of compute capability 8.0 or above, got {gpu()[1]}, which is below; use "
                           f"the precision {PRECISIONS[0]}")


def is_array(x):
    return isinstance(x, np.ndarray) or is_cupy(x)


def is_cupy(x):
    return type(x).__module__.partition(".")[0] == "cupy"


def is_bfloat16(dtype):
    """Whether it is that of ml_dtypes, which activations on a GPU may have."""
    return dtype.kind == "V" and dtype.name == "bfloat16"


def converted(x, dtype):
    """x in `dtype`, where the one is bfloat16 and the other float32; else x."""
    if x.dtype == dtype or not (is_bfloat16(x.dtype) and dtype == np.float32
                                or x.dtype == np.float32 and is_bfloat16(dtype)):
        return x
    from scratchnet.kernels.cuda.cast import cast
    return cast(x, dtype)


def in_float32(x):
    """x, or, where it is bfloat16, the same numbers in float32: what leaves a network."""
    return converted(x, np.dtype(np.float32))


def array_module(x):
    """numpy, or cupy for CuPy arrays."""
    return importlib.import_module("cupy") if is_cupy(x) else np


def array_like(array, values):
    """`values` with the dtype, and on the device, of `array`."""
    return array_module(array).asarray(values, dtype=array.dtype)


def to_host(x, copy=False):
    """x as a NumPy array, of float32 where it is bfloat16."""
    return in_float32(x).get() if is_cupy(x) else np.array(x) if copy else np.asarray(x)


def to_device(model, device):
    """Move the parameters and running statistics of a model to "cpu" or "cuda"; returns the model.

    Parameter objects stay the same, so an optimiser made before goes on. RuntimeError says why there is no GPU.
    """
    if device not in ("cpu", "cuda"):
        raise ValueError(f"to_device: expected 'cpu' or 'cuda', got {device!r}")
    if device == "cpu":
        return model.convert(to_host)
    found, reason = gpu()
    if not found:
        raise RuntimeError(f"to_device: no GPU can be used: {reason}")
    return model.convert(importlib.import_module("cupy").asarray)


def choose_device(wish):
    """("cpu" or "cuda", reason or None) for "auto", "cpu" or "cuda". RuntimeError where "cuda" cannot be had."""
    if wish == "cpu":
        return "cpu", None
    found, words = gpu()
    if found:
        return "cuda", None
    if wish == "cuda":
        raise RuntimeError(f"--device cuda: no GPU can be used: {words}")
    return "cpu", words


def gpu():
    """(True, the device's name) where a kernel compiles and runs on a GPU, else (False, the reason)."""
    if "gpu" not in _loaded:
        from scratchnet.kernels.cuda.probe import probe
        _loaded["gpu"] = probe()
    return _loaded["gpu"]


@contextlib.contextmanager
def memory_in_words(model, batch_size):
    """CuPy's OutOfMemoryError inside it comes out as a RuntimeError that says in which layer, and what to do."""
    try:
        yield
    except MemoryError as error:
        if type(error).__name__ != "OutOfMemoryError":
            raise
        place, frame = model, error.__traceback__
        while frame is not None:                             # the innermost of the layers that were at work
            owner = frame.tb_frame.f_locals.get("self", frame.tb_frame.f_locals.get("layer"))
            place, frame = owner if hasattr(owner, "checked_output_shape") else place, frame.tb_next
        raise RuntimeError(f"{place.label()}: the memory of the GPU does not hold a batch of {batch_size}: {error}; use a "
                           "smaller batch size, or smaller images") from None


def synchronize():
    """Wait for the GPU, if one is in use; on the CPU every call has finished when it returns."""
    if _loaded.get("gpu", (False,))[0]:
        importlib.import_module("cupy").cuda.get_current_stream().synchronize()
