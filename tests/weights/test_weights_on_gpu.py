"""Arrays of another module than NumPy, as CuPy's are: loaded and saved by way of the host, staying what they are."""

import sys
import types

import numpy as np
import pytest
from safetensors_files import filled, network, same

import scratchnet as sn


class Array:
    """What the engine uses of cupy.ndarray outside of kernels; NumPy cannot look inside."""

    def __init__(self, values):
        self.inside = np.array(values)

    dtype = property(lambda self: self.inside.dtype)
    shape = property(lambda self: self.inside.shape)
    ndim = property(lambda self: self.inside.ndim)

    def __setitem__(self, key, values):
        self.inside[key] = values.inside

    def get(self):
        return self.inside.copy()


Array.__module__ = "cupy"


@pytest.fixture
def cupy(monkeypatch):
    module = types.ModuleType("cupy")
    module.asarray = lambda values, dtype=None: Array(np.asarray(getattr(values, "inside", values), dtype))
    monkeypatch.setitem(sys.modules, "cupy", module)
    return module


@pytest.mark.parametrize("layout", ["scratchnet", "pytorch"])
def test_a_model_elsewhere_is_loaded_and_saved(tmp_path, cupy, layout):
    model, there = filled(network()), network().convert(cupy.asarray)
    sn.save_weights(model, tmp_path / "here", layout)
    sn.load_weights(there, tmp_path / "here")
    assert all(type(parameter.value) is Array for parameter in there.parameters().values())
    for name, array in there.state_dict().items():
        if array.dtype.kind == "f":
            np.testing.assert_array_equal(array, model.state_dict()[name])
    sn.save_weights(there, tmp_path / "there", layout)
    assert (tmp_path / "there").read_bytes() == (tmp_path / "here").read_bytes()


def test_a_device_that_is_full_leaves_the_model_as_it_was(tmp_path, cupy, monkeypatch):
    model, there = filled(network()), network().convert(cupy.asarray)
    sn.save_weights(model, tmp_path / "w")
    before, room, asarray = there.state_dict(), iter(range(3)), cupy.asarray

    def full(values, dtype=None):
        if next(room, None) is None:
            raise MemoryError("out of memory")
        return asarray(values, dtype)
    monkeypatch.setattr(cupy, "asarray", full)
    with pytest.raises(MemoryError):
        sn.load_weights(there, tmp_path / "w")
    assert same(there, before)
