"""Which kernels run, and what is said where there is no GPU."""

import threading

import numpy as np
import pytest

import scratchnet as sn
from scratchnet import backend


@pytest.mark.parametrize("dtype, name", [("float32", "cpu"), ("float64", "reference"), ("float16", "reference")])
def test_the_dtype_chooses_the_kernels(dtype, name):
    assert backend.ops(np.zeros(1, dtype)) is backend.kernels(name)


class FromCupy:
    """An array as ops() looks at it."""

    def __init__(self, dtype):
        self.dtype = np.dtype(dtype)


FromCupy.__module__ = "cupy"


@pytest.mark.parametrize("dtype, name", [("float32", "cuda"), ("float64", "reference"), ("float16", "reference")])
def test_float32_arrays_of_cupy_get_the_kernels_for_cuda(dtype, name):
    assert backend.ops(FromCupy(dtype)) is backend.kernels(name)
    with sn.use_kernels("reference"):
        assert backend.ops(FromCupy(dtype)) is backend.kernels("reference")


def test_bfloat16_is_for_cuda_alone():
    import ml_dtypes
    assert backend.ops(FromCupy(ml_dtypes.bfloat16)) is backend.kernels("cuda")
    assert backend.ops(np.zeros(1, ml_dtypes.bfloat16)) is backend.kernels("reference")
    assert backend.ops(FromCupy(ml_dtypes.float8_e4m3)) is backend.kernels("reference")


def test_use_kernels_holds_inside_the_block_and_in_this_thread_only():
    x, elsewhere = np.zeros(1, np.float32), []
    with sn.use_kernels("reference"):
        assert backend.ops(x) is backend.kernels("reference")
        thread = threading.Thread(target=lambda: elsewhere.append(backend.ops(x)))
        thread.start()
        thread.join()
    assert backend.ops(x) is elsewhere[0] is backend.kernels("cpu")
    with pytest.raises(ValueError, match="expected one of reference, cpu, got 'cuda'"):
        with sn.use_kernels("cuda"):
            pass


def test_without_a_gpu_the_reason_is_given():
    found, words = backend.gpu()
    if found:
        pytest.skip(f"this machine has a GPU: {words}")
    assert words
    model = sn.models.create("lenet5")
    with pytest.raises(RuntimeError, match="no GPU can be used: "):
        sn.to_device(model, "cuda")
    with pytest.raises(RuntimeError, match="--device cuda: no GPU can be used"):
        backend.choose_device("cuda")
    assert backend.choose_device("auto") == ("cpu", words)
    assert sn.to_device(model, "cpu") is model
    with pytest.raises(ValueError, match="'cpu' or 'cuda', got 'gpu'"):
        sn.to_device(model, "gpu")
