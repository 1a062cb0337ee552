"""A stand-in for the GPU: each .cu compiled for the host with g++, run thread by thread on NumPy arrays.

What launch.py asks of a device. Every array that a kernel is given lies between two margins of NaN: a read past its end
makes a NaN, a write is found. It begins as far from a multiple of 64 as the array does from one of 16: who reads more
at once than is aligned there, aborts. New arrays are NaN until they are written.
"""

import ctypes
import hashlib
import subprocess
from pathlib import Path

import numpy as np

from scratchnet.kernels.cuda import launch

HEADERS = [Path(__file__).with_name(name) for name in ("cuda_on_the_host.h", "tensor_core_on_the_host.h")]
MARGIN = 256                                     # bytes, before and behind
POISON = 0xFF                                    # of every byte: NaN in float32, -1 in int32
# Sums and products are rounded one by one here, fused on a device: what a test allows has to hold for both.
FLAGS = ("-std=c++17", "-O1", "-ffp-contract=off", "-fno-strict-aliasing", "-shared", "-fPIC", "-w",
         "-fsanitize=alignment", "-fsanitize-undefined-trap-on-error",
         "-U_FORTIFY_SOURCE")                    # it forbids longjmp() to another stack


class Host:
    words = "a NumPy array"

    def __init__(self, folder):
        self.folder, self.libraries, self.launches = Path(folder), {}, 0
        self.backwards = False                   # the order in which blocks and threads take their turns

    def is_array(self, x):
        return isinstance(x, np.ndarray)

    def empty(self, shape, dtype):
        array = np.empty(shape, dtype)
        array.reshape(-1).view(np.uint8)[...] = POISON
        return array

    def contiguous(self, x):
        return np.ascontiguousarray(x)

    def upload(self, array):
        return array

    def address(self, x):
        return x.ctypes.data

    def product(self, a, b, out, tf32):
        if a.dtype != np.float32:
            a, b = a.astype(np.float32), b.astype(np.float32)
        out[...] = tf32_rounded(a) @ tf32_rounded(b) if tf32 else a @ b

    def function(self, file, name, macros):
        library = self._library(file, macros)

        def run(grid, block, arguments):
            self.launches += 1
            numbers = (ctypes.c_uint * 6)(*grid, *block)
            guarded = [Guarded(value) if isinstance(value, np.ndarray) else value for value in arguments]
            kinds = [parameter[:2] for parameter in launch._declarations(file)[name]]
            values = [_as_c(value, *kind) for value, kind in zip(guarded, kinds)]
            library[f"run_{name}"](numbers, ctypes.c_int(self.backwards), *values)
            for (_, _, parameter), value in zip(launch._declarations(file)[name], guarded):
                if isinstance(value, Guarded):
                    value.give_back(f"{file}.cu: {name} has written outside of {parameter}")
        return run

    def _library(self, file, macros):
        if (file, macros) not in self.libraries:
            text = "\n".join([f"#define {name} {value}" for name, value in macros]
                             + [header.read_text(encoding="utf-8") for header in HEADERS] + [launch.source(file)]
                             + [_entry(name, parameters) for name, parameters in launch._declarations(file).items()])
            path = self.folder / f"{file}-{hashlib.sha256(text.encode()).hexdigest()[:16]}.so"
            path.with_suffix(".cpp").write_text(text, encoding="utf-8")
            subprocess.run(["g++", *FLAGS, "-o", str(path), str(path.with_suffix(".cpp"))], check=True)
            self.libraries[file, macros] = ctypes.CDLL(str(path))
        return self.libraries[file, macros]


def tf32_rounded(array):
    """To 11 bits of mantissa, ties away from zero."""
    bits = np.ascontiguousarray(array).view(np.uint32)
    return ((bits + 0x1000) & ~np.uint32(0x1FFF)).view(np.float32)


class Guarded:
    """A copy of an array between two margins."""

    def __init__(self, array):
        self.array = array
        self.memory = np.full(array.nbytes + 2 * MARGIN + 80, POISON, np.uint8)
        self.start = MARGIN + -(self.memory.ctypes.data + MARGIN) % 64 + array.ctypes.data % 16
        self.inside = self.memory[self.start:self.start + array.nbytes]
        self.inside[...] = array.reshape(-1).view(np.uint8)

    def give_back(self, words):
        outside = np.concatenate([self.memory[:self.start], self.memory[self.start + self.array.nbytes:]])
        assert (outside == POISON).all(), words
        if not np.array_equal(self.inside, self.array.reshape(-1).view(np.uint8)):
            self.array.reshape(-1).view(np.uint8)[...] = self.inside


def _entry(name, parameters):
    """What ctypes calls: run_NAME(grid and block, backwards, the kernel's parameters)."""
    declared = "".join(f", {kind}{'*' * pointer} {parameter}" for kind, pointer, parameter in parameters)
    passed = ", ".join(parameter for _, _, parameter in parameters)
    return (f'extern "C" void run_{name}(const unsigned* of_, int backwards_{declared}) {{\n'
            f"    host::launch({{of_[0], of_[1], of_[2]}}, {{of_[3], of_[4], of_[5]}}, backwards_, "
            f"[&] {{ {name}({passed}); }});\n}}")


def _as_c(value, kind, is_pointer):
    if is_pointer:
        return ctypes.c_void_p(value.inside.ctypes.data if isinstance(value, Guarded) else None)
    return {"int": ctypes.c_int, "long long": ctypes.c_longlong, "float": ctypes.c_float}[kind](value.item())
