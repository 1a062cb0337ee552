"""Training, scoring, inference and the way there and back with arrays that refuse what CuPy's refuse: to meet a NumPy array
or one of NumPy's functions, to be read by the host. Their kernels run on the host; the rest of CuPy is NumPy in disguise."""

import sys
import types

import numpy as np
import pytest
from host_device import Host

import scratchnet as sn
from scratchnet import backend
from scratchnet.kernels.cuda import launch
from test_cuda_models import NETWORKS, OPTIMIZERS, made


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


@pytest.fixture
def cupy(host, monkeypatch):
    device = Device(host.folder)
    device.libraries = host.libraries                                  # what is compiled already
    cupy = Cupy("cupy")
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setattr(launch, "device", device)
    monkeypatch.setitem(backend._loaded, "gpu", (True, "NumPy in disguise"))
    return device


@pytest.mark.parametrize("name", NETWORKS)
def test_training_on_a_device_touches_no_host_array(name, cupy):
    model, images, labels = made(name)
    optimizer = OPTIMIZERS[name](model.parameters())
    sn.fit(model, (images, labels), epochs=1, batch_size=3, optimizer=optimizer, progress=False)
    parameters = model.parameters()
    sn.to_device(model, "cuda")
    launches = cupy.launches
    history = sn.fit(model, (images, labels), (images, labels), epochs=1, batch_size=4, optimizer=optimizer, progress=False)
    assert np.isfinite(history[-1]["validation_loss"]) and cupy.launches > launches + 20
    assert all(model.parameters()[key] is parameter for key, parameter in parameters.items())
    for arrays in (*optimizer.slots.values(), {key: p.value for key, p in parameters.items()}):
        assert all(type(array) is Array for array in arrays.values())
    scores, predictor = model(backend.array_like(next(iter(parameters.values())).value, images)), sn.for_inference(model)
    assert type(scores) is Array
    np.testing.assert_allclose(predictor(sys.modules["cupy"].asarray(images)).get(), scores.get(), rtol=1e-4, atol=1e-5)
    assert all(type(array) is np.ndarray for state in (model.state_dict(), optimizer.state_dict()) for array in state.values()
               if np.ndim(array))
    sn.to_device(model, "cpu")
    np.testing.assert_allclose(model(images), scores.get(), rtol=1e-3, atol=1e-4)
    sn.fit(model, (images, labels), epochs=1, batch_size=3, optimizer=optimizer, progress=False)
    assert all(type(array) is np.ndarray for arrays in optimizer.slots.values() for array in arrays.values())


def test_a_checkpoint_of_a_device_is_read_without_one_and_the_other_way_round(cupy, tmp_path):
    model, images, labels = made("branches")
    sn.to_device(model, "cuda")
    sn.save_weights(model, tmp_path / "weights")
    here, _, _ = made("branches")
    sn.load_weights(here, tmp_path / "weights")
    for name, array in here.state_dict().items():
        np.testing.assert_array_equal(array, model.state_dict()[name])
    for parameter in model.parameters().values():
        parameter.value = backend.array_like(parameter.value, np.zeros(parameter.value.shape))
    model.load_state_dict(here.state_dict())
    there = backend.to_host(model(sys.modules["cupy"].asarray(images)))
    np.testing.assert_allclose(here(images), there, rtol=1e-4, atol=1e-5)


def test_a_host_array_in_a_model_on_the_device_is_refused_with_what_to_do(cupy):
    model, images, _ = made("branches")
    with pytest.raises(TypeError, match="the input is a numpy array but the parameters are cupy arrays; move one of them"):
        sn.to_device(model, "cuda")(images)
