"""Writes the tables of the README's sections "Speed" and "GPU" from cpu.jsonl and gpu.jsonl, where `bench --save` keeps
what it measured.

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
    """A README with the tables that the results make: those of the CPU, then those of GPUs."""
    tables = [bench_results.table(bench_results.load(ROOT / bench_results.FILE)),
              bench_results.gpu_table(bench_results.load(ROOT / bench_results.GPU_FILE))]
    if len(BETWEEN.findall(text)) != len(tables):
        raise SystemExit(f"README.md: expected {len(tables)} places between the two comments of benchmarks/table.py")
    return BETWEEN.sub(lambda _: tables.pop(0), text)


if __name__ == "__main__":
    readme = ROOT / "README.md"
    readme.write_text(written(readme.read_text(encoding="utf-8")), encoding="utf-8")
