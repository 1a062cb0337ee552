"""train MODEL DIR --weights: a head for other classes on published weights, the backbone frozen or not."""

import numpy as np
import pytest
from PIL import Image

import scratchnet as sn
from scratchnet import checkpoint, cli, train
from scratchnet.data import Arrays, Splits
from scratchnet.weights import source
from scratchnet.weights.tensor_file import TensorFile

SIZE = 32
TRAIN = ("resnet18", "photos", "--weights", "weights.safetensors", "--image-size", str(SIZE), "--batch-size", "8",
         "--epochs", "1", "--lr", "0.01")
HEAD = {"fc.weight", "fc.bias"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """weights.safetensors of a resnet18 for 1,000 classes, and 40 images in photos/."""
    folder = tmp_path_factory.mktemp("fine tuning")
    sn.save_weights(sn.models.create("resnet18", seed=1), folder / "weights.safetensors", layout="pytorch")
    rng = np.random.default_rng(0)
    for index in range(40):
        kind = ("dark", "light")[index % 2]
        (folder / "photos" / kind).mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 120, (60, 70, 3)) + (120 if kind == "light" else 0)
        Image.fromarray(pixels.astype(np.uint8)).save(folder / "photos" / kind / f"{index:02}.png")
    return folder


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)


def trained(out, *words):
    assert train.main([*TRAIN, "--out", out, *words]) == 0
    return checkpoint.load(out)


def changed(state):
    """The names whose arrays are not, to the bit, those of the weights."""
    model = sn.models.create("resnet18", input_shape=(SIZE, SIZE, 3), classes=2)
    sn.load_weights(model, "weights.safetensors")
    return {name for name, array in model.state_dict().items() if not np.array_equal(array, state[name])}


def test_a_frozen_backbone_keeps_every_bit_and_its_head_learns_other_classes(capsys):
    saved = trained("frozen", "--freeze-backbone")
    said = capsys.readouterr()
    assert changed(saved.model_state) == HEAD
    assert "11,177,538 parameters, 1,026 of them trained" in said.err
    assert "the head fc (Dense 2) stays as it is initialised: the file has 1000 classes, the model 2" in said.err
    assert saved.class_names == ["dark", "light"] and saved.preprocessing.resize == SIZE * 256 // 224
    assert set(saved.optimizer_state) <= {f"{slot}/{name}" for slot in ("m", "v", "steps") for name in HEAD}


def test_without_freezing_everything_learns():
    backbone = {"conv1.weight", "bn1.running_mean", "layer4.1.main.conv2.weight"}
    assert backbone | HEAD <= changed(trained("whole").model_state)


def test_resuming_asks_for_the_same_weights(capsys):
    trained("again", "--freeze-backbone")
    other = sn.models.create("resnet18", seed=2)
    sn.save_weights(other, "other.safetensors", layout="pytorch")
    capsys.readouterr()
    assert train.main([*TRAIN, "--out", "again", "--freeze-backbone", "--resume"]) == 0
    words = [word.replace("weights.safetensors", "other.safetensors") for word in TRAIN]
    assert train.main([*words, "--out", "again", "--freeze-backbone", "--resume"]) == 2
    assert "weights: " in capsys.readouterr().err
    assert train.main([*TRAIN, "--out", "again", "--resume"]) == 2
    assert "freeze_backbone: true there, null here" in capsys.readouterr().err


def test_freezing_what_was_drawn_at_random_is_refused(capsys):
    assert train.main(["resnet18", "photos", "--freeze-backbone"]) == 2
    assert "--weights" in capsys.readouterr().err


@pytest.mark.parametrize("weights", ["nowhere.safetensors", "hub:resnet18"])
def test_weights_that_cannot_be_there_are_a_usage_error(capsys, weights):
    assert train.main(["resnet18", "photos", "--weights", weights]) == 2
    assert f"--weights {weights}: expected" in capsys.readouterr().err


def test_without_image_size_the_weights_say_how_large_images_are_and_are_opened_once(capsys, monkeypatch):
    sn.save_weights(sn.models.create("lenet5", (40, 32, 3)), "small.safetensors")
    words = ("lenet5", "photos", "--weights", "small.safetensors", "--freeze-backbone", "--epochs", "1")
    opened = []
    monkeypatch.setattr(source, "TensorFile", lambda path: opened.append(path) or TensorFile(path))
    assert train.main([*words, "--out", "sized"]) == 0
    assert len(opened) == 1
    saved = checkpoint.load("sized")
    assert saved.input_shape == (40, 32, 3) and saved.preprocessing.size == (40, 32)


def test_grey_arrays_for_weights_of_colour_are_refused_before_the_weights_are_read(capsys, monkeypatch):
    images = Arrays(np.zeros((20, 28, 28, 1), np.uint8), np.arange(20) % 2)
    monkeypatch.setattr(cli, "load_data", lambda *_, **__: Splits("mnist-sample", images, images, ["0", "1"], "", ""))
    assert train.main(["resnet18", "mnist-sample", "--weights", "weights.safetensors", "--out", "grey"]) == 1
    err = capsys.readouterr().err
    assert "mnist-sample: the model expects 224x224x3 images, got 28x28x1; " in err and "stays as" not in err


def test_a_network_without_parameters_is_announced(capsys):
    model = sn.Sequential(sn.GlobalAvgPool2D())
    model.init(0, (4, 4, 2))
    splits = Splits("images", None, None, ["0", "1"], "", "")
    train.announce("net", splits, "4x4x2 images", model, ((), (), ()), "runs")
    assert "net on images: 0 parameters, 2 classes" in capsys.readouterr().err
