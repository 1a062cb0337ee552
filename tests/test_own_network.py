"""FILE.py:FUNCTION as a model: what it may ask for, and what is said when it is wrong."""

import dataclasses

import numpy as np
import pytest

import scratchnet as sn
from scratchnet import checkpoint, own_network
from scratchnet.checkpoint import CheckpointError
from scratchnet.data import Preprocessing

NET = """
import scratchnet as sn
from neighbour import WIDTH

def net(input_shape=(12, 12, 3), classes=4):
    return sn.Sequential(sn.Conv2D(WIDTH, 3, activation="relu"), sn.GlobalAvgPool2D(), sn.Dense(classes))

def plain():
    return sn.Sequential(sn.Flatten(), sn.Dense(4))

def ready():
    model = plain()
    model.init(7, (5, 6, 1))
    return model

def greedy(input_shape, depth): pass
def forgets(): sn.Sequential(sn.Flatten())
def fails(classes):
    return classes / 0
def lazy(classes):
    import another_neighbour
    return sn.Sequential(sn.Flatten(), sn.Dense(classes))
def leaves(): raise SystemExit(0)
def shape(): return plain().init(0, (5, 6, 1))
def odd(input_shape=(9, 9)): pass
def positional(classes, /): pass
def nine(): return sn.Sequential(sn.Flatten(), sn.Dense(9))
"""


@pytest.fixture
def path(tmp_path):
    (tmp_path / "neighbour.py").write_text("WIDTH = 5")
    (tmp_path / "another_neighbour.py").touch()
    (tmp_path / "mine.py").write_text(NET, "utf-8")
    return str(tmp_path / "mine.py")


def test_a_function_is_given_what_it_asks_for_by_name(path):
    own = own_network.load(f"{path}:net")
    assert own.name == "mine.py:net" and own.source == NET
    assert own.input_shape() == (12, 12, 3)
    model = own.build((9, 8, 1), 6, seed=3)
    assert model.input_shape == (9, 8, 1) and model.checked_output_shape((9, 8, 1)) == (6,)
    assert model.parameters()["0.weight"].value.shape == (3, 3, 1, 5)       # WIDTH of the file beside it


def test_the_seed_makes_the_weights_and_one_that_the_function_used_itself_is_kept(path):
    plain, ready = (own_network.load(f"{path}:{name}") for name in ("plain", "ready"))
    first, again, other = (plain.build((5, 6, 1), 4, seed).state_dict()["1.weight"] for seed in (0, 0, 1))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
    assert plain.input_shape() is None and ready.input_shape() == (5, 6, 1)
    same = [ready.build((5, 6, 1), 4, seed).state_dict()["1.weight"] for seed in (0, 1)]
    assert np.array_equal(*same)


@pytest.mark.parametrize("name, words", [
    ("nett", "did you mean .*mine.py:net"),
    ("", "expected FILE.py:FUNCTION .* got no name; it has net, plain, ready"),
    ("greedy", "also needs depth; give them defaults"),
    ("forgets", "expected it to return a model.* got NoneType; is there a return"),
    ("fails", "mine.py:fails: line 19: ZeroDivisionError"),
    ("leaves", "mine.py:leaves: line 23: SystemExit"),
    ("shape", "got a tuple; init returns a shape"),
    ("positional", "also needs classes"),
    ("nine", r"expected an output of shape \(4,\), a number for each class, got \(9,\); end it with Dense\(4\)"),
    ("ready", "expected a network for images of 9x9x1, got one for 5x6x1"),
])
def test_what_is_wrong_with_a_function_is_said(path, name, words):
    with pytest.raises(ValueError, match=words):
        own_network.load(f"{path}:{name}" if name else path).build((9, 9, 1), 4, seed=0)


def test_neighbours_may_be_imported_in_the_function_too(path):
    assert own_network.load(f"{path}:lazy").build((5, 6, 1), 4, seed=0).checked_output_shape((5, 6, 1)) == (4,)


def test_a_default_that_is_no_image_shape_is_refused(path):
    with pytest.raises(ValueError, match=r"expected input_shape to be \(H, W, C\), got the default \(9, 9\)"):
        own_network.load(f"{path}:odd").input_shape()


@pytest.mark.parametrize("text, words", [
    ("x = 1\ndef net(:\n", "line 2: SyntaxError"),
    ("def net(): pass\n\nimport nowhere_to_be_found\n", "line 3: ModuleNotFoundError"),
], ids=["syntax", "import"])
def test_a_file_that_does_not_run_is_named_with_the_line(tmp_path, text, words):
    (tmp_path / "bad.py").write_text(text)
    with pytest.raises(ValueError, match=f"bad.py: {words}"):
        own_network.load(str(tmp_path / "bad.py") + ":net")


@pytest.fixture
def saved(path, tmp_path):
    model = own_network.load(f"{path}:plain").build((5, 6, 1), 4, seed=0)
    saved = checkpoint.Checkpoint(
        model="mine.py:plain", input_shape=(5, 6, 1), classes=4, class_names=list("abcd"),
        preprocessing=Preprocessing((0.5,), (0.5,)), dataset={"name": "d", "checksum": "c"}, optimizer={},
        counters={"epoch": 0, "step": 0}, model_state=model.state_dict(), optimizer_state={}, network=NET,
        summary=repr(model))
    checkpoint.save(tmp_path / "own.safetensors", saved)
    return tmp_path / "own.safetensors", saved


def test_a_checkpoint_holds_the_text_but_never_runs_it(saved, path, monkeypatch):
    monkeypatch.setattr("builtins.exec", lambda *a: pytest.fail("code was run"))
    assert checkpoint.load(saved[0]).network == NET
    with pytest.raises(CheckpointError, match="was made by mine.py:plain, and code is never run .*FILE.py:FUNCTION"):
        checkpoint.load_model(saved[0])


def test_it_is_loaded_with_the_file_that_the_user_names(saved, path):
    model, _ = checkpoint.load_model(saved[0], f"{path}:plain")
    assert np.array_equal(model.state_dict()["1.weight"], saved[1].model_state["1.weight"])
    with pytest.raises(CheckpointError, match="cannot be made here: .*this state belongs to another model"):
        checkpoint.load_model(saved[0], f"{path}:net")


def test_another_network_of_the_same_shapes_is_not_taken_for_it(saved, path, tmp_path):
    (tmp_path / "mine.py").write_text(NET.replace("sn.Dense(4)", 'sn.Dense(4, activation="tanh")'), "utf-8")
    with pytest.raises(CheckpointError, match="expected the network that was trained, with .*Dense 4.* got from .*tanh"):
        checkpoint.load_model(saved[0], f"{path}:plain")


def test_a_network_of_the_zoo_needs_no_file(saved, path, tmp_path):
    model = sn.models.create("lenet5")
    zoo = dataclasses.replace(saved[1], model="lenet5", input_shape=(32, 32, 1), classes=10, network=None,
                              model_state=model.state_dict())
    checkpoint.save(tmp_path / "zoo.safetensors", zoo)
    assert checkpoint.load_model(tmp_path / "zoo.safetensors")[0].name == "lenet5"
    with pytest.raises(CheckpointError, match="its network is lenet5, which needs no --network"):
        checkpoint.load_model(tmp_path / "zoo.safetensors", f"{path}:plain")
