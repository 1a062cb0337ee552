"""CuPy, as far as the engine uses it, without a device: NumPy in disguise, whose arrays refuse what CuPy's refuse, and
kernels that run on the host. The fixture `cupy` (conftest.py) puts it in CuPy's place."""

import types

import numpy as np
from host_device import Host


class Array(np.lib.mixins.NDArrayOperatorsMixin):
    """cupy.ndarray, as far as the engine uses it."""

    def __init__(self, inside):
        self.inside = inside

    def get(self):
        return np.array(self.inside)

    def __getattr__(self, name):
        assert name not in ("item", "__array__", "ctypes"), f".{name} was asked of a device array"
        value = getattr(self.inside, name)
        return (lambda *args, **settings: disguised(value(*bare(args), **bare(settings)))) if callable(value) else disguised(value)

    def __bool__(self):
        raise AssertionError("a device array was read on the host")

    def __array__(self, *_):
        raise AssertionError("a device array was made an array of the host")

    def __array_function__(self, function, kinds, args, settings):
        assert function in (np.shape, np.ndim), f"numpy.{function.__name__} was called on a device array"
        return function(*bare(args))                                   # these CuPy has, too, and NumPy hands on to it

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **settings):
        for array in (*inputs, *out):
            assert not isinstance(array, np.ndarray), "a host array met a device array"
        result = getattr(ufunc, method)(*bare(inputs), **settings, **({"out": bare(out)} if out else {}))
        return out[0] if out else disguised(result)

    def __len__(self):
        return len(self.inside)

    def __iter__(self):
        return map(disguised, self.inside)

    def __getitem__(self, key):
        return disguised(self.inside[bare(key)])

    def __setitem__(self, key, values):
        assert not isinstance(values, np.ndarray), "a host array was written into a device array"
        self.inside[bare(key)] = bare(values)


Array.__module__ = "cupy"


def bare(value):
    if isinstance(value, dict):
        return {name: bare(element) for name, element in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(map(bare, value))
    return value.inside if isinstance(value, Array) else value


def disguised(value):
    if isinstance(value, tuple) and any(isinstance(element, np.ndarray) for element in value):
        return tuple(map(disguised, value))
    return Array(np.asarray(value)) if isinstance(value, (np.ndarray, np.generic)) else value


class Cupy(types.ModuleType):
    """NumPy's functions on arrays in disguise. Host arrays come in by asarray and array alone, and by those that would
    copy them to the device, too."""

    ndarray, inf = Array, np.inf

    def __getattr__(self, name):
        function = getattr(np, name)

        def on_the_device(*args, **settings):
            hosts = [arg for arg in args if isinstance(arg, np.ndarray)]
            assert name in ("asarray", "array", "ascontiguousarray") or not hosts, f"cupy.{name} of a host array"
            return disguised(function(*bare(args), **bare(settings)))
        return on_the_device


class Device(Host):
    words = "a CuPy array"

    def is_array(self, x):
        return isinstance(x, Array)

    def empty(self, shape, dtype):
        return Array(super().empty(shape, dtype))

    def contiguous(self, x):
        return Array(np.ascontiguousarray(x.inside))

    def upload(self, array):
        return Array(array)

    def address(self, x):
        return x.inside.ctypes.data

    def product(self, a, b, out, tf32):
        super().product(a.inside, b.inside, out.inside, tf32)

    def function(self, file, name, macros):
        run = super().function(file, name, macros)
        return lambda grid, block, arguments: run(grid, block, bare(arguments))
