"""A run that was cut off and resumed ends with the bits of one that was not: every optimiser, every schedule."""

import dataclasses
import itertools
import json
import shutil

import numpy as np
import pytest

import scratchnet as sn
from scratchnet import checkpoint, recipes
from scratchnet.checkpoint import BEST, LAST
from scratchnet.data import Batches
from scratchnet.lock import Locked, locked
from scratchnet.recipes import Recipe
from scratchnet.run_folder import METRICS, RunFolderError

RNG = np.random.default_rng(0)
X, Y = RNG.integers(0, 256, (50, 6, 6, 1)).astype(np.uint8), RNG.integers(0, 3, 50)
EPOCHS, BATCHES = 3, 5                          # 40 images in batches of 8
TIMES = ("seconds", "images_per_second")


class PowerCut(Exception):
    pass


def network():
    model = sn.Sequential(conv=sn.Conv2D(4, 3), norm=sn.BatchNorm(activation="relu"), drop=sn.Dropout(0.3),
                          flat=sn.Flatten(), fc=sn.Dense(3))
    model.init(0, (6, 6, 1))
    return model


def shaken(images, labels, samples, epoch):
    """An augmentation: brighter or darker by a number that (epoch, sample) decides, and soft labels."""
    shift = np.array([hash((epoch, int(sample))) % 40 for sample in samples], np.float32)
    soft = np.eye(3, dtype=np.float32)[labels] * 0.9 + 0.1 / 3
    return images.astype(np.float32) + shift[:, None, None, None], soft


@pytest.fixture(autouse=True)
def no_pictures(monkeypatch):
    """They take most of the time, and test_script_run.py looks at them."""
    monkeypatch.setattr("scratchnet.run_folder.draw", lambda *arguments: None)


def train(folder, recipe, cut=None, cut_epoch=None, resume=False, model=None):
    """The history of a run into `folder`, which a power cut ends right after step `cut`, or epoch `cut_epoch`."""
    model = model or network()

    def after_step(position):
        if position.step == cut:
            raise PowerCut

    def after_epoch(position):
        if position.epoch == cut_epoch:
            raise PowerCut

    return sn.fit(model, Batches(X[:40], Y[:40], 8, seed=1, augment=shaken), (X[40:], Y[40:]), epochs=EPOCHS,
                  optimizer=recipe.make_optimizer(model.parameters()), schedule=recipe.make_schedule(BATCHES),
                  out=folder, resume=resume, progress=False, after_step=after_step, after_epoch=after_epoch)


def untimed(history):
    return [{key: value for key, value in row.items() if key not in TIMES} for row in history]


def bits(folder):
    """Everything that shall not depend on how often the run was cut off."""
    rows = [json.loads(line) for line in (folder / METRICS).read_text("utf-8").splitlines()]
    return (folder / LAST).read_bytes(), (folder / BEST).read_bytes(), untimed(rows)


RECIPES = [Recipe(optimizer=optimizer, schedule=schedule, lr=0.01, momentum=0.9 if optimizer == "sgd" else 0.0,
                  nesterov=False, warm_up=warm_up)
           for optimizer, schedule, warm_up in zip(
               itertools.cycle(recipes.OPTIMIZERS), (*recipes.SCHEDULES, *recipes.SCHEDULES[:1]), (0, 1, 0.5, 1, 2))]


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda r: f"{r.optimizer}, {r.schedule}, warm-up {r.warm_up}")
def test_cut_off_after_any_step_and_resumed_it_ends_with_the_same_bits(tmp_path, recipe, monkeypatch):
    monkeypatch.setattr("scratchnet.script_run.SAVE_EVERY", 0)          # a checkpoint after every step
    whole = train(tmp_path / "whole", recipe)
    for cut in (1, 4, 5, 6, 13, 14):
        folder = tmp_path / f"cut-{cut}"
        with pytest.raises(PowerCut):
            train(folder, recipe, cut)
        assert checkpoint.load(folder / LAST).counters == {"epoch": (cut - (cut % 5 == 0)) // 5, "step": cut}
        history = train(folder, recipe, resume=True)
        assert untimed(history) == untimed(whole)
        assert bits(folder) == bits(tmp_path / "whole")


def test_what_was_done_since_the_last_checkpoint_is_done_again(tmp_path):
    whole = train(tmp_path / "whole", Recipe(lr=0.01))
    with pytest.raises(PowerCut):
        train(tmp_path / "cut", Recipe(lr=0.01), cut=8)
    assert checkpoint.load(tmp_path / "cut" / LAST).counters == {"epoch": 1, "step": 5}
    assert untimed(train(tmp_path / "cut", Recipe(lr=0.01), resume=True)) == untimed(whole)
    assert bits(tmp_path / "cut") == bits(tmp_path / "whole")


def test_metrics_ahead_of_the_checkpoint_are_cut_back(tmp_path):
    """They are written before it, and between the two the process may end."""
    train(tmp_path / "whole", Recipe(lr=0.01))
    with pytest.raises(PowerCut):
        train(tmp_path / "cut", Recipe(lr=0.01), cut=7)
    shutil.copy(tmp_path / "whole" / METRICS, tmp_path / "cut" / METRICS)
    (tmp_path / "cut" / ".last.safetensors.123-4.part").write_bytes(b"half")
    train(tmp_path / "cut", Recipe(lr=0.01), resume=True)
    assert bits(tmp_path / "cut") == bits(tmp_path / "whole")
    assert not list((tmp_path / "cut").glob(".*"))


def test_a_best_checkpoint_that_is_behind_the_last_one_is_made_again(tmp_path):
    """It is written after it."""
    whole = train(tmp_path / "whole", Recipe(lr=0.01))
    with pytest.raises(PowerCut):
        train(tmp_path / "cut", Recipe(lr=0.01), cut_epoch=whole.best()["epoch"])
    shutil.copy(tmp_path / "cut" / LAST, tmp_path / "cut" / BEST)
    behind = dataclasses.replace(checkpoint.load(tmp_path / "cut" / BEST), counters={"epoch": 0, "step": 0})
    checkpoint.save(tmp_path / "cut" / BEST, behind)
    train(tmp_path / "cut", Recipe(lr=0.01), resume=True)
    assert bits(tmp_path / "cut") == bits(tmp_path / "whole")


def test_without_a_checkpoint_it_starts_and_says_so(tmp_path, capsys):
    train(tmp_path / "whole", Recipe(lr=0.01))
    train(tmp_path / "new", Recipe(lr=0.01), resume=True)
    assert "no checkpoint to resume from yet; starting" in capsys.readouterr().err
    assert bits(tmp_path / "new") == bits(tmp_path / "whole")


def test_a_finished_run_gives_its_history_again_and_changes_nothing(tmp_path):
    whole = train(tmp_path / "whole", Recipe(lr=0.01))
    before = {path.name: (path.read_bytes(), path.stat().st_mtime_ns) for path in (tmp_path / "whole").iterdir()
              if path.name not in (METRICS, BEST)}
    assert train(tmp_path / "whole", Recipe(lr=0.01), resume=True) == whole
    assert before == {path.name: (path.read_bytes(), path.stat().st_mtime_ns)
                      for path in (tmp_path / "whole").iterdir() if path.name not in (METRICS, BEST)}


def test_other_settings_are_listed_and_nothing_is_touched(tmp_path):
    with pytest.raises(PowerCut):
        train(tmp_path, Recipe(lr=0.01), cut=7)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(RunFolderError, match="learning_rates: "):
        train(tmp_path, Recipe(lr=0.01, schedule="cosine"), resume=True)
    other = sn.Sequential(sn.Flatten(), sn.Dense(3))
    other.init(0, (6, 6, 1))
    with pytest.raises(RunFolderError) as raised:
        train(tmp_path, Recipe(optimizer="rmsprop", lr=0.02), resume=True, model=other)
    for name in ("optimizer_settings", "learning_rates", "summary"):
        assert f"{name}: " in str(raised.value)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_folder_with_a_run_is_not_overwritten(tmp_path):
    train(tmp_path, Recipe(lr=0.01))
    with pytest.raises(RunFolderError, match="it holds another run .*--resume"):
        train(tmp_path, Recipe(lr=0.01))


def test_a_run_whose_last_checkpoint_is_gone_is_not_begun_again_over_what_is_left(tmp_path):
    train(tmp_path, Recipe(lr=0.01))
    (tmp_path / LAST).unlink()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(RunFolderError, match="expected last.safetensors of the run to go on with, got only config.json"):
        train(tmp_path, Recipe(lr=0.01), resume=True)
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir()}


def test_a_run_that_another_process_made_meanwhile_is_not_overwritten(tmp_path, monkeypatch):
    """Between the look at the folder and the lock another run may come and go."""
    train(tmp_path, Recipe(lr=0.01))
    monkeypatch.setattr("scratchnet.script_run.named", lambda out, resume: out)
    with pytest.raises(RunFolderError, match="it holds another run"):
        train(tmp_path, Recipe(lr=0.01))


def test_weights_that_are_not_finite_never_replace_a_checkpoint(tmp_path, monkeypatch):
    monkeypatch.setattr("scratchnet.script_run.SAVE_EVERY", 0)
    recipe = Recipe(optimizer="sgd", lr=1e38, momentum=0.9, schedule="constant")
    with pytest.raises(FloatingPointError), np.errstate(all="ignore"):
        train(tmp_path, recipe)
    saved = checkpoint.load(tmp_path / LAST)
    assert all(np.isfinite(value).all() for value in saved.model_state.values())


@pytest.mark.parametrize("name, text", [("config.json", "[]"), (METRICS, "5\n5\n"), (METRICS, "{}\n{}\n")])
def test_files_that_were_edited_are_named(tmp_path, name, text):
    with pytest.raises(PowerCut):
        train(tmp_path, Recipe(lr=0.01), cut=12)
    (tmp_path / name).write_text(text)
    with pytest.raises(RunFolderError, match=name):
        train(tmp_path, Recipe(lr=0.01), resume=True)


def test_metrics_that_were_shortened_are_an_error(tmp_path):
    with pytest.raises(PowerCut):
        train(tmp_path, Recipe(lr=0.01), cut=12)
    (tmp_path / METRICS).write_text((tmp_path / METRICS).read_text().splitlines()[0] + "\n")
    with pytest.raises(RunFolderError, match="expected at least the 2 epochs of last.safetensors, got 1"):
        train(tmp_path, Recipe(lr=0.01), resume=True)


def test_another_machine_or_version_is_a_warning(tmp_path, capsys):
    with pytest.raises(PowerCut):
        train(tmp_path, Recipe(lr=0.01), cut=7)
    config = json.loads((tmp_path / "config.json").read_text("utf-8"))
    config["versions"]["numpy"] = "1.0"
    (tmp_path / "config.json").write_text(json.dumps(config), "utf-8")
    train(tmp_path, Recipe(lr=0.01), resume=True)
    assert "warning: versions of the run" in capsys.readouterr().err


def test_two_writers_are_kept_apart(tmp_path):
    with locked(tmp_path), pytest.raises(Locked, match="another process is writing this run"):
        with locked(tmp_path):
            raise AssertionError("locked twice")
    with locked(tmp_path):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_leaves_the_last_good_checkpoint(tmp_path):
    """A limit on the size of files stands in for a full disk: the write fails half-way."""
    resource = pytest.importorskip("resource", reason="limits on the size of files are POSIX's")
    with pytest.raises(PowerCut):
        train(tmp_path, Recipe(lr=0.01), cut=7)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != METRICS}
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(OSError):
            train(tmp_path, Recipe(lr=0.01), resume=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert before == {path.name: path.read_bytes() for path in tmp_path.iterdir() if path.name != METRICS}
    whole = train(tmp_path / "whole", Recipe(lr=0.01))
    assert untimed(train(tmp_path, Recipe(lr=0.01), resume=True)) == untimed(whole)
