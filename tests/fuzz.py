"""Feeds broken IDX files, checkpoints, weights, images, folders and archives to scratchnet's readers.

    python tests/fuzz.py [--cases 10000] [--seed 0] [--jobs 2] [--only NUMBER]

A case passes when the file is read and what comes is what it holds, or when the documented error names the file.
Wrong are: any other exception, a wrong result, a crash, more than MEMORY bytes or HANG seconds, and a file or folder
made or changed outside the case's own folder. Exit code 0 when all pass, else 1 and the numbers of the others. The
cases of a seed are always the same. About two minutes on two cores; fuzz_cases.py says what is right.
"""

import argparse
import multiprocessing
import os
import shutil
import sys
import tempfile
import threading
import time
import warnings
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CHUNK = 250                 # cases in a process
HANG = 60                   # seconds; the slowest that ends needs some, for an image of 89 million pixels
MEMORY = 3 << 30            # bytes beyond those of a process that has only imported everything: such an image, twice


def limit_memory():
    """Where the system has limits (not on Windows)."""
    try:
        import resource
        status = Path("/proc/self/statm").read_text()
        used = int(status.split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + MEMORY, used + MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    except (ImportError, OSError, ValueError):
        pass


def listing(folder):
    """{path: (size, time of change)} of everything in it."""
    found = {}
    for where, folders, files in os.walk(folder):
        for name in folders + files:
            path = os.path.join(where, name)
            status = os.lstat(path)
            found[path] = (0 if name in folders else status.st_size, 0 if name in folders else status.st_mtime_ns)
    return found


def child(pipe, root, seed, numbers, plant):
    """Runs in a process of its own: sends (number, None) before each case and (number, (what is wrong,)) after it."""
    box, work = root / "a" / "b" / "box", root / "a" / "b" / "work"
    for folder in (box, work):
        folder.mkdir(parents=True, exist_ok=True)
    os.chdir(work)
    tempfile.tempdir = str(work)                            # a temporary file that is left is seen, too
    (root / "outside").write_text("not yours", encoding="utf-8")
    import fuzz_cases

    warnings.simplefilter("ignore")                         # Pillow has many for files such as these,
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)            # libtiff and libjpeg have more
    if plant is not None:
        plant()
    limit_memory()
    before = listing(root)
    for number in numbers:
        pipe.send((number, None))
        wrong = fuzz_cases.run(seed, number, box)
        shutil.rmtree(box, ignore_errors=True)
        box.mkdir()
        after = listing(root)
        if after != before:
            changed = sorted({path for path, _ in before.items() ^ after.items()})
            wrong = f"changed outside its folder: {', '.join(changed)}" + (f"; {wrong}" if wrong else "")
            before = after
        pipe.send((number, (wrong,)))


def run_chunk(seed, numbers, plant=None):
    """{number: what is wrong} of these cases; a process that dies or hangs is replaced."""
    spawn, wrong, numbers = multiprocessing.get_context("spawn"), {}, list(numbers)
    while numbers:
        with tempfile.TemporaryDirectory(prefix="fuzz-", ignore_cleanup_errors=True) as folder:
            pipe, theirs = spawn.Pipe(duplex=False)
            process = spawn.Process(target=child, args=(theirs, Path(folder).resolve(), seed, numbers, plant))
            process.start()
            theirs.close()
            number, result = numbers[0], None
            try:
                while result is None or number != numbers[-1]:
                    if not pipe.poll(HANG):
                        wrong[number] = f"no end after {HANG} s"
                        break
                    number, result = pipe.recv()
                    if result and result[0]:
                        wrong[number] = result[0]
            except EOFError:
                process.join()
                wrong[number] = f"the process ended with exit code {process.exitcode}"
            finally:
                process.kill()
                process.join()
                pipe.close()
            numbers = numbers[numbers.index(number) + 1:]
    return wrong


def run(seed, numbers, jobs=2, plant=None, say=lambda text: None):
    """{number: what is wrong} of the cases, in several processes at a time."""
    chunks = [numbers[first:first + CHUNK] for first in range(0, len(numbers), CHUNK)]
    wrong, done, lock, started = {}, 0, threading.Lock(), time.monotonic()

    def work():
        nonlocal done
        while True:
            with lock:
                if not chunks:
                    return
                chunk = chunks.pop(0)
            found = run_chunk(seed, chunk, plant)
            with lock:
                wrong.update(found)
                done += len(chunk)
                say(f"{done:,} of {len(numbers):,} cases, {len(wrong)} failed, {time.monotonic() - started:.0f} s")

    threads = [threading.Thread(target=work) for _ in range(min(jobs, len(chunks)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return dict(sorted(wrong.items()))


def main(argv=None):
    parser = argparse.ArgumentParser(description="Feeds broken files to scratchnet's readers.")
    parser.add_argument("--cases", metavar="N", type=int, default=10000, help="how many (default 10000)")
    parser.add_argument("--seed", metavar="N", type=int, default=0, help="which ones (default 0)")
    parser.add_argument("--jobs", metavar="N", type=int, default=2, help="processes at a time (default 2)")
    parser.add_argument("--only", metavar="NUMBER", type=int, help="one case, of which nothing is deleted")
    args = parser.parse_args(argv)
    sys.path[:0] = [str(ROOT), str(ROOT / "tests")]         # the processes take it over
    if args.only is not None:
        import fuzz_cases
        box = Path(tempfile.mkdtemp(prefix="fuzz-"), "a", "b", "box")
        box.mkdir(parents=True)
        print(f"case {args.only} ({fuzz_cases.kind_of(args.only)}) in {box}: "
              f"{fuzz_cases.run(args.seed, args.only, box) or 'passes'}")
        return 0
    wrong = run(args.seed, list(range(args.cases)), args.jobs,
                say=lambda text: print(text, file=sys.stderr, flush=True))
    for number, words in wrong.items():
        print(f"case {number}: {words}; again: python tests/fuzz.py --seed {args.seed} --only {number}")
    print(f"{args.cases - len(wrong)} of {args.cases}")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
