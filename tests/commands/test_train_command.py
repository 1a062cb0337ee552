"""train: the files it leaves, what goes to which stream, and that a seed decides every bit."""

import json

import pytest

import scratchnet as sn
from scratchnet import checkpoint, run_folder

RUN = "runs/lenet5-mnist-sample"
LAST_LINE = "accuracy on 2,000 held-out sample digits, not MNIST's test set"


@pytest.fixture(scope="module")
def again(trained):
    """The same command a second time in the same folder, now with --json."""
    done = trained.run("-m", "scratchnet", "train", "lenet5", "mnist-sample", "--epochs", "1", "--json")
    assert done.returncode == 0, done.stderr
    return done


def test_it_leaves_the_files_of_a_run_and_nothing_else(trained):
    assert sorted(path.name for path in (trained.folder / RUN).iterdir()) == sorted(run_folder.FILES)
    for name in ("curves.png", "confusion.png"):
        assert (trained.folder / RUN / name).read_bytes().startswith(b"\x89PNG")


def test_stdout_ends_with_what_the_accuracy_was_measured_on(trained):
    lines = trained.first.stdout.splitlines()
    result = json.loads((trained.folder / RUN / "result.json").read_text("utf-8"))
    assert lines[-1] == f"{result['test_accuracy']:.2%} {LAST_LINE}"
    assert lines[0].replace("\\", "/") == f"run folder {RUN}"


def test_progress_goes_to_stderr_one_plain_line_an_epoch(trained):
    lines = [line for line in trained.first.stderr.splitlines() if not line.startswith("compiling kernels")]
    assert lines[0].startswith("lenet5 on mnist-sample: 61,706 parameters, 10 classes, 28x28x1 images, zero-padded to "
                               "32x32; 7,200 to train, 800 to validate, 2,000 to test; into runs")
    assert lines[1].startswith("epoch 1/1") and len(lines) == 2


def test_metrics_have_a_row_for_each_epoch(trained):
    rows = trained.rows(RUN)
    assert [tuple(row) for row in rows] == [sn.history.FIELDS]
    assert (rows[0]["epoch"], rows[0]["step"]) == (1, 113)              # 7,200 images in batches of 64
    assert rows[0]["validation_accuracy"] > 0.85


def test_config_says_all_that_decides_the_result(trained):
    config = json.loads((trained.folder / RUN / "config.json").read_text("utf-8"))
    assert config["command"] == "scratchnet train lenet5 mnist-sample --epochs 1"
    assert config["dataset"]["name"] == "mnist-sample" and len(config["dataset"]["checksum"]) == 64
    assert (config["seed"], config["optimizer"], config["lr"], config["epochs"]) == (0, "sgd", 0.05, 1)
    assert {"python", "numpy", "numba", "scratchnet"} <= set(config["versions"])


def test_result_says_which_weights_were_scored_on_what(trained):
    result = json.loads((trained.folder / RUN / "result.json").read_text("utf-8"))
    assert (result["dataset"], result["n"], result["weights"]) == ("mnist-sample", 2000, "best.safetensors")
    assert result["best_epoch"] == 1 and result["test_accuracy"] > 0.85


def test_the_checkpoint_holds_the_network_and_how_to_feed_it(trained):
    model, saved = checkpoint.load_model(trained.folder / RUN)
    assert (saved.model, saved.classes, saved.class_names[3]) == ("lenet5", 10, "3")
    assert saved.preprocessing.padding == ((2, 2), (2, 2))
    last = checkpoint.load(trained.folder / RUN / "last.safetensors")
    assert saved.counters == last.counters == {"epoch": 1, "step": 113}
    assert sum(p.value.size for p in model.parameters().values()) == 61_706


def test_an_existing_default_folder_gets_a_number_which_is_printed(trained, again):
    assert f"{RUN}-2" in again.stderr.replace("\\", "/")
    assert (trained.folder / f"{RUN}-2" / "result.json").is_file()


def test_json_is_one_object_on_stdout(again):
    values = json.loads(again.stdout)
    assert values["folder"].replace("\\", "/") == f"{RUN}-2"
    assert values["n"] == 2000 and values["test_accuracy"] > 0.85


def test_the_same_seed_gives_the_same_bits(trained, again):
    for name in ("best.safetensors", "last.safetensors"):
        assert (trained.folder / RUN / name).read_bytes() == (trained.folder / f"{RUN}-2" / name).read_bytes()
    timed = ("seconds", "images_per_second")
    first, second = ([{k: v for k, v in row.items() if k not in timed} for row in trained.rows(run)]
                     for run in (RUN, f"{RUN}-2"))
    assert first == second


FALLBACK = """
import functools, sys
from scratchnet.data import mnist
nowhere = dict(cache={cache!r}, mirrors=["http://127.0.0.1:9/"], patience=1)
mnist.load_mnist = functools.partial(mnist.load_mnist, **nowhere)
from scratchnet.train import main
sys.exit(main(["lenet5", "mnist", "--epochs", "1", "--threads", "1"]))
"""


@pytest.fixture(scope="module")
def without_network(make_commands):
    commands = make_commands("offline")
    commands.done = commands.run("-c", FALLBACK.format(cache=str(commands.folder / "cache")))
    assert commands.done.returncode == 0, commands.done.stderr
    return commands


def test_without_a_network_everything_bears_the_name_of_the_sample(without_network):
    folder = without_network.folder / RUN
    assert [path.name for path in (without_network.folder / "runs").iterdir()] == ["lenet5-mnist-sample"]
    config = json.loads((folder / "config.json").read_text("utf-8"))
    assert (config["dataset"]["name"], config["asked_for"]) == ("mnist-sample", "mnist")
    assert config["validation_fraction"] == 0.1                         # the sample's recipe, not MNIST's
    assert json.loads((folder / "result.json").read_text("utf-8"))["dataset"] == "mnist-sample"
    assert checkpoint.load(folder).dataset["name"] == "mnist-sample"


def test_without_a_network_the_first_and_the_last_word_is_that_this_is_not_mnist(without_network):
    assert without_network.done.stdout.splitlines()[-1].endswith(LAST_LINE)
    assert "the embedded sample" in without_network.done.stderr and "127.0.0.1" in without_network.done.stderr


def test_a_picture_that_cannot_be_drawn_is_one_warning(tmp_path, capsys):
    from scratchnet.run_folder import draw

    def picture(path):
        raise RuntimeError("no fonts\nanywhere")

    draw(picture, tmp_path / "curves.png")
    assert capsys.readouterr().err == "warning: no curves.png: RuntimeError: no fonts anywhere\n"
