"""--precision of train, evaluate and predict: where it is refused, what a run remembers, what it changes."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

import scratchnet as sn
from scratchnet import backend, cli, evaluate, predict, train
from scratchnet.kernels.cuda.precision import precision

NET = """
import scratchnet as sn

def net(classes):
    return sn.Sequential(sn.Conv2D(4, 3, strides=2, use_bias=False), sn.BatchNorm(activation="relu"), sn.MaxPool2D(2),
                         sn.Flatten(), sn.Dense(classes))
"""
COMMANDS = {"train": (train, ["lenet5", "mnist-sample"]), "evaluate": (evaluate, ["model.safetensors", "mnist-sample"]),
            "predict": (predict, ["model.safetensors", "image.png"])}
TRAIN = ["net.py:net", "photos", "--epochs", "1", "--batch-size", "5", "--device", "cuda", "--out", "run"]
BF16 = ["--precision", "bf16"]


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """Into a folder with net.py and photos/{train,val,test}/{dark,light}."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.py").write_text(NET)
    (tmp_path / "model.safetensors").touch()
    rng = np.random.default_rng(0)
    for split, count in (("train", 5), ("val", 2), ("test", 2)):
        for name, low in (("dark", 0), ("light", 128)):
            (tmp_path / "photos" / split / name).mkdir(parents=True)
            for index in range(count):
                pixels = rng.integers(low, low + 128, (10, 11, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / "photos" / split / name / f"{index}.png")


@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("device", ["cpu", "auto", None])
def test_a_precision_that_the_cpu_does_not_have_is_refused_with_what_to_do(name, device, photos, monkeypatch, capsys):
    monkeypatch.setitem(backend._loaded, "gpu", (False, "no such luck"))
    (main, argv), asked = COMMANDS[name], [] if device is None else ["--device", device]
    assert main.main([*argv, *BF16, *asked]) == 2
    why = "" if device == "cpu" else " (no such luck)"
    assert capsys.readouterr().err == (
        f"scratchnet {name}: --precision bf16: expected a GPU, got the CPU{why}, which computes in float32; take --device "
        "cuda where there is one, or leave --precision out\n")


def test_a_gpu_without_the_tensor_cores_refuses_it(cupy, monkeypatch):
    import cupy as module
    monkeypatch.setattr(module.cuda, "Device", lambda: SimpleNamespace(compute_capability="75"))
    words = "bf16: expected a GPU of compute capability 8.0 or above, got NumPy in disguise"
    with pytest.raises(cli.UsageError, match=f"--precision {words}"):
        cli.choose_device(SimpleNamespace(threads=None, precision="bf16", device="cuda"))
    with sn.use_precision("float32"), pytest.raises(RuntimeError, match=words):
        with sn.use_precision("bf16"):
            pass
    assert precision.name == "float32"


def test_an_unknown_precision_is_refused_with_those_that_there_are(photos, capsys):
    assert train.main([*COMMANDS["train"][1], "--precision", "bf61"]) == 2
    assert "argument --precision: unknown 'bf61'; did you mean bf16? known: float32, tf32, bf16" in capsys.readouterr().err


def test_a_run_remembers_its_precision_and_goes_on_in_no_other(cupy, photos, capsys):
    dtypes = set()
    with sn.watch(lambda path, when, y, *_: dtypes.add(str(y.dtype))):
        assert train.main([*TRAIN, *BF16]) == 0, capsys.readouterr().err
    assert dtypes == {"bfloat16"} and precision.name == "float32"
    with open("run/config.json") as file:
        assert json.load(file)["precision"] == "bf16"
    for other in ([], ["--precision", "tf32"]):
        assert train.main([*TRAIN, *other, "--resume"]) == 2
        assert "its settings are not those asked for: precision: \"bf16\" there, " in capsys.readouterr().err
    assert train.main([*TRAIN, *BF16, "--resume"]) == 0
    assert "it has finished" in capsys.readouterr().err


def test_a_script_s_run_remembers_its_precision_and_goes_on_in_no_other(cupy, tmp_path):
    def run(precision, device="cuda", **settings):
        model = sn.Sequential(flat=sn.Flatten(), fc=sn.Dense(2))
        model.init(0, (4, 4, 1))
        with sn.use_precision(precision):
            sn.fit(sn.to_device(model, device), (np.zeros((4, 4, 4, 1), np.uint8), np.arange(4) % 2), epochs=1,
                   out=tmp_path / f"{precision} {device}", progress=False, **settings)
        return json.loads((tmp_path / f"{precision} {device}" / "config.json").read_text("utf-8"))["precision"]
    assert (run("bf16"), run("float32"), run("bf16", "cpu")) == ("bf16", None, None)
    (tmp_path / "bf16 cuda").rename(tmp_path / "tf32 cuda")
    with pytest.raises(ValueError, match='precision: "bf16" there, "tf32"'):
        run("tf32", resume=True)


def test_evaluate_and_predict_in_bfloat16_say_nearly_what_they_say_in_float32(cupy, photos, capsys):
    assert train.main(TRAIN) == 0
    with open("run/config.json") as file:
        assert json.load(file)["precision"] is None
    network = ["--network", "net.py:net", "--device", "cuda", "--json"]
    images = [f"photos/test/{name}/{index}.png" for name in ("dark", "light") for index in range(2)]
    said = {}
    for name in backend.PRECISIONS:
        capsys.readouterr()
        assert evaluate.main(["run", "photos", *network, "--precision", name]) == 0
        loss = json.loads(capsys.readouterr().out)["test_loss"]
        assert predict.main(["run", *images, *network, "--precision", name]) == 0
        predictions = json.loads(capsys.readouterr().out)["predictions"]
        said[name] = [loss, *(top["probability"] for entry in predictions for top in sorted(entry["top"], key=str))]
    assert said["bf16"] != said["float32"]
    np.testing.assert_allclose(said["bf16"], said["float32"], rtol=0.05)
    np.testing.assert_allclose(said["tf32"], said["float32"], rtol=0.01)
