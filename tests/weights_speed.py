"""How long does load_weights take beside np.fromfile of the same file, and how much memory beside the weights?

    python tests/weights_speed.py [--model vgg16] [--rounds 9]

Both layouts and np.fromfile take turns, in one process, on files that were just written, so they are in memory (warm).
Medians. Asserted: our own layout takes at most 1.5 times, PyTorch's at most 4 times np.fromfile; anonymous memory
(Linux; mapped pages of the file not counted) grows by no more than the largest tensor.
"""

import argparse
import contextlib
import io
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parents[1]
LIMITS = {"scratchnet": 1.5, "pytorch": 4.0}


def anonymous_bytes():
    """Of this process, as Linux counts them; 0 elsewhere."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("RssAnon"))


def growth(call):
    """The most bytes of anonymous memory during call() beyond those before it, looked at every millisecond."""
    before, most, over = anonymous_bytes(), [0], threading.Event()

    def look():
        while not over.wait(0.001):
            most.append(anonymous_bytes() - before)
    watcher = threading.Thread(target=look)
    watcher.start()
    try:
        call()
    finally:
        over.set()
        watcher.join()
    return max(most)


def quietly(call):
    with contextlib.redirect_stderr(io.StringIO()):
        return call()


def main():
    parser = argparse.ArgumentParser(description="load_weights beside np.fromfile: time and memory.")
    parser.add_argument("--model", default="vgg16", help="which one (default vgg16: 553 MB)")
    parser.add_argument("--rounds", type=int, default=9, help="of each (default 9)")
    args = parser.parse_args()
    sys.path.insert(0, str(ROOT))
    import scratchnet as sn

    model = sn.models.create(args.model)
    largest = max(p.value.nbytes for p in model.parameters().values())
    total = sum(p.value.nbytes for p in model.parameters().values())
    print(f"{args.model}: {total / 1e6:.0f} MB, the largest tensor {largest / 1e6:.0f} MB")
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        paths = {layout: Path(folder, layout) for layout in LIMITS}
        for layout, path in paths.items():
            start = time.perf_counter()
            grown = growth(lambda: sn.save_weights(model, path, layout))
            print(f"save, {layout:10}  {time.perf_counter() - start:6.3f} s, memory +{grown / 1e6:.0f} MB")
        calls = {"np.fromfile": lambda: np.fromfile(paths["scratchnet"], np.uint8)}
        calls |= {layout: lambda path=path: quietly(lambda: sn.load_weights(model, path))
                  for layout, path in paths.items()}
        seconds = {name: [] for name in calls}
        for call in calls.values():
            call()
        for _ in range(args.rounds):
            for name, call in calls.items():
                start = time.perf_counter()
                call()
                seconds[name].append(time.perf_counter() - start)
        base, extremes = statistics.median(seconds["np.fromfile"]), sorted(seconds["np.fromfile"])
        print(f"np.fromfile       {base:6.3f} s ({extremes[0]:.3f} to {extremes[-1]:.3f})")
        for layout, limit in LIMITS.items():
            median, grown = statistics.median(seconds[layout]), growth(calls[layout])
            failed |= median > limit * base or grown > largest
            print(f"load, {layout:10}  {median:6.3f} s ({min(seconds[layout]):.3f} to {max(seconds[layout]):.3f}), "
                  f"{median / base:.2f} times (at most {limit}), memory +{grown / 1e6:.0f} MB")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
