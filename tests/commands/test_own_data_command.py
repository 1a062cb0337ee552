"""train FILE.py:FUNCTION FOLDER: a network and photographs of one's own, through every command."""

import json
import re

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

NET = """
import scratchnet as sn

def net(classes):
    return sn.Sequential(
        sn.Conv2D(16, 3, strides=2, use_bias=False), sn.BatchNorm(activation="relu"), sn.MaxPool2D(2),
        sn.Conv2D(32, 3, use_bias=False), sn.BatchNorm(activation="relu"), sn.MaxPool2D(2),
        sn.Conv2D(64, 3, use_bias=False), sn.BatchNorm(activation="relu"), sn.GlobalAvgPool2D(), sn.Dense(classes))
"""
KINDS = ("checks", "dots", "stripes", "waves")
SIZE = WIDTH, HEIGHT = 800, 600        # drawn, then enlarged to twice that


def photograph(kind, rng):
    """A pattern of any two colours that are not too near, in uneven light, a little out of focus, with grain."""
    ground = rng.integers(60, 200, 3)
    ink = (ground + rng.choice([-1, 1]) * rng.integers(50, 90, 3)).clip(0, 255)
    ground, ink = tuple(map(int, ground)), tuple(map(int, ink))
    image = Image.new("RGB", SIZE, ground)
    draw, step = ImageDraw.Draw(image), int(rng.integers(45, 100))
    if kind == "stripes":
        for x in range(-HEIGHT, WIDTH, step):
            draw.line([(x, 0), (x + int(rng.integers(-10, 10)), HEIGHT)], ink, step // 2)
    elif kind == "waves":
        for y in range(-step, HEIGHT + step, step):
            draw.line([(x, y + 15 * np.sin(x / 75)) for x in range(0, WIDTH + 10, 10)], ink, step // 2)
    elif kind == "dots":
        for _ in range(int(rng.integers(60, 110))):
            x, y, r = (int(rng.integers(*ends)) for ends in ((0, WIDTH), (0, HEIGHT), (12, 35)))
            draw.ellipse([x - r, y - r, x + r, y + r], ink)
    else:
        for x in range(0, WIDTH, step):
            for y in range(0, HEIGHT, step):
                if (x // step + y // step) % 2:
                    draw.rectangle([x, y, x + step, y + step], ink)
    light, grain = (Image.fromarray(rng.integers(*ends, shape).astype(np.uint8)).resize(SIZE, Image.Resampling.BICUBIC)
                    for ends, shape in (((150, 256), (3, 4)), ((0, 60), (HEIGHT // 2, WIDTH // 2))))
    image = Image.composite(image.filter(ImageFilter.BoxBlur(1)), Image.new("RGB", SIZE), light)
    image = Image.composite(Image.new("RGB", SIZE, (128, 128, 128)), image, grain)
    return image.resize((2 * WIDTH, 2 * HEIGHT))


@pytest.fixture(scope="module")
def own(make_commands):
    """Commands in a folder with mynet.py and photos/CLASS/*.jpg, where the network was trained; `.done` is what it said."""
    commands, rng = make_commands("own"), np.random.default_rng(0)
    (commands.folder / "mynet.py").write_text(NET, "utf-8")
    for kind in KINDS:
        (commands.folder / "photos" / kind).mkdir(parents=True)
        for index in range(48):
            photograph(kind, rng).save(commands.folder / "photos" / kind / f"IMG_{index:04}.JPG", "JPEG", quality=85)
    commands.done = commands.run("-m", "scratchnet.train", "mynet.py:net", "photos")
    assert commands.done.returncode == 0, commands.done.stderr
    return commands


def test_photographs_of_four_classes_are_told_apart(own):
    result = json.loads((own.folder / "runs/net-photos/result.json").read_text("utf-8"))
    assert result["test_accuracy"] >= 0.9 and result["n"] == 20
    assert own.done.stdout.splitlines()[-1] == f"{result['test_accuracy']:.2%} accuracy on the 20 test images of photos"


def test_the_log_shows_that_images_are_decoded_beside_the_steps(own):
    """Threads work while the steps run: the steps wait for less than all that decoding takes."""
    found = re.search(r"epoch  1/30 .* decoding (\d+) images took ([\d.]+) s of \d+ threads, for which the steps waited "
                      r"([\d.]+) s", own.done.stderr)
    assert found, own.done.stderr
    assert int(found[1]) >= 50 and float(found[3]) < 0.7 * float(found[2])
    assert "epoch  2/30" in own.done.stderr and own.done.stderr.count("decoding ") == 1     # they are kept in memory


def test_what_the_data_decide_is_printed(own):
    assert "net on photos: 23,956 parameters, 4 classes, images of 3 channels, resized and cut to 128x128; 156 to train, " \
           "16 to validate, 20 to test; into runs" in own.done.stderr
    assert "photos has no test images: 20 of the training images" in own.done.stderr


def test_the_split_and_the_network_are_kept_as_text(own):
    split = json.loads((own.folder / "runs/net-photos/split.json").read_text("utf-8"))
    assert [len(split[part]) for part in ("train", "validation", "test")] == [156, 16, 20]
    assert len({name for names in split.values() for name in names}) == 192
    config = json.loads((own.folder / "runs/net-photos/config.json").read_text("utf-8"))
    assert (config["model"], config["network"]) == ("mynet.py:net", NET)
    assert own.run("-m", "scratchnet.summary", "runs/net-photos", "--text").stdout == NET
    shown = own.run("-m", "scratchnet.summary", "runs/net-photos", "--network", "mynet.py:net").stdout
    assert "23,956 parameters" in shown


def test_evaluate_scores_the_same_images_again_with_the_file_that_is_named(own):
    done = own.run("-m", "scratchnet.evaluate", "runs/net-photos", "photos", "--network", "mynet.py:net", "--json")
    assert done.returncode == 0, done.stderr
    result = json.loads((own.folder / "runs/net-photos/result.json").read_text("utf-8"))
    assert json.loads(done.stdout)["test_accuracy"] == result["test_accuracy"]
    done = own.run("-m", "scratchnet.evaluate", "runs/net-photos", "photos")
    assert done.returncode == 1 and "name a FILE.py:FUNCTION that makes it (--network;" in done.stderr


def test_predict_names_the_class_of_a_new_photograph(own):
    photograph("dots", np.random.default_rng(99)).save(own.folder / "new.png")
    done = own.run("-m", "scratchnet.predict", "runs/net-photos", "new.png", "--network", "mynet.py:net", "--json")
    assert done.returncode == 0, done.stderr
    top = json.loads(done.stdout)["predictions"][0]["top"]
    assert top[0]["name"] == "dots" and sum(entry["probability"] for entry in top) == pytest.approx(1)


def test_resuming_a_finished_run_prints_its_result_and_other_data_are_refused(own):
    again = own.run("-m", "scratchnet.train", "mynet.py:net", "photos", "--resume")
    assert (again.returncode, again.stdout) == (0, own.done.stdout)
    photograph("waves", np.random.default_rng(98)).save(own.folder / "photos/waves/more.png")
    other = own.run("-m", "scratchnet.train", "mynet.py:net", "photos", "--resume")
    (own.folder / "photos/waves/more.png").unlink()
    assert other.returncode == 2 and "dataset: " in other.stderr and "the run was started with: " in other.stderr
