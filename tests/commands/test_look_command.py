"""look: three pictures of an image, made as predict makes its input, and nothing overwritten."""

import io
import json

import numpy as np
import pytest
from PIL import Image

import scratchnet as sn
from scratchnet import look, predict

RUN = "runs/lenet5-mnist-sample"
FILES = ["feature_maps.png", "filters.png", "grad_cam.png"]


@pytest.fixture
def folder(trained, monkeypatch):
    """The working folder, with a trained run and a digit 3 in three.png."""
    digits = sn.data.load("mnist-sample").test
    pixels = digits.images[digits.labels == 3][2, ..., 0]                       # (28, 28)
    Image.fromarray(pixels).save(trained.folder / "three.png")
    monkeypatch.chdir(trained.folder)
    return trained.folder


def looks(folder):
    return sorted(path.name for path in (folder / "look").iterdir()) if (folder / "look").exists() else []


def test_three_pictures_are_drawn_and_the_top_classes_named(folder, capsys):
    assert look.main([RUN, "three.png", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folder"].replace("\\", "/") == "look/three"
    assert sorted(path.name for path in (folder / "look" / "three").iterdir()) == sorted(found["files"]) == FILES
    for name in FILES:
        with Image.open(io.BytesIO((folder / "look" / "three" / name).read_bytes())) as picture:
            assert picture.format == "PNG" and np.asarray(picture.convert("L")).std() > 10, f"{name} is a blank page"
    shares = [top["probability"] for top in found["top"]]
    assert shares == sorted(shares, reverse=True) and 0.5 < sum(shares) <= 1 + 1e-9 and len(shares) == 5
    assert found["explained"] == found["top"][0]["class"] == "3"


def test_a_second_look_gets_a_folder_of_its_own_and_says_so_in_words(folder, capsys):
    assert look.main([RUN, "three.png", "--out", "first"]) == look.main([RUN, "three.png"]) == 0
    there = looks(folder)
    capsys.readouterr()
    assert look.main([RUN, "three.png", "--class", "8", "--layer", "pool1"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 6 and lines[0].split()[0] == "3" and lines[0].endswith("%")
    new, = set(looks(folder)) - set(there)
    assert new.startswith("three-")
    assert lines[-1].replace("\\", "/") == f"look/{new}: filters.png, feature_maps.png, grad_cam.png"


def test_it_agrees_with_predict(folder, capsys):
    assert look.main([RUN, "three.png", "--json"]) == 0
    looked = json.loads(capsys.readouterr().out)["top"]
    assert predict.main([RUN, "three.png", "--json"]) == 0
    said = capsys.readouterr().out
    assert all(f"{top['probability']:.9f}"[:8] in said for top in looked[:2]), said


def test_pictures_that_are_there_are_not_overwritten(folder, capsys):
    (folder / "mine").mkdir()
    (folder / "mine" / "grad_cam.png").write_bytes(b"mine")
    assert look.main([RUN, "three.png", "--out", "mine"]) == 2
    assert "got one with grad_cam.png; name another or remove them" in capsys.readouterr().err
    assert [path.name for path in (folder / "mine").iterdir()] == ["grad_cam.png"]
    assert (folder / "mine" / "grad_cam.png").read_bytes() == b"mine"


def test_what_a_network_cannot_show_is_a_line_not_a_failure(folder, tmp_path, capsys):
    """One without a convolution has neither filters nor a Grad-CAM."""
    model = sn.Sequential(flat=sn.Flatten(), out=sn.Dense(10))
    model.init(0, (32, 32, 1))
    _, saved = sn.checkpoint.load_model(RUN)
    image = np.zeros((32, 32, 1), np.float32)
    assert look.draw(tmp_path, model, saved, image, "title", 3) == ["feature_maps.png"]
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(":")[0] for line in lines] == ["no filters.png", "no grad_cam.png"]


@pytest.mark.parametrize("words, code, message", [
    (["runs/none", "three.png"], 2, "runs/none: expected a checkpoint"),
    ([RUN, "none.png"], 1, "none.png: "),
    ([RUN, f"{RUN}/result.json"], 1, "result.json: expected an image"),
    ([RUN, "three.png", "--layer", "conv3"], 2, "unknown layer 'conv3'; did you mean conv"),
    ([RUN, "three.png", "--class", "ten"], 2, "unknown class 'ten'"),
])
def test_what_is_wrong_is_said_in_a_line_and_leaves_nothing(folder, capsys, words, code, message):
    before = looks(folder)
    assert look.main(words) == code
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and message in said.err.replace("\\", "/")
    assert looks(folder) == before
