"""Plants mutants, small errors such as people make, and shows that the suite catches every one.

    python tests/mutants.py [--only WORDS] [--jobs N]

First the tests that are to catch them must pass on an unmutated copy of the checkout. Then each mutant of the
`mutants_*.py` beside this file is written into a copy and its tests run again. It is caught when an assertion fails:
an error of import, name, type or compilation would also stop a mutant that is nonsense, so it does
not count.
Exit code 0 when all are caught, 1 otherwise. Twenty minutes and more on two cores, most of them compiling kernels.
"""

import argparse
import os
import queue
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import mutants_cuda  # noqa: F401: fills MUTANTS
import mutants_engine  # noqa: F401
import mutants_images  # noqa: F401
import mutants_inference  # noqa: F401
import mutants_kernels  # noqa: F401
import mutants_replay  # noqa: F401
import mutants_zoo  # noqa: F401
from mutant_rows import MUTANTS

ROOT = Path(__file__).resolve().parents[1]
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "build", "dist", "runs")
TIMEOUT = 900                                    # seconds; with cold kernels and a busy machine the slowest need 250
# Hypothesis would look for the simplest example of each failure, and for other failures: minutes that nobody needs.
PLUGIN = """from hypothesis import Phase, settings
settings.register_profile("first", phases=(Phase.explicit, Phase.generate), report_multiple_bugs=False, database=None)
settings.load_profile("first")
"""
# How a failed assertion begins in pytest's report; the third is how pytest.raises and pytest.fail say it,
# the last how np.errstate does.
ASSERTIONS = ("assert ", "AssertionError", "Failed: ", "scratchnet.gradcheck.GradientError",
              "FloatingPointError")


class Checkout:
    """A copy of the checkout to break, with a cache of compiled kernels of its own."""

    def __init__(self, folder):
        self.folder, self.cache, self.report = folder / "scratchnet", folder / "cache", folder / "report.xml"
        shutil.copytree(ROOT, self.folder, ignore=LEFT_OUT)
        (self.folder / "first_failure.py").write_text(PLUGIN, encoding="utf-8")

    def run(self, selection, cache, *options):
        """pytest on `selection`: (exit code, None if it did not end; failed tests as (name, message); output)."""
        # Two threads on any machine, for the mutants that mix up their shares; no .pyc, whose key is size and time.
        environment = {**os.environ, "XDG_CACHE_HOME": str(cache), "LOCALAPPDATA": str(cache), "PYTEST_ADDOPTS": "",
                       "PYTHONDONTWRITEBYTECODE": "1", "NUMBA_NUM_THREADS": "2"}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "first_failure", *options,
                   f"--junitxml={self.report}", *selection]
        self.report.unlink(missing_ok=True)
        try:
            done = subprocess.run(command, cwd=self.folder, env=environment, timeout=TIMEOUT, encoding="utf-8",
                                  errors="replace", stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                  stderr=subprocess.STDOUT)
        except subprocess.TimeoutExpired:
            return None, [], f"still running after {TIMEOUT} s"
        return done.returncode, self._failures(), done.stdout

    def _failures(self):
        if not self.report.exists():
            return []
        cases = xml.etree.ElementTree.parse(self.report).iter("testcase")
        return [(case.get("name"), case.find("failure").get("message", "")) for case in cases
                if case.find("failure") is not None]

    def try_mutant(self, mutant):
        """(caught or not, in words how)."""
        path = self.folder / mutant.file
        original, stamp = path.read_bytes(), path.stat().st_mtime_ns
        # Other sources make another folder of compiled kernels: those of a mutant are thrown away with it.
        compiled = mutant.file.startswith(("kernels/cpu/", "kernels/shapes.py"))
        cache = self.cache.with_name("mutant-cache") if compiled else self.cache
        try:
            path.write_text(planted(mutant, self.folder), encoding="utf-8")
            return verdict(*self.run([mutant.tests], cache, "-x"))
        finally:
            path.write_bytes(original)
            os.utime(path, ns=(stamp, stamp))                # Numba's cache looks at it
            if compiled:
                shutil.rmtree(cache, ignore_errors=True)


def planted(mutant, root=ROOT):
    """The text of the mutant's file with the error in it."""
    return (root / mutant.file).read_text(encoding="utf-8").replace(mutant.old, mutant.new)


def stale(mutant):
    """Why the mutant no longer fits the code, or None."""
    count = (ROOT / mutant.file).read_text(encoding="utf-8").count(mutant.old)
    return None if count == 1 else f"{mutant.name}: {mutant.file} holds {count} times, not once: {mutant.old!r}"


def verdict(code, failures, output):
    if code is None:
        return True, f"caught: its tests did not end in {TIMEOUT} s"
    if code == 0:
        return False, "SURVIVED"
    for name, message in failures:
        if code == 1 and message.startswith(ASSERTIONS):
            return True, f"caught by {name}"
    why = failures[0][1] if failures else output[-1500:]
    return False, f"NOT CAUGHT BY AN ASSERTION: pytest ended with {code}: {why}"


def baseline(checkout, tests):
    """Do the tests pass on what is not mutated?"""
    code, _, output = checkout.run(tests, checkout.cache)
    if code == 0:
        return True, "passes unmutated"
    return False, f"FAILS UNMUTATED, pytest ended with {code}:\n{output[-3000:]}"


def in_parallel(jobs, tasks, checkouts):
    """Runs task(checkout) for each {name: task}, `jobs` at a time; prints a line each; the names that went wrong."""
    def run(task):
        checkout, started = checkouts.get(), time.monotonic()
        try:
            return *task(checkout), time.monotonic() - started
        finally:
            checkouts.put(checkout)

    wrong, width = [], max(map(len, tasks))
    with ThreadPoolExecutor(jobs) as pool:
        futures = {pool.submit(run, task): name for name, task in tasks.items()}
        for number, future in enumerate(as_completed(futures), 1):
            well, words, seconds = future.result()
            name = futures[future]
            print(f"{number:3}/{len(tasks)}  {name:<{width}}  {seconds:5.1f} s  {words}", flush=True)
            if not well:
                wrong.append(name)
    return wrong


def main():
    parser = argparse.ArgumentParser(description="Plants mutants and shows that the suite catches every one.")
    parser.add_argument("--only", metavar="WORDS", default="", help="only mutants whose name contains WORDS")
    parser.add_argument("--jobs", metavar="N", type=int, default=2, help="how many at a time (default 2)")
    arguments = parser.parse_args()
    mutants = [mutant for mutant in MUTANTS if arguments.only in mutant.name]
    if not mutants:
        parser.error(f"no mutant's name contains {arguments.only!r}")
    problems = list(filter(None, map(stale, mutants)))
    if problems:
        sys.exit("\n".join(problems))
    started, tests = time.monotonic(), {}
    for test in sorted({mutant.tests for mutant in mutants}):
        tests.setdefault(test.partition("::")[0], []).append(test)
    with tempfile.TemporaryDirectory(prefix="mutants-") as folder:
        checkouts = queue.Queue()
        for job in range(arguments.jobs):
            checkouts.put(Checkout(Path(folder).resolve() / str(job)))
        print(f"unmutated: {len(tests)} test files", flush=True)
        if in_parallel(arguments.jobs, {file: lambda checkout, chosen=chosen: baseline(checkout, chosen)
                                        for file, chosen in tests.items()}, checkouts):
            sys.exit("the tests must pass before they can catch anything")
        print(f"mutants: {len(mutants)}", flush=True)
        missed = in_parallel(arguments.jobs, {mutant.name: lambda checkout, mutant=mutant: checkout.try_mutant(mutant)
                                              for mutant in mutants}, checkouts)
    for name in missed:
        print(f"not caught: {name}")
    minutes = (time.monotonic() - started) / 60
    print(f"{len(mutants) - len(missed)} of {len(mutants)} mutants caught in {minutes:.1f} minutes")
    sys.exit(1 if missed else 0)


if __name__ == "__main__":
    main()
