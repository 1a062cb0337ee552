"""What `bench --save` keeps, a line of JSON a result, and the table that the README makes of it."""

import datetime
import json
import os
import platform
from pathlib import Path

from scratchnet import backend, cli, info
from scratchnet.bench_report import three_digits
from scratchnet.files import to_json
from scratchnet.layer_table import in_bytes

FILE, GPU_FILE = "benchmarks/cpu.jsonl", "benchmarks/gpu.jsonl"
IN_SECONDS = {"start": "from process start to the first step", "epoch": "an epoch",
              "accuracy": "from process start to 99%"}
ENGINES = ("torch", "onnx", "onnxruntime", "openvino", "ncnn", "pnnx")


def check(path):
    """UsageError where a result could not be written to `path`."""
    if Path(path).is_dir() or not Path(path).absolute().parent.is_dir():
        raise cli.UsageError(f"--save {path}: expected a file in a folder that is there; run it in a checkout of "
                             "scratchnet, or name a file")


def save(path, result):
    """Append the result with the day, the machine and the versions of all that took part."""
    line = {"date": datetime.date.today().isoformat(), "machine": gpu() if "device" in result else machine(),
            "versions": info.versions(*ENGINES), **result}
    with open(path, "a", encoding="utf-8") as file:
        file.write(to_json(line) + "\n")


def load(path):
    """The results in the file, none where there is no file."""
    lines = Path(path).read_text(encoding="utf-8").splitlines() if Path(path).exists() else []
    return [json.loads(line) for line in lines]


def gpu():
    """The device's name, its driver, the versions of CUDA, and the machine it is in."""
    from scratchnet.kernels.cuda import probe
    return {"gpu": backend.gpu()[1], **probe.facts(), "processor": _processor_name(), "cores": cli.cores()}


def machine():
    from scratchnet.kernels.cpu import ceiling
    return {"processor": _processor_name(), "compiled_for": info.processor(), "cores": cli.cores(),
            "vector_bits": 32 * ceiling.LANES}


def table(results):
    """Markdown: for each machine and its versions a paragraph and a table, of each workload the last result."""
    groups = {}
    for result in results:
        key = to_json(result["machine"]), to_json(result["versions"]), result["threads"]
        workload = tuple(result.get(name) for name in ("model", "mode", "batch", "data"))
        groups.setdefault(key, {})[workload] = result
    return "\n\n".join(_group(list(latest.values())) for latest in groups.values()) or "Nothing has been measured yet."


def _group(results):
    machine, versions = results[-1]["machine"], results[-1]["versions"]
    names = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [f"{machine['processor']}, {machine['cores']} cores, {results[-1]['threads']} threads, vectors of "
             f"{machine['vector_bits']} bits; {_days(results)}; {names}:", "",
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
    timed = result["mode"] in IN_SECONDS
    yield _workload(result)
    yield _speed(ours) + _short_of(ours, result)
    yield "" if timed else f"{ours['share_of_ceiling']:.0%} of {result['ceiling_gflops']:.0f} GFLOP/s"
    yield _against(eager, result)
    yield "" if fastest is None else f"{_against(fastest, result)}, {fastest['engine'].partition(' ')[2] or 'eager'}"
    for engine in ("onnxruntime", "openvino", "ncnn"):
        yield _against(rows.get(engine), result)
    peaks = [row and row.get("peak_bytes") for row in (ours, eager)]
    yield ", ".join(in_bytes(peak) for peak in peaks) if all(peaks) else ""


def gpu_table(results):
    """The same of results on a GPU, whose machine says its driver, and whose workload its precision."""
    groups = {}
    for result in results:
        key = to_json(result["machine"]), to_json(result["versions"])
        workload = tuple(result.get(name) for name in ("model", "mode", "batch", "precision", "data", "eager"))
        groups.setdefault(key, {})[workload] = result
    return "\n\n".join(_gpu_group(list(latest.values())) for latest in groups.values()) or "Not measured yet."


def _gpu_group(results):
    machine, versions = results[-1]["machine"], results[-1]["versions"]
    facts = ", ".join(value if name == "gpu" else f"{name} {value}" for name, value in machine.items())
    names = ", ".join(f"{name} {version}" for name, version in versions.items())
    lines = [f"{facts}; {_days(results)}; {names}:", "",
             "| workload | precision | scratchnet | of cuBLAS's product | of a copy | PyTorch eager | channels_last | "
             "the fastest of those measured | memory, ours and its |", "|" + "---|" * 9]
    for result in results:
        rows = {row["engine"]: row for row in result["rows"] if "why" not in row}
        lines.append("| " + " | ".join(_gpu_cells(result, rows)) + " |")
    return "\n".join(lines)


def _gpu_cells(result, rows):
    ours = rows["scratchnet"]
    rivals = [row for row in rows.values() if row is not ours]
    fastest = min(rivals, key=lambda row: row["ratio"], default=None)
    yield _workload(result) + (", compiled modes left out" if result.get("eager") else "")
    yield result["precision"]
    yield _speed(ours) + _short_of(ours, result)
    yield f"{ours['share_of_ceiling']:.0%} of {result['ceiling_gflops'] / 1e3:,.0f} TFLOP/s" if "gflops" in ours else ""
    yield f"{ours['share_of_copy']:.0%} of {result['ceiling_copy_gbytes']:,.0f} GB/s" if "gflops" in ours else ""
    yield _against(rows.get("torch"), result)
    yield _against(rows.get("torch channels_last"), result)
    yield "" if fastest is None else f"{_against(fastest, result)}, {fastest['engine'].partition(' ')[2] or 'eager'}"
    peaks = [row and row.get("peak_bytes") for row in (ours, fastest)]
    yield ", ".join(in_bytes(peak) for peak in peaks) if all(peaks) else ""


def _days(results):
    """The days that they are of, the first and the last."""
    days = sorted({result["date"] for result in results})
    return " to ".join(days[:1] + days[1:][-1:])


def _workload(result):
    of = f" of {result['data']}" if "data" in result else ""
    return f"`{result['model']}` {IN_SECONDS.get(result['mode'], result['mode'])}{of}, batch {result['batch']}"


def _against(row, result):
    """A rival's speed, and how many times as fast scratchnet was."""
    return "" if row is None else f"{_speed(row)}{_short_of(row, result)}: **{row['ratio']:.2f} x**"


def _short_of(row, result):
    """Said of an engine that some round left below the goal: its seconds are those of an attempt."""
    lowest = row.get("lowest_accuracy", 1)
    return f", did not get there ({lowest:.2%})" if lowest < result.get("goal", 0) else ""


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
