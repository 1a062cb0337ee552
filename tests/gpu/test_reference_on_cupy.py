"""The reference kernels on CuPy arrays, where float64 and float16 go, beside the same on NumPy's."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest
from engines import CudaEngine, each_array

from scratchnet.kernels import reference

_path = Path(__file__).parents[1] / "kernels" / "test_reference_contract.py"
_spec = importlib.util.spec_from_file_location("reference_contract", _path)
contract = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(contract)


@pytest.mark.gpu
@pytest.mark.parametrize("dtype, tolerance", [("float64", 1e-12), ("float16", 4e-3)])
@pytest.mark.parametrize("name", contract.OPERATIONS)
def test_an_operation_gives_on_cupy_what_it_gives_on_numpy(name, dtype, tolerance):
    engine = CudaEngine()
    arguments, _ = contract.calls(2, dtype)[name]
    expected = contract.results(name, arguments)
    got = contract.results(name, each_array(engine.to_device, arguments))
    assert len(got) == len(expected)
    for ours, theirs in zip(got, expected):
        assert ours.dtype == theirs.dtype and ours.shape == theirs.shape
        np.testing.assert_allclose(engine.to_host(ours), theirs, rtol=tolerance, atol=tolerance)


@pytest.mark.gpu
def test_updates_in_place_give_on_cupy_what_they_give_on_numpy():
    engine, start = CudaEngine(), [np.full(3, number) for number in (2.0, 0.5, 0.1, 0.2)]
    here, there = each_array(np.copy, start), each_array(engine.to_device, start)
    for arrays in (here, there):
        reference.adamw(*arrays, 3, 0.1, 0.9, 0.99, 1e-3, 0.1)
    for one, other in zip(here, there):
        np.testing.assert_allclose(engine.to_host(other), one, rtol=1e-12)
