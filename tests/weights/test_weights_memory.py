"""Loading and saving need no second copy of the weights: NumPy tells tracemalloc of every array it makes."""

import tracemalloc

import numpy as np
import pytest
from safetensors_files import write

import scratchnet as sn

BLOCKS = 2 << 20                # bytes: what the threads hold of blocks, of the header, of the names


def peak(call):
    """The most bytes at a time beyond those before."""
    tracemalloc.start()
    try:
        call()
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


@pytest.fixture(scope="module")
def model():
    made = sn.Sequential(sn.Flatten(), sn.Dense(2048), sn.Dense(1024))      # 12.8 and 8.4 MB
    made.init(0, (7, 7, 32))
    return made


@pytest.mark.parametrize("layout", ["scratchnet", "pytorch"])
def test_saving_and_loading_hold_some_blocks_alone(model, tmp_path, layout):
    written = peak(lambda: sn.save_weights(model, tmp_path / "w", layout))
    assert written < 3 * BLOCKS                                             # 4 MB are turned at a time
    assert peak(lambda: sn.load_weights(model, tmp_path / "w")) < BLOCKS


@pytest.mark.parametrize("dtype", ["f8", "f2", "bfloat16"])
def test_other_dtypes_are_converted_in_blocks(model, tmp_path, dtype):
    shapes = {"1.weight": (2048, 1568), "1.bias": (2048,), "2.weight": (1024, 2048), "2.bias": (1024,)}
    tensors = {name: np.full(shape, 0.5, "f4" if dtype == "bfloat16" else dtype) for name, shape in shapes.items()}
    write(tmp_path / "w", tensors, bfloat16=set(tensors) if dtype == "bfloat16" else ())
    assert peak(lambda: sn.load_weights(model, tmp_path / "w")) < 5 * BLOCKS    # 2 MB of float64 in each thread
    assert all((p.value == 0.5).all() for p in model.parameters().values())
