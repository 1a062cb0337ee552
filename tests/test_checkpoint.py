"""Checkpoints: what comes back is what was saved, and nothing else is ever taken for one."""

import dataclasses
import json
import os
import pickle

import numpy as np
import pytest

import scratchnet as sn
from scratchnet import checkpoint, files
from scratchnet.checkpoint import BEST, LAST, Checkpoint, CheckpointError
from scratchnet.data import Preprocessing


@pytest.fixture(scope="module")
def saved():
    model = sn.models.create("lenet5", seed=3)
    optimizer = sn.SGD(model.parameters(), lr=0.05, momentum=0.9)
    rng = np.random.default_rng(0)
    for parameter in model.parameters().values():
        parameter.grad = rng.standard_normal(parameter.value.shape).astype("float32")
    with sn.use_kernels("reference"):
        optimizer.step()
    return Checkpoint(
        model="lenet5", input_shape=(32, 32, 1), classes=10,
        class_names=["null", "eins", "zwei", "drei", "vier", "fünf", "sechs", "sieben", "acht", "neun"],
        preprocessing=Preprocessing((0.1307,), (0.3081,), ((2, 2), (2, 2))),
        dataset={"name": "mnist", "checksum": "abc"}, optimizer=optimizer.config(),
        counters={"epoch": 1, "step": 860}, model_state=model.state_dict(),
        optimizer_state=optimizer.state_dict(),
        progress={"losses": np.array([2.25, 0.5], "float32"), "seconds": np.float64(0.1)})


@pytest.fixture
def path(saved, tmp_path):
    checkpoint.save(tmp_path / "a.safetensors", saved)
    return tmp_path / "a.safetensors"


def test_everything_comes_back_bit_for_bit(saved, path):
    loaded = checkpoint.load(path)
    for field in dataclasses.fields(Checkpoint):
        before, after = getattr(saved, field.name), getattr(loaded, field.name)
        if field.name in checkpoint.ARRAYS:
            assert set(before) == set(after) != set()
            for name in before:
                np.testing.assert_array_equal(np.asarray(before[name]), after[name], strict=True)
        else:
            assert before == after


def test_a_loaded_model_is_the_saved_one_and_an_optimiser_can_go_on(saved, path):
    model, loaded = checkpoint.load_model(path)
    assert all(np.array_equal(saved.model_state[name], value) for name, value in model.state_dict().items())
    optimizer = sn.SGD(model.parameters(), lr=0.05, momentum=0.9)
    optimizer.load_state_dict(loaded.optimizer_state)
    for name, value in optimizer.state_dict().items():
        np.testing.assert_array_equal(saved.optimizer_state[name], value)


def test_names_in_the_file_say_what_they_belong_to(path):
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        names, metadata = set(file.keys()), json.loads(file.metadata()["scratchnet"])
    assert {"model/conv1.weight", "optimizer/velocity/conv1.weight", "optimizer/steps/conv1.weight"} <= names
    assert metadata["format"] == 3 and metadata["class_names"][5] == "fünf"


def test_the_same_content_gives_the_same_bytes(saved, path, tmp_path):
    checkpoint.save(tmp_path / "b.safetensors", saved)
    assert path.read_bytes() == (tmp_path / "b.safetensors").read_bytes()


def test_a_run_folder_stands_for_its_best_checkpoint(saved, tmp_path):
    checkpoint.save(tmp_path / BEST, dataclasses.replace(saved, counters={"epoch": 7, "step": 1}))
    checkpoint.save(tmp_path / LAST, saved)
    assert checkpoint.load(tmp_path).counters["epoch"] == 7


def test_what_is_not_there_is_said(saved, tmp_path):
    with pytest.raises(FileNotFoundError, match="no such file"):
        checkpoint.load(tmp_path / "none")
    with pytest.raises(FileNotFoundError, match="it is no run folder"):
        checkpoint.load(tmp_path)
    checkpoint.save(tmp_path / LAST, saved)
    with pytest.raises(FileNotFoundError, match="has not finished an epoch: name .*last.safetensors"):
        checkpoint.load(tmp_path)


def test_a_file_cut_short_anywhere_is_refused(path):
    content = path.read_bytes()
    for length in [0, 1, 7, 8, 9, 100, *np.linspace(200, len(content) - 1, 40).astype(int)]:
        path.write_bytes(content[:length])
        with pytest.raises(CheckpointError, match="damaged, cut short|no such|readable"):
            checkpoint.load(path)


def test_a_flipped_bit_anywhere_is_refused(path):
    content, rng = path.read_bytes(), np.random.default_rng(0)
    header = 8 + int.from_bytes(content[:8], "little")
    places = [*range(8), *rng.integers(8, header, 100), *rng.integers(header, len(content), 50)]
    for place in places:
        changed = bytearray(content)
        changed[place] ^= 1 << rng.integers(8)
        path.write_bytes(changed)
        with pytest.raises(CheckpointError):
            checkpoint.load(path)


def test_a_file_of_another_program_is_refused(tmp_path):
    from safetensors.numpy import save_file

    save_file({"weight": np.zeros(3)}, tmp_path / "foreign.safetensors", {"format": "pt"})
    with pytest.raises(CheckpointError, match="written by scratchnet, got a safetensors file of another"):
        checkpoint.load(tmp_path / "foreign.safetensors")


def test_a_pickle_is_refused_and_never_run(tmp_path):
    class Bomb:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "run"),)

    (tmp_path / "model.pt").write_bytes(pickle.dumps(Bomb()))
    with pytest.raises(CheckpointError, match="of another kind"):
        checkpoint.load(tmp_path / "model.pt")
    assert not (tmp_path / "run").exists()


def test_a_later_format_is_refused_with_the_version_to_install(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "VERSION", 4)
    monkeypatch.setattr(checkpoint, "__version__", "9.8.7")
    checkpoint.save(tmp_path / "future.safetensors", saved)
    monkeypatch.undo()
    with pytest.raises(CheckpointError, match="expected checkpoint format 3, got 4, written by .* 9.8.7"):
        checkpoint.load(tmp_path / "future.safetensors")


def test_a_checkpoint_of_the_first_format_is_read(saved, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "VERSION", 1)
    monkeypatch.setattr(checkpoint, "FIELDS", [name for name in checkpoint.FIELDS if name not in checkpoint.OPTIONAL])
    checkpoint.save(tmp_path / "old.safetensors", dataclasses.replace(saved, progress={}))
    monkeypatch.undo()
    model, loaded = checkpoint.load_model(tmp_path / "old.safetensors")
    assert (loaded.network, loaded.summary, loaded.progress) == (None, None, {}) and model.name == "lenet5"


def test_a_checkpoint_of_the_second_format_is_read_its_images_cover_their_size(saved, tmp_path, monkeypatch):
    class Second(Preprocessing):
        def to_dict(self):
            return {name: value for name, value in super().to_dict().items() if name not in ("resize", "interpolation")}

    monkeypatch.setattr(checkpoint, "VERSION", 2)
    preprocessing = Second((0.5,), (0.5,), size=(32, 32))
    checkpoint.save(tmp_path / "old.safetensors", dataclasses.replace(saved, preprocessing=preprocessing))
    monkeypatch.undo()
    assert checkpoint.load(tmp_path / "old.safetensors").preprocessing == Preprocessing((0.5,), (0.5,), size=(32, 32))


def test_a_network_that_is_not_known_here_is_named(saved, tmp_path):
    checkpoint.save(tmp_path / "a.safetensors", dataclasses.replace(saved, model="lenet6"))
    with pytest.raises(CheckpointError, match="unknown model 'lenet6'; did you mean 'lenet5'"):
        checkpoint.load_model(tmp_path / "a.safetensors")


@pytest.mark.parametrize("culprit", ["fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_file_and_nothing_else(saved, path, monkeypatch, culprit):
    before = path.read_bytes()

    def fail(*arguments):
        raise OSError("no space left on device")

    monkeypatch.setattr(files.os, culprit, fail)
    with pytest.raises(OSError, match="no space left"):
        checkpoint.save(path, dataclasses.replace(saved, counters={"epoch": 2, "step": 2}))
    assert path.read_bytes() == before and os.listdir(path.parent) == [path.name]
