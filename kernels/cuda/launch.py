"""From a kernel's name to its launch: the one place that compiles, and that lets no argument through that does not fit.

The declaration in the .cu file is the truth. `launch("bias", "column_sums", grid, block, x=x, M=70)` finds there that x
is a `const float*` and M an `int`, checks, converts, and puts them in their order: a kernel never reads 8 bytes as an
int, or one array in place of the other. `device` is what runs them: CuPy, or in the tests a stand-in on the host.
"""
import functools
import re
from pathlib import Path

import numpy

FOLDER = Path(__file__).parent
THREADS = 256
PER_THREAD = 4                                   # as in common.cuh
MOST = 2**31 - 2**16                             # elements that an int counts, with room for a last block's overhang
OPTIONS = ("--std=c++17",)
NULL = numpy.int64(0)                            # CuPy would pass None as no argument at all
FLOAT32 = numpy.dtype(numpy.float32)
SCALARS = {"int": numpy.int32, "long long": numpy.int64, "float": numpy.float32}
ELEMENTS = {**SCALARS, "unsigned char": numpy.uint8}
_DECLARATION = re.compile(r'extern "C" __global__ void(?: __launch_bounds__\(\d+\))?\s+(\w+)\(([^)]*)\)')
_PARAMETER = re.compile(r"(const )?(int|long long|float|unsigned char|bf16|real)(\*)? (?:__restrict__ )?(\w+)")


class Cupy:
    """CuPy's current device and stream."""

    words = "a CuPy array"

    def is_array(self, x):
        return type(x).__module__.partition(".")[0] == "cupy"

    def empty(self, shape, dtype):
        return _cupy().empty(shape, dtype)

    def contiguous(self, x):
        # As integers: CuPy has a copy for bfloat16 only where CUDA is new enough for its own kernels of it.
        bits = x if x.dtype == FLOAT32 else x.view(f"u{x.itemsize}")
        return _cupy().ascontiguousarray(bits).view(x.dtype)

    def upload(self, array):
        return _cupy().asarray(array)

    def address(self, x):
        return x.data.ptr

    def product(self, a, b, out, tf32):
        """out = a @ b by cuBLAS, sums in float32. a and b, of one dtype, are each C-contiguous or the transpose of that."""
        from .blas import gemm
        cublas, runtime = _cupy().cuda.cublas, _cupy().cuda.runtime
        (M, K), N = a.shape, b.shape[1]
        if min(M, N, K) == 0:
            out.data.memset_async(0, out.nbytes)
            return
        # cuBLAS goes down columns, so what is outᵀ = bᵀ aᵀ to it is out = a b here: (N, M) = (N, K) @ (K, M).
        kind, kind_of_out = [runtime.CUDA_R_32F if array.dtype == FLOAT32 else runtime.CUDA_R_16BF for array in (a, out)]
        straight = a.flags.c_contiguous, b.flags.c_contiguous
        turn_a, turn_b = (cublas.CUBLAS_OP_N if is_straight else cublas.CUBLAS_OP_T for is_straight in straight)
        gemm(turn_b, turn_a, N, M, K, b.data.ptr, kind, N if straight[1] else K, a.data.ptr, kind, K if straight[0] else M,
             out.data.ptr, kind_of_out, N, cublas.CUBLAS_COMPUTE_32F_FAST_TF32 if tf32 else cublas.CUBLAS_COMPUTE_32F)

    def function(self, file, name, macros):
        """A function (grid, block, arguments) that launches the kernel on the current stream."""
        return _function(file, name, macros)


device = Cupy()


def launch(file, name, grid, block, macros=(), **arguments):
    """Run the kernel `name` of FILE.cu on `grid` blocks of `block` threads, tuples of ints; nothing on a grid of none.

    macros: pairs (name, int) that the file is compiled with, BF16 excepted, which follows from the arrays that the kernel
    declares `real*`. A pointer may be None where the kernel allows it.
    TypeError and ValueError for arguments that its declaration does not take.
    """
    checks = _checks(file, name)
    if arguments.keys() != checks.keys():
        raise TypeError(f"{file}.cu: {name} takes {', '.join(checks)}; got {', '.join(arguments)}")
    grid = (*grid, 1, 1)[:3]
    if not 0 <= grid[0] < 2**31 or not 0 <= max(grid[1:]) < 2**16:
        raise ValueError(f"{file}.cu: {name} needs {grid} blocks, more than a device launches; use a smaller batch")
    values = tuple([check(arguments[parameter]) for parameter, check in checks.items()])
    if _in_bfloat16(file, name, arguments):
        macros = *macros, ("BF16", 1)
    if min(grid) > 0:
        device.function(file, name, tuple(macros))(grid, (*block, 1, 1)[:3], values)


def each(file, name, n, **arguments):
    """Run a kernel that is written FOR_EACH of n elements; it declares `int n`."""
    if n > MOST:
        raise ValueError(f"{name}: an array of {n:,} elements, more than the {MOST:,} that a kernel counts; use a smaller "
                         "batch")
    launch(file, name, (blocks(n, THREADS * PER_THREAD),), (THREADS,), n=n, **arguments)


def blocks(n, size):
    """How many of `size` hold n."""
    return -(-n // size)


def array(operation, name, value, shape=None, dtype=FLOAT32):
    """`value`, C-contiguous, after making sure of its place, its dtype (None is float32 or bfloat16) and its shape, in
    which None is any size."""
    if not device.is_array(value) or not (is_real(value.dtype) if dtype is None else value.dtype == dtype):
        words = "float32 or bfloat16" if dtype is None else numpy.dtype(dtype)
        got = f"{type(value).__module__}.{type(value).__name__} {getattr(value, 'dtype', '')}".strip()
        raise TypeError(f"{operation}: {name} must be {device.words} of {words}, got {got}")
    if shape is not None and (len(shape) != value.ndim or any(
            wanted not in (None, size) for wanted, size in zip(shape, value.shape))):
        raise ValueError(f"{operation}: {name} must have the shape {_shape(shape)}, got {_shape(value.shape)}")
    return value if value.flags.c_contiguous else device.contiguous(value)


def real(operation, name, value, shape=None):
    """The same for an activation, which is float32 or bfloat16."""
    return array(operation, name, value, shape, None)


def in_place(operation, name, value, shape=None):
    """The same for an array that the operation writes into: it must be contiguous."""
    if array(operation, name, value, shape) is not value:
        raise ValueError(f"{operation}: {name} must be contiguous, since it is updated in place")
    return value


@functools.cache
def bfloat16():
    """NumPy's dtype for bfloat16, which ml_dtypes brings: the extras for a GPU install it, and nothing else needs it."""
    try:
        import ml_dtypes
    except ModuleNotFoundError:
        raise RuntimeError("bfloat16 needs the package ml_dtypes; install it, or the extra cuda12 or cuda13") from None
    return numpy.dtype(ml_dtypes.bfloat16)


def is_real(dtype):
    """Whether activations may have it: float32 or bfloat16."""
    return dtype == FLOAT32 or dtype.kind == "V" and dtype == bfloat16()


def empty(shape, dtype=FLOAT32):
    """An uninitialised array on the device."""
    return device.empty(shape, dtype)


def source(file):
    """The text of FILE.cu with the headers of this folder in their places: all that CuPy's cache of kernels looks at."""
    seen = set()

    def text(name):
        if name in seen:
            return ""
        seen.add(name)
        lines = (FOLDER / name).read_text(encoding="utf-8").replace("#pragma once\n", "")
        return re.sub(r'#include "([\w.]+)"\n', lambda include: text(include[1]), lines)
    return text(f"{file}.cu")


@functools.cache
def _declarations(file):
    """{kernel: [(C type, whether a pointer, name)]} of FILE.cu."""
    found = {}
    for name, parameters in _DECLARATION.findall(source(file)):
        found[name] = []
        for parameter in parameters.split(","):
            fits = _PARAMETER.fullmatch(" ".join(parameter.split()))
            if fits is None:
                raise TypeError(f"{file}.cu: {name} declares {parameter.strip()!r}, which launch.py cannot pass")
            found[name].append((fits[2], fits[3] is not None, fits[4]))
    return found


@functools.cache
def _checks(file, name):
    """{parameter: a function that gives what CuPy passes for an argument, or raises}, in their order."""
    return {parameter: (_pointer if is_pointer else _number)(f"{file}.cu: {name}: {parameter}", kind)
            for kind, is_pointer, parameter in _declarations(file)[name]}


@functools.cache
def _reals(file, name):
    """The parameters of a kernel that are declared real*."""
    return [parameter for kind, _, parameter in _declarations(file)[name] if kind == "real"]


def _in_bfloat16(file, name, arguments):
    """Whether the kernel's real* are bfloat16: all of them or none."""
    dtypes = {parameter: arguments[parameter].dtype for parameter in _reals(file, name)
              if arguments[parameter] is not None}
    if len(set(dtypes.values())) > 1:
        given = ", ".join(f"{parameter} {dtype}" for parameter, dtype in dtypes.items())
        raise TypeError(f"{file}.cu: {name} takes arrays of one dtype where it says real*; got {given}")
    return bool(dtypes) and next(iter(dtypes.values())) != FLOAT32


def _pointer(place, kind):
    if kind == "real":
        words, fits = "float32 or bfloat16", is_real
    else:
        words = dtype = bfloat16() if kind == "bf16" else numpy.dtype(ELEMENTS[kind])
        fits = dtype.__eq__

    def check(value):
        if value is None:
            return NULL
        if not device.is_array(value) or not fits(value.dtype) or not value.flags.c_contiguous:
            raise TypeError(f"{place} is a {kind}*, which {device.words}, contiguous, of {words} fits; got "
                            f"{type(value).__name__} {getattr(value, 'dtype', '')}")
        return value
    return check


def _number(place, kind):
    number = SCALARS[kind]
    if kind == "float":
        return number
    least, most = numpy.iinfo(number).min, numpy.iinfo(number).max

    def check(value):
        if not least <= value <= most or value != int(value):
            raise ValueError(f"{place} is of type {kind}, which {value!r} does not fit into; use a smaller batch")
        return number(value)
    return check


@functools.cache
def _function(file, name, macros):
    return _module(file, macros).get_function(name)


@functools.cache
def _module(file, macros):
    options = (*OPTIONS, *(f"-D{name}={value}" for name, value in macros))
    return _cupy().RawModule(code=source(file), options=options)


def _shape(shape):
    return str(tuple("any" if size is None else size for size in shape)).replace("'", "")


def _cupy():
    import cupy
    return cupy
