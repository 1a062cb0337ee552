"""Trains every network of the zoo at full size for a few steps on two random images, and shows loss, memory and time.

    python tests/zoo_training.py [NAME ...] [--steps N] [--lr LR]

Each in a process of its own: a fixed batch of noise, labels at random, SGD with momentum 0.9 through the model's own
loss, which must fall, while the peak of resident memory stays under 8 GB. Exit code 1 where one does not. The whole
zoo takes about ten minutes on two cores.
"""

import argparse
import json
import resource
import subprocess
import sys
import time

import numpy as np

BATCH, LIMIT = 2, 8e9


def one(name, steps, lr):
    import scratchnet as sn
    started = time.perf_counter()
    model = sn.models.create(name)
    made = time.perf_counter() - started
    rng = np.random.default_rng(0)
    images = rng.standard_normal((BATCH, *model.input_shape), dtype=np.float32)
    labels = rng.integers(0, sn.models.MODELS[name].classes, BATCH)
    optimizer = sn.SGD(model.parameters(), lr=lr, momentum=0.9)
    losses, seconds = [], []
    for _ in range(steps):
        started = time.perf_counter()
        loss, _, backward = model.loss(images, labels)
        backward()
        optimizer.step()
        seconds.append(time.perf_counter() - started)
        losses.append(float(loss))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
    print(json.dumps({"losses": losses, "peak": peak, "made": made, "step": sorted(seconds)[len(seconds) // 2]}))


def main():
    import scratchnet as sn
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=sn.models.names())
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--lr", type=float, default=1e-3)
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.here:
        return one(args.names[0], args.steps, args.lr)
    print(f"{'model':<22}{'loss':>18}{'peak GB':>9}{'made s':>8}{'step s':>8}", flush=True)
    failed = []
    for name in args.names:
        words = [name, "--here", "--steps", str(args.steps), "--lr", str(args.lr)]
        done = subprocess.run([sys.executable, __file__, *words], stdout=subprocess.PIPE)
        if done.returncode:
            failed.append(name)
            continue
        found = json.loads(done.stdout)
        first, last = found["losses"][0], found["losses"][-1]
        print(f"{name:<22}{first:>9.3f}{last:>9.3f}{found['peak'] / 1e9:>9.2f}{found['made']:>8.1f}"
              f"{found['step']:>8.2f}", flush=True)
        if not last < first or found["peak"] >= LIMIT:
            failed.append(name)
    print(f"failed: {', '.join(failed)}" if failed else "every loss falls, every peak is under 8 GB")
    return bool(failed)


if __name__ == "__main__":
    sys.exit(main())
