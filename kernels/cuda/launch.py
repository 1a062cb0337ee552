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
DEFAULT, TF32 = 1, 7                             # cupy._core._routines_linalg.COMPUTE_TYPE_…
SCALARS = {"int": numpy.int32, "long long": numpy.int64, "float": numpy.float32}
ELEMENTS = {**SCALARS, "unsigned char": numpy.uint8}
_DECLARATION = re.compile(r'extern "C" __global__ void(?: __launch_bounds__\(\d+\))?\s+(\w+)\(([^)]*)\)')
_PARAMETER = re.compile(r"(const )?(int|long long|float|unsigned char)(\*)? (?:__restrict__ )?(\w+)")


class Cupy:
    """CuPy's current device and stream."""

    words = "a CuPy array"

    def is_array(self, x):
        return type(x).__module__.partition(".")[0] == "cupy"

    def empty(self, shape, dtype):
        return _cupy().empty(shape, dtype)

    def contiguous(self, x):
        return _cupy().ascontiguousarray(x)

    def upload(self, array):
        return _cupy().asarray(array)

    def address(self, x):
        return x.data.ptr

    def product(self, a, b, tf32):
        """a @ b by cuBLAS, which CuPy's setting of this name decides about, and not a variable of the environment."""
        core = _cupy()._core
        before = core.get_compute_type(numpy.float32)
        core.set_compute_type(numpy.float32, TF32 if tf32 else DEFAULT)
        try:
            return a @ b
        finally:
            core.set_compute_type(numpy.float32, before)

    def function(self, file, name, macros):
        """A function (grid, block, arguments) that launches the kernel on the current stream."""
        return _function(file, name, macros)


device = Cupy()


def launch(file, name, grid, block, macros=(), **arguments):
    """Run the kernel `name` of FILE.cu on `grid` blocks of `block` threads, tuples of ints; nothing on a grid of none.

    macros: pairs (name, int) that the file is compiled with. A pointer may be None where the kernel allows it.
    TypeError and ValueError for arguments that its declaration does not take.
    """
    checks = _checks(file, name)
    if arguments.keys() != checks.keys():
        raise TypeError(f"{file}.cu: {name} takes {', '.join(checks)}; got {', '.join(arguments)}")
    grid = (*grid, 1, 1)[:3]
    if not 0 <= grid[0] < 2**31 or not 0 <= max(grid[1:]) < 2**16:
        raise ValueError(f"{file}.cu: {name} needs {grid} blocks, more than a device launches; use a smaller batch")
    values = tuple([check(arguments[parameter]) for parameter, check in checks.items()])
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


def array(operation, name, value, shape=None, dtype=numpy.float32):
    """`value`, C-contiguous, after making sure of its place, its dtype and its shape, in which None is any size."""
    if not device.is_array(value) or value.dtype != dtype:
        got = f"{type(value).__module__}.{type(value).__name__} {getattr(value, 'dtype', '')}".strip()
        raise TypeError(f"{operation}: {name} must be {device.words} of {numpy.dtype(dtype)}, got {got}")
    if shape is not None and (len(shape) != value.ndim or any(
            wanted not in (None, size) for wanted, size in zip(shape, value.shape))):
        raise ValueError(f"{operation}: {name} must have the shape {_shape(shape)}, got {_shape(value.shape)}")
    return value if value.flags.c_contiguous else device.contiguous(value)


def in_place(operation, name, value, shape=None):
    """The same for an array that the operation writes into: it must be contiguous."""
    if array(operation, name, value, shape) is not value:
        raise ValueError(f"{operation}: {name} must be contiguous, since it is updated in place")
    return value


def empty(shape, dtype=numpy.float32):
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


def _pointer(place, kind):
    dtype = numpy.dtype(ELEMENTS[kind])

    def check(value):
        if value is None:
            return NULL
        if not device.is_array(value) or value.dtype != dtype or not value.flags.c_contiguous:
            raise TypeError(f"{place} is a {kind}*, which {device.words}, contiguous, of {dtype} fits; got "
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
