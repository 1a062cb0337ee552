"""Kill a training run with kill -9 at random moments, resume it each time, and compare its bits with a whole run's.

    python tests/kill_harness.py                    # 50 kills, some three minutes
    python tests/kill_harness.py --kills 6 --seed 1

Images in folders, augmentation with mixup, dropout, batch normalisation; each optimiser with another schedule and
warm-up; checkpoints several times an epoch. Writing is slowed down, so that a good part of the kills fall into it.
After each kill every file under a final name must be whole. Prints "50 of 50" and exits with 0 where all went well.
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))                   # a script in tests/ does not find a bare checkout's package

from scratchnet import checkpoint  # noqa: E402

EPOCHS = 4
CONFIGURATIONS = (
    ("--optimizer", "sgd", "--lr", "0.02", "--schedule", "cosine", "--augment", "crop=2,flip,mixup"),
    ("--optimizer", "rmsprop", "--schedule", "step", "--warm-up", "1", "--augment", "affine,cutout=3"),
    ("--optimizer", "adam", "--schedule", "one-cycle", "--label-smoothing", "0.1", "--augment", "resized-crop,color"),
    ("--optimizer", "adamw", "--schedule", "constant", "--warm-up", "1.5", "--augment", "elastic,mixup=0.4"),
    ("--optimizer", "sgd", "--lr", "0.02", "--no-nesterov", "--schedule", "one-cycle"),
)

NET = """
import scratchnet as sn

def net(input_shape, classes):
    return sn.Sequential(conv=sn.Conv2D(8, 3, use_bias=False), norm=sn.BatchNorm(activation="relu"), pool=sn.MaxPool2D(2),
                         drop=sn.Dropout(0.25), flat=sn.Flatten(), fc=sn.Dense(classes))
"""

# `train` as it is, but says when it has begun, and writes as slowly as to a bad disk.
DRIVER = """
import io, sys, time
from scratchnet import files, run_folder, train

class Slowly(io.FileIO):
    def write(self, content):
        content = memoryview(content)
        for first in range(0, len(content), 1 + len(content) // 4):
            super().write(content[first:first + 1 + len(content) // 4])
            time.sleep(0.004)
        return len(content)

def begin(self, *arguments, **settings):
    print("begun", flush=True)
    return actual(self, *arguments, **settings)

files.open = lambda path, mode: Slowly(path, mode)
actual, run_folder.RunFolder.begin = run_folder.RunFolder.begin, begin
sys.exit(train.main(sys.argv[1:]))
"""


def make_images(folder, rng):
    """Three classes of noisy stripes, that lean one way, or the other, or not at all."""
    for split, count in (("train", 64), ("val", 12), ("test", 12)):
        for slope in (-1, 0, 1):
            place = folder / split / f"slope {slope}"
            place.mkdir(parents=True)
            for index in range(count):
                y, x = np.mgrid[:12, :12]
                stripes = 60 * np.sin((x + slope * y) * 0.9 + rng.uniform(0, 6)) + rng.normal(128, 30, (12, 12))
                Image.fromarray(stripes.clip(0, 255).astype(np.uint8)).save(place / f"{index:03}.png")


class Runs:
    """Training runs in `folder`, all of one configuration."""

    def __init__(self, folder, options):
        self.folder = folder
        self.words = [sys.executable, "-c", DRIVER, "net.py:net", "images", "--epochs", str(EPOCHS), "--batch-size", "16",
                      "--save-every", "0.002", *options]

    def start(self, out, *more):
        path = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
        return subprocess.Popen([*self.words, "--out", out, *more], cwd=self.folder, stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, encoding="utf-8", env=os.environ | {"PYTHONPATH": path})

    def whole(self, out, *more):
        """Run to the end; (seconds until it had begun, seconds from there to the end)."""
        started = time.monotonic()
        process = self.start(out, *more)
        process.stdout.readline()
        begun = time.monotonic()
        words, error = process.communicate(timeout=300)
        if process.returncode:
            raise SystemExit(f"{' '.join(self.words[3:])} {out}: exit code {process.returncode}\n{error}")
        return begun - started, time.monotonic() - begun

    def killed(self, out, moment, begun):
        """Start or resume, and kill `moment` seconds after the start, or after it has begun. False: it was over before."""
        process = self.start(out, "--resume")
        if begun:
            process.stdout.readline()
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.kill()                      # kill -9
        _, error = process.communicate(timeout=60)
        if process.returncode > 0:
            raise SystemExit(f"{out}: resuming failed with exit code {process.returncode}\n{error}")
        return process.returncode != 0


def half_written(folder):
    """Names of files that are not whole, leftovers under temporary names excepted."""
    for path in folder.glob("*"):
        try:
            if path.suffix == ".safetensors":
                checkpoint.load(path)
            elif path.suffix in (".json", ".jsonl"):
                for line in path.read_text("utf-8").splitlines() if path.suffix == ".jsonl" else [path.read_text("utf-8")]:
                    json.loads(line)
            elif path.suffix == ".png":
                with Image.open(path) as image:
                    image.load()
        except Exception as error:
            yield f"{path.name}: {error}"


def differences(whole, pieced):
    """Names of files in which two runs differ, times and commands aside."""
    incidental = ("seconds", "images_per_second", "started", "command")
    names = {path.name for folder in (whole, pieced) for path in folder.iterdir()}
    for name in sorted(names):
        one, two = whole / name, pieced / name
        if not (one.exists() and two.exists()):
            yield f"{name} is in one folder only"
        elif one.suffix in (".json", ".jsonl"):
            texts = [path.read_text("utf-8") for path in (one, two)]
            rows = [[json.loads(line) for line in text.splitlines()] if one.suffix == ".jsonl" else [json.loads(text)]
                    for text in texts]
            stripped = [[{k: v for k, v in row.items() if k not in incidental} for row in some] for some in rows]
            if stripped[0] != stripped[1]:
                yield name
        elif name != "curves.png" and one.read_bytes() != two.read_bytes():
            yield name


def harass(folder, options, kills, rng):
    """How many of so many kills were survived by runs of this configuration."""
    runs, survived = Runs(folder, options), 0
    runs.whole("warm")                          # compiles and caches the kernels
    startup, duration = runs.whole("whole")
    chain, spent = 0, 0
    while spent < kills:
        out, chain = f"pieced-{chain}", chain + 1
        in_this_run, complaints = 0, []
        while spent + in_this_run < kills:
            begun = rng.random() < 0.85
            moment = rng.uniform(0, duration / 4 if begun else startup)
            if not runs.killed(out, moment, begun):
                break
            in_this_run += 1
            complaints += half_written(folder / out)
        runs.whole(out, "--resume")
        complaints += differences(folder / "whole", folder / out)
        spent += in_this_run
        if complaints:
            print(f"{' '.join(options)}: after {in_this_run} kills of {out}: {'; '.join(complaints)}", file=sys.stderr)
        else:
            survived += in_this_run
    print(f"{survived} of {kills}: {' '.join(options)}; a whole run takes {duration:.1f} s, {chain} were cut up",
          file=sys.stderr, flush=True)
    return survived


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    args = parser.parse_args(argv)
    rng, survived = random.Random(args.seed), 0
    count = min(len(CONFIGURATIONS), args.kills)
    for index, options in enumerate(CONFIGURATIONS[:count]):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "net.py").write_text(NET, "utf-8")
            make_images(folder / "images", np.random.default_rng(0))
            share = args.kills * (index + 1) // count - args.kills * index // count
            survived += harass(folder, options, share, rng)
    print(f"{survived} of {args.kills}")
    return 0 if survived == args.kills else 1


if __name__ == "__main__":
    sys.exit(main())
