"""predict: digits as a phone sees them, folders, files that are no images, and what --show saves."""

import json
import os
import shutil
import sys

import numpy as np
import pytest
import tqdm
from drawn_digits import mask, photograph
from PIL import Image

import scratchnet as sn
from scratchnet import checkpoint, predict
from scratchnet.data import Preprocessing, load
from scratchnet.data.images import to_pixels

RUN = "runs/lenet5-mnist-sample"


@pytest.fixture
def folder(trained, monkeypatch, tmp_path):
    """The working folder, empty but for the runs of a lenet5 that an epoch on the sample has trained."""
    shutil.copytree(trained.folder / "runs", tmp_path / "runs")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def predictions(capsys):
    """predict --json in this process: its predictions."""
    def run(*words):
        code = predict.main([*map(str, words), "--json"])
        said = capsys.readouterr()
        assert code == 0, said.err
        return json.loads(said.out)["predictions"]
    return run


def save(path, pixels):
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(np.round(pixels).astype(np.uint8)).save(path)


def test_photographs_of_digits_on_paper_are_predicted_right_in_18_of_20(folder, predictions):
    """The acceptance of issue 3: two drawings of each digit, off-centre, shaded, of a pen of any width and colour."""
    (folder / "phone").mkdir()
    for digit in range(10):
        for seed in (0, 1):
            (folder / "phone" / f"{digit}-{seed}.jpg").write_bytes(photograph(digit, seed))
    found = predictions(RUN, "phone")
    assert len(found) == 20
    wrong = [(entry["image"], entry["top"][0]["name"]) for entry in found
             if entry["top"][0]["name"] != os.path.basename(entry["image"])[0]]
    assert len(wrong) <= 2, wrong


def test_both_polarities_and_transparent_drawings_give_one_answer(folder, predictions):
    ink = mask(7, np.random.default_rng(1), (240, 200), 120, (80, 100), 14)
    colour = np.zeros((*ink.shape, 3))
    save(folder / "dark.png", 255 - 255 * ink)
    save(folder / "light.png", 30 + 200 * ink)
    save(folder / "black_ink.png", np.dstack([colour, 255 * ink]))
    save(folder / "white_ink.png", np.dstack([colour + 255, 255 * ink]))
    found = predictions(RUN, *(folder / name for name in ("dark.png", "light.png", "black_ink.png", "white_ink.png")))
    assert [entry["top"][0]["name"] for entry in found] == ["7"] * 4
    shares = [entry["top"][0]["probability"] for entry in found]
    assert max(shares) - min(shares) < 0.02


def test_the_top_classes_come_with_probabilities_that_sum_to_one(folder, predictions, capsys):
    save(folder / "3.png", 255 - 255 * mask(3, np.random.default_rng(0), (100, 80), 70, (40, 50), 7))
    (entry,) = predictions(RUN, "3.png", "--top", "10")
    assert entry["image"] == "3.png" and sorted(top["class"] for top in entry["top"]) == list(range(10))
    assert [top["name"] for top in entry["top"]] == [str(top["class"]) for top in entry["top"]]
    shares = [top["probability"] for top in entry["top"]]
    assert shares == sorted(shares, reverse=True) and sum(shares) == pytest.approx(1, abs=1e-12)
    assert predict.main([RUN, "3.png"]) == 0
    said = capsys.readouterr()
    expected = "  ".join(f"{top['name']} {top['probability']:.1%}" for top in entry["top"][:5])
    assert (said.out, said.err) == (f"3.png  {expected}\n", "")


def test_probabilities_are_the_softmax_of_what_the_model_says_of_mnists_own_image(folder, predictions):
    """An image of the sample, as a file, is seen as the test set's: the same scores, but for edges and rounding."""
    digits = load("mnist-sample").test
    model, saved = checkpoint.load_model(RUN)
    save(folder / "one.png", digits.images[0, ..., 0])
    scores = model(saved.preprocessing(digits.images[:1]))[0].astype(np.float64)
    (entry,) = predictions(RUN, "one.png", "--top", 10)
    for top in entry["top"]:
        expected = np.exp(scores[top["class"]]) / np.exp(scores).sum()
        assert top["probability"] == pytest.approx(expected, abs=0.03)


def test_a_folder_stands_for_its_images_sorted_without_hidden_ones_and_other_files(folder, predictions):
    pixels = 255 - 255 * mask(1, np.random.default_rng(0), (60, 60), 40, (30, 30), 5)
    for name in ("b.png", "A.PNG", "c.jpeg", ".hidden.png", "d.bmp"):
        save(folder / "many" / name, pixels)
    (folder / "many" / "notes.txt").write_text("no image")
    (folder / "many" / "deeper.png").mkdir()
    found = predictions(RUN, "many", "many/b.png")
    assert [entry["image"].replace(os.sep, "/") for entry in found] == \
        ["many/A.PNG", "many/b.png", "many/c.jpeg", "many/d.bmp", "many/b.png"]


def test_more_images_than_a_batch_are_predicted_as_one_by_one(folder, predictions, monkeypatch):
    for digit in range(5):
        ink = mask(digit, np.random.default_rng(5), (60, 60), 40, (30, 30))
        save(folder / "many" / f"{digit}.png", 255 - 255 * ink)
    whole = predictions(RUN, "many")
    monkeypatch.setattr(predict, "BATCH_SIZE", 2)
    for entry, other in zip(whole, predictions(RUN, "many"), strict=True):
        assert entry["image"] == other["image"]
        assert [top["probability"] for top in entry["top"]] == \
            pytest.approx([top["probability"] for top in other["top"]], rel=1e-5)


def test_on_a_terminal_a_bar_says_how_far_it_is_and_no_line_ends_up_behind_it(folder, capsys, monkeypatch):
    for digit in range(5):
        ink = mask(digit, np.random.default_rng(5), (60, 60), 40, (30, 30))
        save(folder / "many" / f"{digit}.png", 255 - 255 * ink)
    (folder / "many" / "3.png").write_bytes(b"no image")
    class Eager(tqdm.tqdm):
        def __init__(self, **settings):
            super().__init__(**settings, mininterval=0)         # else it is drawn ten times a second at most

    monkeypatch.setattr(tqdm, "tqdm", Eager)
    monkeypatch.setattr(predict, "BATCH_SIZE", 2)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    assert predict.main([RUN, "many", "--top", "1"]) == 1
    said = capsys.readouterr()
    assert [line.split()[0].replace(os.sep, "/") for line in said.out.splitlines()] == \
        [f"many/{digit}.png" for digit in (0, 1, 2, 4)]
    assert "2/5" in said.err and "4/5" in said.err
    assert "\rscratchnet predict: many/3.png" in said.err.replace(os.sep, "/")      # the bar was taken away before it


def test_what_cannot_be_read_is_named_and_the_others_are_predicted(folder, capsys):
    save(folder / "good.png", 255 - 255 * mask(0, np.random.default_rng(0), (60, 60), 40, (30, 30), 5))
    (folder / "cut.png").write_bytes((folder / "good.png").read_bytes()[:200])
    (folder / "text.png").write_text("no image")
    save(folder / "blank.png", np.full((60, 60), 255))
    assert predict.main([RUN, "cut.png", "nowhere.png", "good.png", "text.png", "blank.png"]) == 1
    said = capsys.readouterr()
    assert said.out.startswith("good.png ") and said.out.count("\n") == 1
    lines = said.err.splitlines()
    for line, start in zip(lines, (
            "cut.png: expected a whole image", "nowhere.png: expected an image file, got none",
            "text.png: expected an image", "blank.png: expected a digit that stands out",
            "4 of 5 images could not be predicted"), strict=True):
        assert line.startswith(f"scratchnet predict: {start}"), line


def test_show_saves_one_image_enlarged_pixel_by_pixel(folder, predictions):
    save(folder / "digit.png", 255 - 255 * mask(4, np.random.default_rng(0), (100, 80), 70, (40, 50), 7))
    predictions(RUN, "digit.png", "--show", "seen.png")
    shown = np.asarray(Image.open(folder / "seen.png"))
    seen = predict.network_sees(folder / "digit.png", checkpoint.load(RUN))
    assert shown.shape == (280, 280) and seen.shape == (28, 28, 1)
    np.testing.assert_array_equal(shown, np.kron(seen[..., 0], np.ones((10, 10), np.uint8)))


def test_show_saves_several_images_as_a_contact_sheet(folder, predictions, monkeypatch):
    for digit in range(3):
        ink = mask(digit, np.random.default_rng(5), (60, 60), 40, (30, 30))
        save(folder / "many" / f"{digit}$.png", 255 - 255 * ink)
    predictions(RUN, "many", "--show", "seen.png")
    sheet = np.asarray(Image.open(folder / "seen.png").convert("L"))
    assert (sheet < 10).mean() > 0.2 and (sheet > 250).mean() > 0.2         # black squares on a white page
    monkeypatch.setattr(predict, "MOST", 2)
    monkeypatch.setattr("scratchnet.plots.inputs.MOST", 2)
    predictions(RUN, "many", "--show", "fewer.png")
    fewer = np.asarray(Image.open(folder / "fewer.png").convert("L"))
    assert 0.55 < (fewer < 10).sum() / (sheet < 10).sum() < 0.8             # two of three


def test_show_does_not_write_over_an_image(folder, capsys):
    save(folder / "digit.png", 255 - 255 * mask(4, np.random.default_rng(0), (100, 80), 70, (40, 50), 7))
    before = (folder / "digit.png").read_bytes()
    assert predict.main([RUN, "digit.png", "--show", "./digit.png"]) == 2
    assert "got one of the images; name another file" in capsys.readouterr().err
    assert (folder / "digit.png").read_bytes() == before


@pytest.mark.parametrize("words, message", [
    (["nowhere", "a.png"], "nowhere: expected a checkpoint"),
    ([RUN, "empty"], "empty: expected a folder with images"),
    ([RUN, "a.png", "--top", "0"], "expected a whole number of at least 1"),
    ([RUN], "required: IMAGE"),
])
def test_what_is_known_before_an_image_is_read_is_exit_code_2(folder, capsys, words, message):
    (folder / "empty").mkdir()
    assert predict.main(words) == 2
    assert message in capsys.readouterr().err


@pytest.fixture
def colours(folder):
    """A checkpoint of a tiny network of a script, for 16x12 photographs, padded by one row; its class names."""
    (folder / "net.py").write_text(
        "import scratchnet as sn\ndef net(input_shape, classes):\n"
        "    return sn.Sequential(pool=sn.GlobalAvgPool2D(), out=sn.Dense(classes))\n")
    model = sn.Sequential(pool=sn.GlobalAvgPool2D(), out=sn.Dense(3))
    model.init(0, (18, 12, 3))
    model.parameters()["out.weight"].value = 20 * np.eye(3, dtype=np.float32)     # the score of a class is its colour
    checkpoint.save("net.safetensors", checkpoint.Checkpoint(
        model="net.py:net", input_shape=(18, 12, 3), classes=3, class_names=["red", "green\n", "blue"],
        preprocessing=Preprocessing((0.5,) * 3, (0.5,) * 3, ((1, 1), (0, 0))),
        dataset={"name": "photos", "checksum": ""}, optimizer={}, counters={"epoch": 1, "step": 1},
        model_state=model.state_dict(), optimizer_state={}, network="text"))
    return folder


def test_images_of_other_networks_are_seen_as_their_data_set_has_them(colours, predictions):
    rng = np.random.default_rng(0)
    for k, name in enumerate(("red", "green", "blue")):
        photo = rng.integers(0, 100, (50, 90, 3))
        photo[..., k] += 150
        save(colours / f"{name}.png", photo)
    found = predictions("net.safetensors", "--network", "net.py:net", "red.png", "green.png", "blue.png")
    assert [entry["top"][0]["name"] for entry in found] == ["red", "green\n", "blue"]
    saved = checkpoint.load("net.safetensors")
    seen = predict.network_sees("red.png", saved)
    assert seen.shape == (16, 12, 3)                    # the input without its padding
    np.testing.assert_array_equal(seen, to_pixels(Image.open("red.png"), (16, 12), 3))
    taken = predict.network_input("red.png", saved)
    np.testing.assert_allclose(taken[1:-1], seen / 127.5 - 1, atol=1e-6)
    np.testing.assert_allclose(taken[[0, -1]], -1, atol=1e-6)


def test_a_users_own_network_is_run_only_where_it_is_named_and_names_stay_on_their_line(colours, capsys):
    save(colours / "green.png", np.array([[[0, 255, 0]]]).repeat(20, 0).repeat(20, 1))
    assert predict.main(["net.safetensors", "green.png"]) == 1
    assert "--network" in capsys.readouterr().err
    assert predict.main(["net.safetensors", "green.png", "--network", "net.py:net", "--top", "1"]) == 0
    assert capsys.readouterr().out == "green.png  green? 100.0%\n"


def test_a_network_that_ends_in_a_softmax_is_not_given_a_second_one():
    model = sn.Sequential(flat=sn.Flatten(), out=sn.Dense(4), last=sn.Softmax())
    model.init(0, (2, 2, 1))
    images = np.random.default_rng(0).random((3, 2, 2, 1)).astype(np.float32)
    shares = predict.probabilities(model, images)
    assert shares.dtype == np.float64
    np.testing.assert_allclose(shares, model(images), rtol=1e-6)
    np.testing.assert_allclose(shares.sum(axis=1), 1, rtol=1e-15)


def test_a_checkpoint_of_float_arrays_is_refused(colours, capsys):
    saved = checkpoint.load("net.safetensors")
    checkpoint.save("floats.safetensors", checkpoint.Checkpoint(
        **{**vars(saved), "preprocessing": None}))
    save(colours / "green.png", np.zeros((20, 20, 3)))
    assert predict.main(["floats.safetensors", "green.png", "--network", "net.py:net"]) == 1
    assert "floats.safetensors: expected a network that takes images" in capsys.readouterr().err


def test_the_command_runs_as_a_process_and_keeps_its_streams_apart(trained):
    ink = mask(5, np.random.default_rng(0), (100, 80), 70, (40, 50), 7)
    save(trained.folder / "two" / "five.png", 255 - 255 * ink)
    done = trained.run("-m", "scratchnet", "predict", RUN, "two", "nowhere.png", "--json")
    assert done.returncode == 1 and "nowhere.png" in done.stderr
    assert json.loads(done.stdout)["predictions"][0]["top"][0]["name"] == "5"
