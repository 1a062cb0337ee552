"""What bench keeps: the README's table is made of it."""

import importlib.util
from pathlib import Path

from scratchnet import bench_results

ROOT = Path(__file__).resolve().parents[1]


def test_the_readme_shows_what_is_in_the_results_file():
    path = ROOT / "benchmarks" / "table.py"
    spec = importlib.util.spec_from_file_location("benchmarks_table", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert module.written(text) == text, "run python benchmarks/table.py"


def test_the_table_has_the_last_result_of_each_workload_and_each_rivals_ratio():
    machine = {"processor": "Some CPU", "cores": 2, "vector_bits": 256}

    def result(date, speed, mode="training"):
        row = {"images_per_second": speed, "ratio": 1.0, "share_of_ceiling": 0.5, "peak_bytes": 2_000_000}
        rows = [{"engine": "scratchnet", **row}, {"engine": "torch", **row, "images_per_second": 10.0, "ratio": 4.5},
                {"engine": "torch compiled", **row, "images_per_second": 20.0, "ratio": 2.25},
                {"engine": "ncnn", "why": "has no backward passes"}]
        return {"date": date, "machine": machine, "versions": {"torch": "2.13.0"}, "model": "vgg16", "mode": mode,
                "batch": 8, "threads": 2, "ceiling_gflops": 169.4, "rows": rows}

    lines = bench_results.table([result("2026-01-01", 40.0), result("2026-01-03", 0.6604),
                                 result("2026-01-02", 1234.5, "inference")]).splitlines()
    assert lines[0] == "Some CPU, 2 cores, 2 threads, vectors of 256 bits; 2026-01-02 to 2026-01-03; torch 2.13.0:"
    assert lines[4:] == [
        f"| `vgg16` {mode}, batch 8 | {speed} | 50% of 169 GFLOP/s | 10.0: **4.50 x** | 20.0: **2.25 x**, compiled |  "
        "|  |  | 2.0 MB, 2.0 MB |" for mode, speed in (("training", "0.66"), ("inference", "1,234"))]
