"""What `bench --save` keeps, a line of JSON a result, and the table that the README makes of it."""

import datetime
import json
import os
import platform
from pathlib import Path

from scratchnet import cli, info
from scratchnet.bench_report import three_digits
from scratchnet.files import to_json
from scratchnet.layer_table import in_bytes

FILE = "benchmarks/cpu.jsonl"
START = "from process start to the first step"
ENGINES = ("torch", "onnx", "onnxruntime", "openvino", "ncnn", "pnnx")


def check(path):
    """UsageError where a result could not be written to `path`."""
    if Path(path).is_dir() or not Path(path).absolute().parent.is_dir():
        raise cli.UsageError(f"--save {path}: expected a file in a folder that is there; run it in a checkout of "
                             "scratchnet, or name a file")


def save(path, result):
    """Append the result with the day, the machine and the versions of all that took part."""
    line = {"date": datetime.date.today().isoformat(), "machine": machine(), "versions": info.versions(*ENGINES), **result}
    with open(path, "a", encoding="utf-8") as file:
        file.write(to_json(line) + "\n")


def load(path):
    return [json.loads(line) for line in Path(path).read_text(encoding="utf-8").splitlines()]


def machine():
    from scratchnet.kernels.cpu import ceiling
    return {"processor": _processor_name(), "compiled_for": info.processor(), "cores": cli.cores(),
            "vector_bits": 32 * ceiling.LANES}


def table(results):
    """Markdown: for each machine and day a paragraph and a table, of each workload the last result."""
    groups = {}
    for result in results:
        key = result["date"], to_json(result["machine"]), result["threads"]
        groups.setdefault(key, {})[result["model"], result["mode"], result["batch"]] = result
    return "\n\n".join(_group(list(latest.values())) for latest in groups.values()) or "Nothing has been measured yet."


def _group(results):
    machine, versions = results[-1]["machine"], results[-1]["versions"]
    names = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [f"{machine['processor']}, {machine['cores']} cores, {results[-1]['threads']} threads, vectors of "
             f"{machine['vector_bits']} bits; {results[-1]['date']}; {names}:", "",
             "| workload | scratchnet | of the ceiling | PyTorch eager | its fastest mode | onnxruntime | OpenVINO | "
             "ncnn | memory, ours and PyTorch's |", "|" + "---|" * 9]
    for result in results:
        rows = {row["engine"]: row for row in result["rows"] if "why" not in row}
        lines.append("| " + " | ".join(_cells(result, rows)) + " |")
    return "\n".join(lines)


def _cells(result, rows):
    ours, eager = rows["scratchnet"], rows.get("torch")
    pytorch = [row for engine, row in rows.items() if engine.partition(" ")[0] == "torch"]
    fastest = min(pytorch, key=lambda row: row["ratio"], default=None)
    start = result["mode"] == "start"
    yield f"`{result['model']}` {START if start else result['mode']}, batch {result['batch']}"
    yield _speed(ours)
    yield "" if start else f"{ours['share_of_ceiling']:.0%} of {result['ceiling_gflops']:.0f} GFLOP/s"
    yield _against(eager)
    yield "" if fastest is None else f"{_against(fastest)}, {fastest['engine'].partition(' ')[2] or 'eager'}"
    for engine in ("onnxruntime", "openvino", "ncnn"):
        yield _against(rows.get(engine))
    peaks = [row and row.get("peak_bytes") for row in (ours, eager)]
    yield ", ".join(in_bytes(peak) for peak in peaks) if all(peaks) else ""


def _against(row):
    """A rival's speed, and how many times as fast scratchnet was."""
    return "" if row is None else f"{_speed(row)}: **{row['ratio']:.2f} x**"


def _speed(row):
    if "seconds" in row:
        return f"{row['seconds']:.2f} s"
    return three_digits(row["images_per_second"])


def _processor_name():
    """As Linux knows it: "AMD EPYC 7763 64-Core Processor"; elsewhere as Python does."""
    if os.path.exists("/proc/cpuinfo"):
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                if line.startswith("model name"):
                    return " ".join(line.partition(":")[2].split())
    return platform.processor() or platform.machine()
