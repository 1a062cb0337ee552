"""Writes the tables of the README's section "Speed" from cpu.jsonl, where `bench --save` keeps what it measured.

    python benchmarks/table.py
"""

import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))
from scratchnet import bench_results  # noqa: E402

BETWEEN = re.compile(r"(?<=<!-- made by benchmarks/table.py -->\n).*?(?=\n<!-- as far as here -->)", re.DOTALL)


def written(text):
    """A README with the tables that the results make."""
    tables = bench_results.table(bench_results.load(ROOT / bench_results.FILE))
    text, count = BETWEEN.subn(lambda _: tables, text)
    if count != 1:
        raise SystemExit("README.md: expected one place between the two comments of benchmarks/table.py")
    return text


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(written(readme.read_text(encoding="utf-8")), encoding="utf-8")
