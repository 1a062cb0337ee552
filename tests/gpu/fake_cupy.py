"""NumPy arrays in disguise: they refuse what CuPy's refuse, to meet a NumPy array or one of NumPy's functions, or to be read
by the host. Kernels run on the host (host_device.py), graphs and streams are those of host_graphs.py; the rest of CuPy is
NumPy in disguise.
"""

import types

import numpy as np
from host_device import Host
from host_graphs import Pointer, cuda, current, default_pool, fresh, not_in_a_recording


class Array(np.lib.mixins.NDArrayOperatorsMixin):
    """cupy.ndarray, as far as the engine uses it."""

    def __init__(self, inside):
        self.inside = inside

    def get(self):
        not_in_a_recording("a device array was read")
        current().finish()
        return np.array(self.inside)

    @property
    def data(self):
        return Pointer(self.inside)

    def copy(self, order="C"):
        return self._copied(self.shape)

    def view(self, dtype):
        return Array(self.inside.view(dtype))

    def reshape(self, *shape):
        view = self.inside.reshape(*shape)
        return Array(view) if view.base is not None and np.may_share_memory(view, self.inside) else self._copied(view.shape)

    def _copied(self, shape):
        new = fresh(shape, self.dtype)
        current().do(lambda there, here: np.copyto(there, here.reshape(there.shape)), new, self.inside)
        return Array(new)

    def __getattr__(self, name):
        assert name not in ("item", "__array__", "ctypes"), f".{name} was asked of a device array"
        value = getattr(self.inside, name)
        if not callable(value):
            return disguised(value)

        def method(*args, **settings):
            not_in_a_recording(f".{name} was called")
            current().finish()
            return disguised(value(*bare(args), **bare(settings)))
        return method

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
        if not out:
            with np.errstate(all="ignore"):                            # for the shape: the numbers may not be there yet
                like = np.asarray(getattr(ufunc, method)(*bare(inputs), **settings))
            out = Array(fresh(like.shape, like.dtype)),
        current().do(lambda there, *here: np.copyto(there, getattr(ufunc, method)(*here, **settings)), out[0].inside,
                     *bare(inputs))
        return out[0]

    def __len__(self):
        return len(self.inside)

    def __iter__(self):
        return map(disguised, self.inside)

    def __getitem__(self, key):
        return disguised(self.inside[bare(key)])

    def __setitem__(self, key, values):
        assert not isinstance(values, np.ndarray), "a host array was written into a device array"
        current().do(lambda there, values: there.__setitem__(bare(key), values), self.inside, bare(values))


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

    ndarray, inf, cuda = Array, np.inf, cuda
    get_default_memory_pool = staticmethod(lambda: default_pool)

    def __getattr__(self, name):
        function = getattr(np, name)

        def on_the_device(*args, **settings):
            hosts = [arg for arg in args if isinstance(arg, np.ndarray)]
            assert name in ("asarray", "array", "ascontiguousarray") or not hosts, f"cupy.{name} of a host array"
            current().finish()
            result = disguised(function(*bare(args), **bare(settings)))
            if not (name == "ascontiguousarray" and np.shares_memory(result.inside, args[0].inside)):
                not_in_a_recording(f"cupy.{name} was called")
            return result
        return on_the_device


class Device(Host):
    words = "a CuPy array"

    def is_array(self, x):
        return isinstance(x, Array)

    def empty(self, shape, dtype):
        return Array(fresh(shape, dtype))

    def contiguous(self, x):
        new = fresh(x.shape, x.dtype)
        current().do(np.copyto, new, x.inside)
        return Array(new)

    def upload(self, array):
        not_in_a_recording("a host array was sent to the device")
        return Array(array)

    def address(self, x):
        return x.inside.ctypes.data

    def product(self, a, b, out, tf32):
        multiply = super().product
        current().do(lambda out, a, b: multiply(a, b, out, tf32), out.inside, a.inside, b.inside)

    def function(self, file, name, macros):
        run = super().function(file, name, macros)
        return lambda grid, block, arguments: current().do(
            lambda *given: run(grid, block, given), *bare(arguments))
