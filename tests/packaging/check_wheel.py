"""Does a wheel hold every file of the checkout's scratchnet/ and kernels/, and nothing else?

    python tests/packaging/check_wheel.py WHEEL CHECKOUT
"""

import sys
import zipfile
from collections import Counter
from pathlib import Path


def main(wheel, checkout):
    names = zipfile.ZipFile(wheel).namelist()
    metadata = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    given = set(names) - metadata
    expected = {path.relative_to(checkout).as_posix() for path in files(checkout / "scratchnet")}
    expected |= {f"scratchnet/{path.relative_to(checkout).as_posix()}" for path in files(checkout / "kernels")}
    problems = [f"missing: {name}" for name in sorted(expected - given)]
    problems += [f"does not belong there: {name}" for name in sorted(given - expected)]
    licences = sum(name.endswith("/LICENSE") for name in metadata)
    if licences != 2:
        problems.append(f"expected the licences of the code and of the sample beside the metadata, got {licences}")
    counts = Counter(Path(name).suffix or Path(name).name for name in given)
    for kind in (".py", ".cu", ".gz", ".txt", "LICENSE"):
        if not counts[kind]:
            problems.append(f"holds no {kind} file at all")
    if problems:
        raise SystemExit("\n".join([f"FAILED: {wheel}", *problems]))
    print(f"ok: {Path(wheel).name} holds " + ", ".join(f"{n} {kind}" for kind, n in sorted(counts.items())))


def files(folder):
    return [path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts]


main(sys.argv[1], Path(sys.argv[2]).resolve())
