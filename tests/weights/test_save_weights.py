"""save_weights: what it writes is whole, is read again, and is what the format says."""

import os

import numpy as np
import pytest
from safetensors_files import filled, network, same

import scratchnet as sn
from scratchnet import checkpoint
from scratchnet.data import Preprocessing

PREPROCESSING = Preprocessing([0.1, 0.2, 0.3], [0.4, 0.5, 0.6], size=(8, 7), resize=10, interpolation="bicubic")


@pytest.mark.parametrize("layout", ["scratchnet", "pytorch"])
@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
def test_weights_come_back_to_the_bit_with_what_belongs_to_them(tmp_path, layout, dtype):
    model = filled(network()).astype(dtype)
    sn.save_weights(model, tmp_path / "w", layout, PREPROCESSING, "abcde")
    loaded = sn.load_weights(other := network().astype(dtype), tmp_path / "w")
    assert same(other, model.state_dict())
    assert (loaded.layout, loaded.preprocessing, loaded.class_names) == (layout, PREPROCESSING, list("abcde"))
    assert loaded.notes == []


def test_the_library_reads_the_tensors_in_pytorchs_names_and_axes(tmp_path):
    from safetensors.numpy import load_file
    model = filled(network())
    sn.save_weights(model, tmp_path / "w", "pytorch")
    tensors, state = load_file(tmp_path / "w"), model.state_dict()
    counters = {"bn.num_batches_tracked", "norm.num_batches_tracked"}
    assert set(tensors) == {name for name, array in state.items() if array.dtype.kind == "f"} | counters
    assert all(tensors[name].shape == () and tensors[name].dtype == np.int64 for name in counters)
    np.testing.assert_array_equal(tensors["conv.weight"], state["conv.weight"].transpose(3, 2, 0, 1))
    np.testing.assert_array_equal(tensors["again.weight"], state["again.weight"].T)
    np.testing.assert_array_equal(tensors["branches.0.fc.weight"].reshape(4, 6, 6, 6),                   # (O, C, H, W)
                                  state["branches.0.fc.weight"].reshape(6, 6, 6, 4).transpose(3, 2, 0, 1))


def test_every_tensor_begins_at_a_multiple_of_its_size(tmp_path):
    from scratchnet.weights.tensor_file import DTYPES, TensorFile
    model = sn.Sequential(sn.Dense(3, use_bias=False), sn.Dropout(0.5), sn.BatchNorm())     # 9 floats before an int64
    model.init(0, (3,))
    for layout in ("scratchnet", "pytorch"):
        sn.save_weights(model, tmp_path / "w", layout)
        with TensorFile(tmp_path / "w") as file:
            assert all(t.first % np.dtype(DTYPES[t.dtype]).itemsize == 0 for t in file.tensors.values())


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    sn.save_weights(network(), tmp_path / "w")
    old = (tmp_path / "w").read_bytes()

    def full(handle):
        raise OSError("no space left on device")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="no space"):
        sn.save_weights(filled(network()), tmp_path / "w")
    assert (tmp_path / "w").read_bytes() == old and len(list(tmp_path.iterdir())) == 1


def test_large_matrices_are_turned_in_blocks_that_leave_nothing_out(tmp_path):
    from safetensors.numpy import load_file
    model = sn.Sequential(sn.Flatten(), sn.Dense(301), sn.Dense(1030))      # more than a block, and no multiple of one
    model.init(0, (3, 5, 333))
    sn.save_weights(model, tmp_path / "w", "pytorch")
    np.testing.assert_array_equal(load_file(tmp_path / "w")["1.weight"].reshape(301, 333, 3, 5),
                                  model["1"].weight.value.reshape(3, 5, 333, 301).transpose(3, 2, 0, 1))
    for layout in ("pytorch", "scratchnet"):
        sn.save_weights(model, tmp_path / "w", layout)
        other = sn.Sequential(sn.Flatten(), sn.Dense(301), sn.Dense(1030))
        other.init(1, (3, 5, 333))
        sn.load_weights(other, tmp_path / "w")
        assert same(other, model.state_dict())


def test_a_bad_call_says_what_was_expected(tmp_path):
    model, path = network(), tmp_path / "w"
    for error, words, arguments in [
            (ValueError, "a layout of scratchnet, pytorch, got 'torch'", (model, path, "torch")),
            (ValueError, "before init", (sn.Dense(3), path)),
            (TypeError, "expected a model", (3, path)),
            (TypeError, "sn.data.Preprocessing or None, got 'none'", (model, path, "pytorch", "none")),
            (ValueError, "each of the 5 classes of Sequential, got 2", (model, path, "pytorch", None, ["a", "b"])),
            (IsADirectoryError, "got a folder", (model, tmp_path)),
            (FileNotFoundError, "create it first", (model, tmp_path / "none" / "w"))]:
        with pytest.raises(error, match=words):
            sn.save_weights(*arguments)
    assert not list(tmp_path.iterdir())


def test_two_arrays_of_one_published_name_are_an_error(tmp_path):
    twins = sn.Sequential(a=sn.Sequential(main=sn.Sequential(conv=sn.Conv2D(3, 1)), conv=sn.Conv2D(3, 1)))
    twins.init(0, (4, 4, 3))
    twins.name = "resnet18"                                                  # ".main." goes away there
    with pytest.raises(ValueError, match=r"published name, a.main.conv.weight \(a.conv.weight\), a.main.conv.bias"):
        sn.save_weights(twins, tmp_path / "w", "pytorch")
    sn.save_weights(twins, tmp_path / "w")


def test_who_takes_weights_for_a_checkpoint_is_told(tmp_path):
    sn.save_weights(network(), tmp_path / "w")
    with pytest.raises(checkpoint.CheckpointError, match="expected a checkpoint, got weights alone.*--weights"):
        checkpoint.load(tmp_path / "w")
