"""Commands as users run them: processes with streams, signals and exit codes. One run serves many tests."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import scratchnet

ROOT = str(Path(scratchnet.__file__).parents[1])


def environment():
    """Ours, with the checkout importable from anywhere, and without a dataset folder of whoever tests."""
    env = {name: value for name, value in os.environ.items() if name != "SCRATCHNET_DATA"}
    return env | {"PYTHONPATH": os.pathsep.join(filter(None, [ROOT, env.get("PYTHONPATH")]))}


class Commands:
    """Runs python with words in `folder`; `.run` waits for a CompletedProcess, `.start` does not."""

    def __init__(self, folder):
        self.folder = folder
        self.settings = {"cwd": folder, "env": environment(), "encoding": "utf-8"}

    def run(self, *words):
        return subprocess.run([sys.executable, *words], capture_output=True, timeout=300, **self.settings)

    def start(self, *words):
        if os.name == "posix":      # tests that run in the background may have inherited an ignored Ctrl-C
            import signal
            self.settings["preexec_fn"] = lambda: signal.signal(signal.SIGINT, signal.default_int_handler)
        return subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                **self.settings)

    def rows(self, run):
        """metrics.jsonl of a run folder."""
        text = (self.folder / run / "metrics.jsonl").read_text("utf-8")
        return [json.loads(line) for line in text.splitlines()]


@pytest.fixture(scope="session")
def make_commands(tmp_path_factory):
    return lambda name: Commands(tmp_path_factory.mktemp(name))


@pytest.fixture(scope="session")
def trained(make_commands):
    """Commands where `train lenet5 mnist-sample` has run for an epoch; `.first` is what it said."""
    commands = make_commands("trained")
    commands.first = commands.run("-m", "scratchnet.train", "lenet5", "mnist-sample", "--epochs", "1")
    assert commands.first.returncode == 0, commands.first.stderr
    return commands
