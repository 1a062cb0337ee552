"""The folder of a training run: which one, and what goes into it."""

import contextlib
import datetime
import itertools
import shlex
import sys
from pathlib import Path

from scratchnet import checkpoint, cli, plots
from scratchnet.checkpoint import BEST, LAST, Checkpoint
from scratchnet.files import append_line, to_json, write_json
from scratchnet.info import versions

CONFIG, METRICS, RESULT = "config.json", "metrics.jsonl", "result.json"
CURVES, CONFUSION = "curves.png", "confusion.png"
FILES = (CONFIG, METRICS, RESULT, CURVES, CONFUSION, LAST, BEST)


def named(path):
    """The folder the user named, made if need be. UsageError where it holds a run or cannot be written."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / ".probe"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise cli.UsageError(f"--out {path}: expected a folder to write into, got {error}; "
                             "name another") from None
    held = [name for name in FILES if (path / name).exists()]
    if held:
        raise cli.UsageError(f"--out {path}: it holds another run ({', '.join(held)}); name another folder")
    return path


def unnamed(name):
    """A new folder runs/NAME, or runs/NAME-2, -3, … where that exists. OSError where none can be made."""
    try:
        Path("runs").mkdir(exist_ok=True)
        for number in itertools.count(1):
            path = Path("runs", name if number == 1 else f"{name}-{number}")
            with contextlib.suppress(FileExistsError):      # so two runs never share one
                path.mkdir()
                return path
    except OSError as error:
        raise OSError(f"runs/{name}: expected to make it, got {error}; name one with --out") from None


class RunFolder:
    """Writes the files of one run, each whole or not at all. What is in them is all that the run leaves."""

    def __init__(self, path, model_name, model, optimizer, splits, preprocessing):
        self.path, self.model_name, self.model, self.optimizer = path, model_name, model, optimizer
        self.splits, self.preprocessing = splits, preprocessing

    def write_config(self, command, **settings):
        """Everything that decides the result, before the first step."""
        write_json(self.path / CONFIG, {
            "command": shlex.join(["scratchnet", "train", *command]),
            "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
            "model": self.model_name, "input_shape": self.model.input_shape,
            "dataset": {"name": self.splits.name, "checksum": self.splits.checksum,
                        "source": self.splits.source},
            "class_names": self.splits.class_names, "preprocessing": self.preprocessing.to_dict(),
            **settings, "versions": versions()})

    def save(self, name, epoch, step):
        """A checkpoint, LAST or BEST, after so many finished epochs and steps."""
        checkpoint.save(self.path / name, Checkpoint(
            model=self.model_name, input_shape=self.model.input_shape, classes=len(self.splits.class_names),
            class_names=self.splits.class_names, preprocessing=self.preprocessing,
            dataset={"name": self.splits.name, "checksum": self.splits.checksum},
            optimizer=self.optimizer.config(), counters={"epoch": epoch, "step": step},
            model_state=self.model.state_dict(), optimizer_state=self.optimizer.state_dict()))

    def after_epoch(self, history):
        """A line of metrics, the last checkpoint, and the best one if this is it."""
        append_line(self.path / METRICS, to_json(history[-1]))
        self.save(LAST, len(history), history[-1]["step"])
        if history.best() is history[-1]:
            self.save(BEST, len(history), history[-1]["step"])

    def load_best(self):
        self.model.load_state_dict(checkpoint.load(self.path / BEST).model_state)

    def finish(self, result, history, counts, title):
        """result.json and the pictures."""
        write_json(self.path / RESULT, result)
        draw(plots.curves, self.path / CURVES, history, title)
        draw(plots.confusion, self.path / CONFUSION, counts, self.splits.class_names, title)


def draw(picture, path, *arguments):
    """A picture that cannot be drawn is a pity, not a failure: one line on stderr."""
    try:
        picture(path, *arguments)
    except Exception as error:                  # matplotlib, fonts and disks fail in many ways
        words = " ".join(str(error).split())
        print(f"warning: no {path.name}: {type(error).__name__}: {words}", file=sys.stderr)
