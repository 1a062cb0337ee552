"""sn.fit(..., out=FOLDER) in a script leaves what the command leaves."""

import json

import numpy as np
from PIL import Image

import scratchnet as sn
from scratchnet import checkpoint
from scratchnet.run_folder import FILES

RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 256, (60, 8, 8, 3)).astype(np.uint8), np.arange(60) % 3


def network():
    model = sn.Sequential(conv=sn.Conv2D(4, 3, activation="relu"), flat=sn.Flatten(), fc=sn.Dense(3))
    model.init(0, (8, 8, 3))
    return model


def test_the_files_and_pictures_of_a_run(tmp_path):
    model = network()
    history = sn.fit(model, (X, Y), (X[:12], Y[:12]), epochs=2, batch_size=10, out=tmp_path / "mine", progress=False)
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == sorted(FILES)
    for name in FILES:
        if name.endswith(".png"):
            with Image.open(tmp_path / "mine" / name) as image:
                assert min(image.size) >= 200
    rows = [json.loads(line) for line in (tmp_path / "mine/metrics.jsonl").read_text("utf-8").splitlines()]
    assert rows == history and len(rows) == 2
    result = json.loads((tmp_path / "mine/result.json").read_text("utf-8"))
    assert result["validation_accuracy"] == history[-1]["validation_accuracy"] and result["n"] == 12
    saved = checkpoint.load(tmp_path / "mine/last.safetensors")
    for name, value in model.state_dict().items():
        assert np.array_equal(saved.model_state[name], value)


def test_without_a_validation_set_there_is_no_best_and_no_confusion(tmp_path):
    sn.fit(network(), (X, Y), epochs=1, out=tmp_path, progress=False)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == set(FILES) - {"best.safetensors", "confusion.png", "mistakes.png"}


def test_float_images_are_kept_as_such(tmp_path):
    images = X.astype("float32") / 255 - 0.5
    sn.fit(network(), (images, Y), (images, Y), epochs=1, out=tmp_path, progress=False)
    assert checkpoint.load(tmp_path).preprocessing is None
    assert (tmp_path / "mistakes.png").is_file()


def test_nothing_is_written_unless_a_folder_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sn.fit(network(), (X, Y), epochs=1, progress=False)
    assert not list(tmp_path.iterdir())
