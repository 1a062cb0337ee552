"""predict, look and evaluate with a network by name and weights: a resnet18 in PyTorch's layout, made up here."""

import json
import os

import numpy as np
import pytest
from PIL import Image, ImageDraw

import scratchnet as sn
from scratchnet import checkpoint, evaluate, look, predict
from scratchnet.data import Preprocessing, imagenet
from scratchnet.trained import batch_size, class_names, open_weights

MEAN, STD = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
LARGE, GREY, SMALL = "photos/large.png", "photos/grey.jpg", "photos/small.png"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """weights.safetensors, few.safetensors of 3 classes, and images in photos/."""
    folder = tmp_path_factory.mktemp("weights")
    rng = np.random.default_rng(0)
    for classes, name in ((1000, "weights"), (3, "few")):
        model = sn.models.create("resnet18", classes=classes, seed=1)
        parameters = model.parameters()
        for key, parameter in parameters.items():
            if key.endswith("bn2.weight"):                  # zeros would make all images much the same to it
                parameter.value = np.ones(parameter.value.shape, np.float32)
        parameters["fc.weight"].value = rng.normal(0, 0.3, (512, classes)).astype(np.float32)
        sn.save_weights(model, folder / f"{name}.safetensors", layout="pytorch")
    (folder / "photos").mkdir()
    for name, (width, height) in ((LARGE, (320, 280)), (GREY, (90, 120)), (SMALL, (30, 41))):
        picture = Image.fromarray(rng.integers(0, 256, (5, 7, 3)).astype(np.uint8)).resize((width, height))
        picture.convert("L" if name == GREY else "RGB").save(folder / name)
    return folder


@pytest.fixture(autouse=True)
def here(folder, monkeypatch):
    monkeypatch.chdir(folder)


@pytest.fixture(scope="module")
def scores(folder):
    """{image: softmax} as torchvision's documentation has it: resize to 256, centre of 224, normalise."""
    model = sn.models.create("resnet18")
    sn.load_weights(model, folder / "weights.safetensors")
    expected = {}
    for name in (LARGE, GREY, SMALL):
        image = Image.open(folder / name).convert("RGB")
        width, height = image.size
        short = min(width, height)
        image = image.resize((int(256 * width / short), int(256 * height / short)), Image.BILINEAR)
        left, top = round((image.width - 224) / 2), round((image.height - 224) / 2)
        pixels = np.asarray(image.crop((left, top, left + 224, top + 224)))
        logits = model(((pixels / 255 - MEAN) / STD).astype(np.float32)[np.newaxis])[0].astype(np.float64)
        shares = np.exp(logits - logits.max())
        expected[name] = shares / shares.sum()
    return expected


def said(command, capsys, *words):
    assert command.main([*words, "--json"]) == 0
    captured = capsys.readouterr()
    return json.loads(captured.out), captured.err


def test_predict_names_imagenets_classes_with_the_probabilities_of_the_published_preprocessing(scores, capsys):
    found, err = said(predict, capsys, "resnet18", "photos", "--weights", "weights.safetensors", "--top", "1000")
    assert "published default of resnet18" in err
    assert (found["model"], found["checkpoint"]) == ("resnet18", "weights.safetensors")
    assert [entry["image"].replace(os.sep, "/") for entry in found["predictions"]] == [GREY, LARGE, SMALL]
    for entry in found["predictions"]:
        expected = scores[entry["image"].replace(os.sep, "/")]
        assert [top["name"] for top in entry["top"]] == [imagenet.class_names()[top["class"]] for top in entry["top"]]
        assert entry["top"][0]["class"] == expected.argmax()
        # logits of a size of 10 in float32, from batches of one and of three
        np.testing.assert_allclose([top["probability"] for top in entry["top"]],
                                   expected[[top["class"] for top in entry["top"]]], rtol=1e-4, atol=1e-9)


def test_look_sees_what_predict_sees_and_knows_the_same_classes(scores, capsys, monkeypatch):
    seen = []
    monkeypatch.setattr(look, "draw", lambda folder, model, saved, image, title, explained, layer: seen.append(
        (image, explained, layer)) or [])                       # drawing takes seconds, and is tested elsewhere
    words = ["resnet18", GREY, "--weights", "weights.safetensors", "--class", "tench", "--layer", "layer3.1"]
    found, _ = said(look, capsys, *words)
    assert found["explained"] == "tench" and seen[0][1:] == (0, "layer3.1") and seen[0][0].shape == (224, 224, 3)
    best = int(scores[GREY].argmax())
    assert found["top"][0]["class"] == imagenet.class_names()[best]
    assert found["top"][0]["probability"] == pytest.approx(scores[GREY][best], rel=1e-4)


def test_an_unknown_class_gets_the_nearest_name_and_not_a_thousand(capsys):
    words = ["resnet18", GREY, "--weights", "weights.safetensors", "--class", "tabbi"]
    assert look.main(words) == 2
    err = capsys.readouterr().err.splitlines()[-1]
    assert "unknown class 'tabbi'; did you mean tabby? Known: tench, " in err and err.endswith("… (1,000 in all)")
    assert len(err) < 1000


def test_weights_of_other_classes_get_numbers_for_names(capsys):
    found, _ = said(predict, capsys, "resnet18", SMALL, "--weights", "few.safetensors")
    assert sorted(top["name"] for top in found["predictions"][0]["top"]) == ["0", "1", "2"]


def sorted_into(folder, classes):
    """The three images as a data set of one class folder each."""
    for image, name in zip((LARGE, GREY, SMALL), classes):
        (folder / name).mkdir(parents=True)
        Image.open(image).save(folder / name / "image.png")


@pytest.mark.parametrize("spelling", ["wnids", "names", "underscores"])
def test_evaluate_scores_folders_named_as_some_of_imagenets_classes(scores, capsys, tmp_path, spelling):
    answers = [int(scores[name].argmax()) for name in (LARGE, GREY, SMALL)]
    numbers = [answers[0], (answers[0] + 500) % 1000, (answers[0] + 250) % 1000]
    assert answers[1] not in numbers                            # one is taken for a class that the data have not got
    names = (imagenet.wnids() if spelling == "wnids" else imagenet.class_names())
    chosen = [names[number].replace(" ", "_" if spelling == "underscores" else " ") for number in numbers]
    sorted_into(tmp_path / "images", chosen)
    found, err = said(evaluate, capsys, "resnet18", str(tmp_path / "images"), "--weights", "weights.safetensors",
                      "--confusion", str(tmp_path / "confusion.png"))
    assert "set aside" not in err and "trained on" not in err
    assert (found["n"], found["test_accuracy"]) == (3, pytest.approx(1 / 3))
    assert found["test_loss"] == pytest.approx(np.mean(
        [-np.log(scores[image][number]) for image, number in zip((LARGE, GREY, SMALL), numbers)]), rel=1e-4)
    order = sorted(range(3), key=lambda k: numbers[k])
    assert found["classes"] == [imagenet.class_names()[numbers[k]] for k in order] + ["(others)"]
    assert found["confusion"] == [[*(int(answers[k] == numbers[other]) for other in order),
                                   int(answers[k] not in numbers)] for k in order] + [[0] * 4]
    assert (tmp_path / "confusion.png").read_bytes().startswith(b"\x89PNG")


def test_evaluate_in_words_has_a_line_for_each_class_of_the_data(capsys, tmp_path):
    sorted_into(tmp_path / "images", ["tench", "golden retriever", "toilet tissue"])
    assert evaluate.main(["resnet18", str(tmp_path / "images"), "--weights", "weights.safetensors"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line[:17].rstrip() for line in lines[:4]] == ["class", "tench", "golden retriever", "toilet tissue"]
    assert len({len(line) for line in lines[:4]}) == 1 and lines[5].endswith("accuracy on the 3 test images of images")


def test_data_of_other_classes_are_refused(capsys, tmp_path):
    sorted_into(tmp_path / "images", ["tench", "my cat", "toilet tissue"])
    assert evaluate.main(["resnet18", str(tmp_path / "images"), "--weights", "weights.safetensors"]) == 1
    err = capsys.readouterr().err
    assert "expected data with its classes (1000: tench, goldfish, great white shark, …), got images (3: my cat" in err


@pytest.mark.parametrize("command", [predict, look, evaluate], ids=["predict", "look", "evaluate"])
@pytest.mark.parametrize("words, message", [
    (["resnet18"], "resnet18 is the name of a network that nobody has trained yet: add --weights FILE"),
    (["weights.safetensors", "--weights", "few.safetensors"], "weights.safetensors is a checkpoint and has its own"),
    (["resnet81", "--weights", "few.safetensors"], "unknown model 'resnet81'; did you mean resnet18?"),
    (["resnet18", "--weights", "none.safetensors"], "none.safetensors: expected a .safetensors file or hub:OWNER/REPO"),
    (["resnet18", "--weights", "few.safetensors", "--network", "net.py:net"], "--network is for checkpoints"),
])
def test_what_does_not_go_together_is_a_usage_error_that_says_what_to_do(command, words, message, capsys):
    assert command.main([words[0], "photos" if command is evaluate else SMALL, *words[1:]]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and message in captured.err


def test_a_network_is_made_for_the_images_and_classes_that_its_weights_say(capsys):
    own = Preprocessing((0.4,) * 3, (0.2,) * 3, size=(64, 48), resize=70)
    sn.save_weights(sn.models.create("resnet18", (64, 48, 3), classes=2), "small.safetensors", preprocessing=own)
    sn.save_weights(sn.models.create("lenet5", (32, 32, 3)), "rgb.safetensors")
    sn.save_weights(sn.models.create("lenet5_1998", classes=3), "1998.safetensors", class_names=["a", "b", "c"],
                    preprocessing=Preprocessing((0.1,), (0.3,), size=(32, 32)))
    for name, file, shape, classes in [("resnet18", "small", (64, 48, 3), 2), ("lenet5", "rgb", (32, 32, 3), 10),
                                       ("lenet5_1998", "1998", (32, 32, 1), 3)]:
        model, saved = open_weights(name, f"{file}.safetensors")
        assert model.input_shape == saved.input_shape == shape and saved.classes == classes
        assert file != "small" or saved.preprocessing == own
    capsys.readouterr()
    found, err = said(predict, capsys, "lenet5", SMALL, "--weights", "rgb.safetensors", "--top", "10")
    assert len(found["predictions"][0]["top"]) == 10 and len(err.splitlines()) == 1


def test_a_checkpoint_that_gives_its_weights_is_read_once(tmp_path, monkeypatch):
    model, reads, load = sn.models.create("lenet5", classes=2), [], checkpoint.load
    checkpoint.save(tmp_path / "best.safetensors", checkpoint.Checkpoint(
        model="lenet5", input_shape=model.input_shape, classes=2, class_names=["a", "b"],
        preprocessing=Preprocessing([0.1], [0.3], size=(32, 32)), dataset={}, optimizer={}, counters={},
        model_state=model.state_dict(), optimizer_state={}))
    monkeypatch.setattr(checkpoint, "load", lambda path: reads.append(path) or load(path))
    assert open_weights("lenet5", str(tmp_path))[1].class_names == ["a", "b"] and len(reads) == 1


def test_weights_that_nobody_knows_the_preprocessing_of_are_refused(capsys):
    sn.save_weights(sn.models.create("lenet5"), "lenet5.safetensors")
    assert predict.main(["lenet5", SMALL, "--weights", "lenet5.safetensors"]) == 1
    assert "expected weights that say how images are made into what the network takes" in capsys.readouterr().err


def test_names_of_classes_are_the_weights_own_or_imagenets_however_they_are_spelt():
    known, wnids = imagenet.class_names(), imagenet.wnids()
    latin = [f"{name}, Latin" for name in known]
    assert class_names(1000) == class_names(1000, wnids) == class_names(1000, latin) == known
    mine = [f"class {k}" for k in range(1000)]
    half = wnids[:500] + mine[500:]
    assert class_names(1000, half) == half and class_names(1000, mine) == mine
    assert class_names(2, ["a", "b"]) == ["a", "b"] and class_names(2) == ["0", "1"]


def test_fewer_large_images_go_through_a_network_together():
    assert batch_size(64, (32, 32, 3)) == 64 and batch_size(256, (28, 28, 1)) == 256
    assert batch_size(64, (224, 224, 3)) == 20 and batch_size(64, (5000, 5000, 3)) == 1


def test_digits_are_prepared_for_the_weights_of_a_run_as_for_the_run_itself(trained):
    picture = Image.new("L", (200, 240), 230)
    ImageDraw.Draw(picture).line([(110, 40), (95, 200)], 40, 22)           # dark on light: a 1
    picture.save(trained.folder / "one.png")
    by_run, by_name = (trained.run("-m", "scratchnet.predict", *words, "one.png", "--json") for words in (
        ["runs/lenet5-mnist-sample"], ["lenet5", "--weights", "runs/lenet5-mnist-sample"]))
    assert by_name.returncode == 0, by_name.stderr
    first, second = (json.loads(done.stdout)["predictions"] for done in (by_run, by_name))
    assert first == second
