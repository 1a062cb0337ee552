"""The folder of a training run: which one, what goes into it, and how a run goes on after it was cut off.

config.json is written first and never changes; a checkpoint follows before the first step. Each file is whole or not
there at any moment. last.safetensors is what counts: metrics.jsonl is written before it, and cut back to it by a
resume; best.safetensors is written after it, and made again from it if the process died between the two.
"""

import contextlib
import datetime
import itertools
import json
import os
import re
import sys
import time
from pathlib import Path

from scratchnet import checkpoint, plots
from scratchnet.checkpoint import BEST, LAST, Checkpoint
from scratchnet.files import remove_leftovers, to_json, write_atomically, write_json
from scratchnet.history import FIELDS, History
from scratchnet.info import processor, versions
from scratchnet.nonfinite import check_state
from scratchnet.position import Position
from scratchnet.tensorboard import TensorBoard

CONFIG, METRICS, RESULT, SPLIT = "config.json", "metrics.jsonl", "result.json", "split.json"
CURVES, CONFUSION, MISTAKES, FILTERS = "curves.png", "confusion.png", "mistakes.png", "filters.png"
FILES = (CONFIG, METRICS, RESULT, CURVES, CONFUSION, MISTAKES, FILTERS, LAST, BEST)
ENVIRONMENT = ("versions", "processor", "threads", "device")    # other ones may give other bits
INCIDENTAL = ("command", "started", "asked_for", "source", "weights_source", "workers", "save_every")   # these cannot


class RunFolderError(ValueError):
    """A folder that cannot be written, or holds another run."""


def named(path, resume=False):
    """The folder the user named, made if need be. RunFolderError where it holds a run or cannot be written."""
    path = Path(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        probe = path / f".probe-{os.getpid()}"
        probe.touch()
        probe.unlink()
    except OSError as error:
        raise RunFolderError(f"{path}: expected a folder to write into, got {error}; name another") from None
    refuse_another(path, resume)
    return path


def refuse_another(path, resume):
    """RunFolderError where files of a run are here that a new one would write over, or, to go on with, without the
    two that make it possible."""
    held = [name for name in FILES if (path / name).exists()]
    if held and not resume:
        raise RunFolderError(f"{path}: it holds another run ({', '.join(held)}); name another folder, or go on "
                             "with that run (--resume, resume=True)")
    missing = [name for name in (CONFIG, LAST) if name not in held]
    if missing and held and held != [CONFIG]:           # alone, config.json is of a run that ended before its first step
        raise RunFolderError(f"{path}: expected {' and '.join(missing)} of the run to go on with, got only "
                             f"{', '.join(held)}; name another folder")


def unnamed(name, resume=False):
    """A new folder runs/NAME, or runs/NAME-2, -3, … where that exists; with resume the last of those that exist.
    OSError where none can be made."""
    try:
        Path("runs").mkdir(exist_ok=True)
        numbers = {1 if path.name == name else int(path.name[len(name) + 1:]) for path in Path("runs").iterdir()
                   if re.fullmatch(rf"{re.escape(name)}(-[1-9]\d*)?", path.name)}
        if resume and numbers:
            return _numbered(name, max(numbers))
        for number in itertools.count(1):
            with contextlib.suppress(FileExistsError):      # so two runs never share one
                path = _numbered(name, number)
                path.mkdir()
                return path
    except OSError as error:
        raise OSError(f"runs/{name}: expected to make it, got {error}; name one with --out") from None


def _numbered(name, number):
    return Path("runs", name if number == 1 else f"{name}-{number}")


class RunFolder:
    """Writes the files of one run, each whole or not at all. What is in them is all that the run leaves.

    about: the fields of Checkpoint that stay the same. save_every: seconds after which an epoch under way is saved.
    tensorboard: events for it, too.
    """

    def __init__(self, path, model, optimizer, about, save_every=float("inf"), tensorboard=False):
        self.path, self.model, self.optimizer, self.about = path, model, optimizer, about
        self.save_every, self.saved = save_every, time.monotonic()
        self.tensorboard, self.board = tensorboard, None

    def begin(self, settings, files=None, resume=False):
        """The Position to go on from: of a new run, whose settings are written, or of the one that is here.

        files: the names of a folder dataset's splits. RunFolderError lists where the settings differ from the run's.
        """
        settings = self._config(settings)
        refuse_another(self.path, resume)               # again, now that nobody else writes here
        if resume and (self.path / LAST).exists():
            self._compare(settings)
            position = self._continue()
        else:
            if (self.path / CONFIG).exists():
                self._compare(settings)
            if resume:
                print(f"{self.path}: no checkpoint to resume from yet; starting", file=sys.stderr)
            position = self._start(settings, files)
        if self.tensorboard and self.result() is None:
            self.board = TensorBoard(self.path / "tensorboard")
            for row in position.history:            # again: what is written by a thread a kill -9 may have cut short
                self.board.row(row)
        return position

    def after_step(self, position):
        """A checkpoint inside a long epoch."""
        if time.monotonic() - self.saved > self.save_every:
            self.save(LAST, position)

    def after_epoch(self, position):
        """Metrics, then the last checkpoint, then the best one if this is it."""
        self._write_metrics(position.history)
        self.save(LAST, position)
        if _last_is_best(position.history):
            self.save(BEST, position)
        if self.board:
            self.board.row(position.history[-1])

    def save(self, name, position):
        """A checkpoint, LAST or BEST, of the model as it is. FloatingPointError instead of one that is not finite."""
        state = self.model.state_dict()
        check_state(state, position.step)
        checkpoint.save(self.path / name, Checkpoint(
            **self.about, optimizer=self.optimizer.config(),
            counters={"epoch": position.epoch, "step": position.step},
            model_state=state, optimizer_state=self.optimizer.state_dict(),
            progress=position.state_dict()))
        self.saved = time.monotonic()

    def load_best(self):
        """The weights of the best epoch, into the model. FileNotFoundError where somebody has removed them."""
        self.model.load_state_dict(checkpoint.load(self.path / BEST).model_state)

    def result(self):
        """The values of a finished run's result.json, else None."""
        try:
            return self._read_json(RESULT, "it is that of a finished run; remove it, and a resume makes it again")
        except FileNotFoundError:
            return None

    def finish(self, values, history, found, images, title):
        """The pictures, then result.json, whose being there says that the run has finished.

        found: the Evaluation of the images, or None where there was nothing to score."""
        names = self.about["class_names"]
        draw(plots.curves, self.path / CURVES, history, title)
        if any(parameter.value.ndim == 4 for parameter in self.model.parameters().values()):
            draw(plots.filters, self.path / FILTERS, self.model)
        if found is not None:
            draw(plots.confusion, self.path / CONFUSION, found.confusion, names, title)
            draw(plots.mistakes, self.path / MISTAKES, images, found.true, found.predictions, found.confidences, names,
                 title)
        if self.board:
            for name in (CURVES, FILTERS, CONFUSION, MISTAKES):
                if (self.path / name).exists():
                    self.board.picture(name.removesuffix(".png"), self.path / name, history[-1]["step"])
            self.board.close()
        write_json(self.path / RESULT, values)

    def _config(self, settings):
        """Everything that decides the result, and what it runs on, as it comes back from JSON."""
        about = {name: value for name, value in self.about.items() if name != "preprocessing"}
        preprocessing = self.about["preprocessing"]
        optimizer = {name: value for name, value in self.optimizer.config().items() if name != "lr"}    # the schedule's
        return json.loads(to_json({
            "started": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"), **about,
            "preprocessing": preprocessing and preprocessing.to_dict(), "optimizer_settings": optimizer,
            **settings, "versions": versions(), "processor": processor()}))

    def _start(self, settings, files):
        remove_leftovers(self.path)
        write_json(self.path / CONFIG, settings)
        if files is not None:
            write_json(self.path / SPLIT, files)
        self.save(LAST, Position())
        return Position()

    def _compare(self, settings):
        there = self._read_json(CONFIG, "it says how the run was started, and it cannot go on without")
        differences = list(_differences(there, settings))
        if differences:
            raise RunFolderError(f"{self.path}: cannot be resumed, its settings are not those asked for: "
                                 f"{'; '.join(differences)}; the run was started with: {there.get('command')}")
        for name in ENVIRONMENT:
            if there.get(name) != settings.get(name):
                print(f"warning: {name} of the run: {there.get(name)}, now: {settings.get(name)}; the result may "
                      "differ in the last bits from that of an uninterrupted run", file=sys.stderr)

    def _continue(self):
        saved = checkpoint.load(self.path / LAST)
        history = self._read_metrics(saved.counters["epoch"])
        position = Position.from_state(saved.counters["step"], history, saved.progress)
        self.model.load_state_dict(saved.model_state)
        self.optimizer.load_state_dict(saved.optimizer_state)
        self.optimizer.lr = saved.optimizer["lr"]
        remove_leftovers(self.path)
        self._write_metrics(history)
        if position.tally is None and _last_is_best(history):
            self.save(BEST, position)               # the process may have ended just before it was to write this
        where = "it has finished, after" if self.result() is not None else "resuming after"
        print(f"{self.path}: {where} epoch {position.epoch}, step {position.step}", file=sys.stderr)
        return position

    def _read_json(self, name, advice):
        """A file of ours that holds an object. RunFolderError for anything else."""
        try:
            values = json.loads((self.path / name).read_text("utf-8"))
        except FileNotFoundError:
            raise
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{self.path / name}: expected JSON, got {error}; {advice}") from None
        if not isinstance(values, dict) or not values:
            raise RunFolderError(f"{self.path / name}: expected a JSON object, got {_short(values)}; {advice}")
        return values

    def _write_metrics(self, history):
        if history:
            write_atomically(self.path / METRICS, "".join(to_json(row) + "\n" for row in history).encode("utf-8"))
        else:
            (self.path / METRICS).unlink(missing_ok=True)

    def _read_metrics(self, epochs):
        """The rows of the first so many epochs; those after them were not yet safe."""
        try:
            lines = (self.path / METRICS).read_text("utf-8").splitlines() if epochs else []
            history = History(json.loads(line) for line in lines[:epochs])
            if not all(isinstance(row, dict) and set(FIELDS) <= set(row) for row in history):
                raise ValueError(f"a line without {', '.join(FIELDS)}")
        except (OSError, ValueError) as error:
            raise RunFolderError(f"{self.path / METRICS}: expected a line of JSON for each epoch, got "
                                 f"{error}") from None
        if len(history) < epochs:
            raise RunFolderError(f"{self.path / METRICS}: expected at least the {epochs} epochs of {LAST}, got "
                                 f"{len(history)}; the file was changed, and the run cannot go on without it")
        return history


def _last_is_best(history):
    return bool(history) and history[-1]["validation_accuracy"] is not None and history.best() is history[-1]


def _differences(there, here):
    """Words for each setting that decides the result and is not the same."""
    for name in dict.fromkeys([*there, *here]):
        if name not in ENVIRONMENT + INCIDENTAL and there.get(name) != here.get(name):
            yield f"{name}: {_short(there.get(name))} there, {_short(here.get(name))} here"


def _short(value):
    text = to_json(value)
    return text if len(text) <= 80 else f"{text[:76]} …"


def draw(picture, path, *arguments):
    """A picture that cannot be drawn is a pity, not a failure: one line on stderr."""
    try:
        picture(path, *arguments)
    except Exception as error:                  # matplotlib, fonts and disks fail in many ways
        words = " ".join(str(error).split())
        print(f"warning: no {path.name}: {type(error).__name__}: {words}", file=sys.stderr)
