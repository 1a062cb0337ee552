"""`bench lenet5 --mode start`: from the start of a process to the end of its first training step, in turns.

Each engine is its own program, as a user of it would write it: PyTorch's is eager and does not import scratchnet. A
first round that is not counted fills the caches: ours of compiled kernels, Python's of compiled modules.
"""

import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from scratchnet.rivals import why_not

MODEL = "lenet5"

OURS = """
import sys
import numpy as np
import scratchnet as sn
from scratchnet.kernels.cpu import threads
batch, count = map(int, sys.argv[1:])
threads.set_threads(count)
model = sn.models.create("lenet5")
optimizer = sn.SGD(model.parameters(), lr=1e-3, momentum=0.9)
rng = np.random.default_rng(0)
images = rng.standard_normal((batch, 32, 32, 1), dtype=np.float32)
loss, _, backward = model.loss(images, rng.integers(0, 10, batch))
backward()
optimizer.step()
print(float(loss), flush=True)
"""

PYTORCH = """
import sys
import torch
from torch import nn
batch, count = map(int, sys.argv[1:])
torch.set_num_threads(count)
model = nn.Sequential(
    nn.Conv2d(1, 6, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Conv2d(6, 16, 5), nn.Tanh(), nn.AvgPool2d(2), nn.Flatten(),
    nn.Linear(400, 120), nn.Tanh(), nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, 10))
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
images, labels = torch.randn(batch, 1, 32, 32), torch.randint(0, 10, (batch,))
loss = nn.functional.cross_entropy(model(images), labels)
loss.backward()
optimizer.step()
print(loss.item(), flush=True)
"""


def measure(args, workload):
    """The result as a dict, seconds in the place of images a second."""
    programs, rows = {"scratchnet": OURS}, []
    for name in args.against:
        why = why_not(name, "training")
        if why is None:
            programs[name] = PYTORCH             # the only one that trains
        else:
            rows.append({"engine": name, "why": why})
    taken = {engine: [] for engine in programs}
    for round_ in range(args.rounds + 1):
        for engine, program in programs.items():
            seconds, loss = run(program, workload.batch, workload.threads)
            float(loss)
            if round_:                           # the first filled the caches
                taken[engine].append(seconds)
    return result(args, workload, taken, rows)


def result(args, workload, taken, rows):
    """The result as a dict: rows of the seconds `taken` by each engine, round by round, and `rows` of those without."""
    ours = taken["scratchnet"]
    timed = [{"engine": engine, "seconds": statistics.median(theirs), "lowest": min(theirs), "highest": max(theirs),
              "ratio": statistics.median(other / mine for mine, other in zip(ours, theirs))}
             for engine, theirs in taken.items()]
    return {"model": args.model, "mode": args.mode, "batch": args.batch, "threads": workload.threads,
            "rounds": args.rounds, "rows": timed + rows}


def run(program, *words):
    """(seconds until a fresh Python that runs `program` with these words says its first line, that line)."""
    root = str(Path(__file__).resolve().parents[1])
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)         # a checkout's modules would be compiled in every round
    started = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", program, *map(str, words)], stdout=subprocess.PIPE,
                          env=environment) as process:
        line = process.stdout.readline()
        seconds = time.perf_counter() - started
    if process.returncode:
        raise RuntimeError("bench: a program that was timed failed; its message stands above")
    return seconds, line
