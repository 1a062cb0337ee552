"""The decorators that kernels are made with, and what keeps every kernel to one signature.

One signature, because Numba's cache may give two signatures of one function the same file when several processes
fill it at once. So kernels take `behaved` arrays, Python ints and floats, and tuples of ints: nothing else.
"""
import functools
import pickle
import sys
import threading

import numba
import numpy
from numba.core import event

from . import cache, threads
from .recording import computed, recording

# Sums may be reordered (no reduction vectorises otherwise) and products fused into them; NaN and infinity keep
# their meaning, so neither "nnan" nor "ninf".
OPTIONS = {"fastmath": {"reassoc", "contract", "arcp", "nsz"}, "error_model": "numpy"}
ONLY_FROM_KERNELS = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}      # a quarter less to compile
FLOAT32, INT32, INT64, UINT8 = map(numpy.dtype, ("float32", "int32", "int64", "uint8"))

try:
    _folder, _no_folder = str(cache.open_folder()), None
except (OSError, RuntimeError) as error:         # RuntimeError: there is no home folder
    _folder, _no_folder = None, error
_decorating = threading.Lock()


def helper(function):
    """A function that only kernels call: it has no way in from Python, where calling it would crash."""
    return numba.njit(**OPTIONS, **ONLY_FROM_KERNELS)(function)


def exact_helper(function):
    """A helper whose sums keep their order, where rounding errors are meant to cancel."""
    return numba.njit(**{**OPTIONS, **ONLY_FROM_KERNELS, "fastmath": {"contract"}})(function)


class Kernel:
    """A parallel function over `prange`, compiled or loaded from the cache at its first call; returns nothing.

    light: it looks once or twice at each element of its first argument, so that few of them are work for one thread.
    """

    def __init__(self, function, light=False):
        functools.update_wrapper(self, function)
        self.dispatcher = _parallel(function, _folder)
        self._has_run, self._light = False, light
        self._first = threading.RLock()          # reentrant: a signal's handler may call the kernel in there

    def __call__(self, *arguments):
        # As many threads in the first call as in all others: else the bits of a resumed run's first step would differ.
        elements = arguments[0].size if self._light else None
        if self._has_run:
            threads.run(self.dispatcher, arguments, elements)
        else:
            self._first_call(arguments, elements)
        recorded = recording()
        if recorded is not None:
            recorded.launch(threads.run, self.dispatcher, arguments, elements)

    def _first_call(self, arguments, elements):
        with self._first:                        # who came second would find compilation disabled in the middle of its own
            if not self._has_run:
                try:
                    threads.run(self.dispatcher, arguments, elements)
                except (OSError, EOFError, pickle.UnpicklingError) as error:
                    # Only the cache touches files, before the kernel runs: the disk is full, or a crash cut a file short.
                    print(f"the kernel cache {_folder} failed ({error}): compiling without it; to repair it, delete it",
                          file=sys.stderr)
                    self.dispatcher = _parallel(self.__wrapped__, None)
                    threads.run(self.dispatcher, arguments, elements)
                self.dispatcher.disable_compile()        # other types from now on are converted, or a TypeError
                self._has_run = True
                return
        threads.run(self.dispatcher, arguments, elements)


kernel = Kernel


def light_kernel(function):
    """A kernel that looks once or twice at each element of its first argument."""
    return Kernel(function, light=True)


def _parallel(function, folder):
    """The jitted function. Numba reads its configured folder here once, so that other people's functions, decorated
    before or after, keep theirs."""
    with _decorating:
        users_folder = numba.config.CACHE_DIR
        try:
            numba.config.CACHE_DIR = folder or ""
            return numba.njit(parallel=True, nogil=True, no_cfunc_wrapper=True, cache=folder is not None,
                              **OPTIONS)(function)
        finally:
            numba.config.CACHE_DIR = users_folder


class _Announcer(event.Listener):
    """Says on stderr that a compilation has begun, once, since it takes seconds."""

    silent = False

    def on_start(self, compilation):
        function = compilation.data["dispatcher"].py_func
        if not self.silent and (function.__module__ or "").startswith(__package__ + "."):
            self.silent = True
            message = "first run only" if _folder else f"in every run: {_no_folder}"
            print(f"compiling kernels ({message})", file=sys.stderr, flush=True)

    def on_end(self, compilation):
        """Nothing to say."""


event.register("numba:compile", _Announcer())


def behaved(x, dtype=FLOAT32):
    """`x` itself if it is what kernels are compiled for, C-contiguous, aligned and writable; else such a copy."""
    if x.dtype != dtype:
        raise TypeError(f"kernels.cpu: expected an array of {dtype}, got {x.dtype}; convert it, or use the reference")
    return x if x.flags.carray and type(x) is numpy.ndarray else computed(lambda: numpy.require(x, dtype, "CAWE"))


def in_place(x):
    """`x` flat, as a view: what is written into it is written into `x`."""
    if x.dtype != FLOAT32 or not x.flags.carray:
        raise ValueError("kernels.cpu: an array updated in place must be float32, C-contiguous and writable, "
                         f"got {x.dtype}, strides {x.strides} for shape {x.shape}, writable {x.flags.writeable}")
    return x.reshape(-1)
