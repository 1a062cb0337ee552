"""What `bench` says in words and columns, of a result as a dict."""

from scratchnet.layer_table import in_bytes

# What a precision explains: of logits a fifth of it, at most, was seen in PyTorch (1.4e-6, 2.3e-3 and 1.9e-2, of
# LeNet-5, VGG-16 and ResNet-50). Of gradients in deep networks it is more; there twice PyTorch's error is the measure.
ENOUGH = {"float32": 1e-4, "tf32": 1e-2, "bf16": 1e-1}
TWICE = 2
HALF = 0.5                  # of the gradient: an error that hides nearly all others


SECONDS = {                 # the modes whose rows have seconds, in words
    "start": "process start to the end of the first training step", "epoch": "an epoch of training on {data}",
    "accuracy": "process start to {goal:.0%} of {data}'s test images right"}


def show(result):
    print(heading(result))
    if result["mode"] in SECONDS:
        lines = [("engine", "seconds", "lowest", "highest", "scratchnet is")]
        lines += [(row["engine"], *(f"{row[name]:.2f}" for name in ("seconds", "lowest", "highest")), _ratio(row))
                  for row in result["rows"] if "why" not in row]
    else:
        on_gpu = "device" in result
        print(f"{_ceiling(result)}; an image takes {2e-9 * result['multiply_adds_per_image']:.3g} GFLOP")
        if on_gpu:
            first, last = result["ceiling_first_and_last_copy_gbytes"]
            print(f"a copy, read and written: {result['ceiling_copy_gbytes']:,.0f} GB/s ({first:,.0f} before, "
                  f"{last:,.0f} at the end); an image moves {in_bytes(round(result['bytes_per_image']))}")
        print("error: " + (result["compared"] or "not compared: " + result.get(
            "uncompared", "float64 on the reference kernels takes minutes, and PyTorch is not here to do it")))
        print("memory: " + ("the most that the engine's allocator held of the device's" if on_gpu else
                            "the process's peak while it ran, beyond what importing the engine took"))
        lines = [("engine", "images/s", "lowest", "highest", "GFLOP/s", "of ceiling", *["of a copy"] * on_gpu, "memory",
                  "scratchnet is", "error")]
        lines += [_cells(row) for row in result["rows"] if "why" not in row]
    _print_columns(lines)
    for row in result["rows"]:
        if "why" in row:
            print(f"{row['engine']}: {row['why']}")
    for line in (*standing(result), *doubts(result)):
        print(line)
    if "layers" in result:
        _show_layers(result)


def heading(result):
    """Network, mode, batch, threads and rounds."""
    what = SECONDS.get(result["mode"], result["mode"]).format_map(result)
    where = f"{result['precision']} on {result['gpu']}" if "device" in result else f"{result['threads']} threads"
    text = (f"{result['model']} {what}, batch {result['batch']}, {where}, medians of {result['rounds']} alternating "
            "rounds")
    return text + ("; dropout set to 0 in all" if result.get("without_dropout") else "")


def standing(result):
    """How scratchnet stands to the fastest rival, and to PyTorch's eager mode where it is another."""
    rivals = [row for row in result["rows"] if "ratio" in row and row["engine"] != "scratchnet"]
    if rivals:
        fastest = min(rivals, key=lambda row: row["ratio"])
        yield f"scratchnet is {_ratio(fastest)} the fastest rival, {fastest['engine']}"
        yield from (f"scratchnet is {_ratio(row)} PyTorch's eager mode" for row in rivals
                    if row["engine"] == "torch" and row is not fastest)


def doubts(result):
    """Lines about results that are farther from the truth than the precision explains, or that show little."""
    rows = {row["engine"]: row for row in result["rows"] if "why" not in row}
    precision = result.get("precision", "float32")
    for row in rows.values():
        if row.get("lowest_accuracy", 1) < result.get("goal", 0):
            yield f"{row['engine']} did not get there in every round: {row['lowest_accuracy']:.2%} at the least"
        if row.get("replayed") is False:
            yield f"{row['engine']}'s steps were not replayed from a CUDA graph: each kernel was launched from Python"
    ours, theirs = (rows[name].get("error") if name in rows else None for name in ("scratchnet", "torch"))
    if ours is None:
        return
    allowed = max(ENOUGH[precision], TWICE * (theirs or 0))
    if not ours <= allowed:
        if theirs is None and result["mode"] == "training":
            yield f"whether {precision} explains scratchnet's {ours:.1e}, only another engine's error can tell"
        else:
            yield (f"scratchnet's results are {ours:.1e} from float64, more than the {allowed:.1e} that {precision} "
                   "explains: its times count for nothing until that is found")
    if theirs is not None and theirs > HALF:
        yield (f"PyTorch's own gradients are {theirs:.1e} from float64: with random weights, rounding in {precision} "
               "turns so many ReLUs that this finds gross mistakes only; the tests compare operation by operation")


def _ceiling(result):
    first, last = result["ceiling_first_and_last_gflops"]
    what = (f"cuBLAS, {result['precision']}, large matrices" if "device" in result else "multiply-adds in registers")
    return f"{what}: {result['ceiling_gflops']:,.0f} GFLOP/s ({first:,.0f} before, {last:,.0f} at the end)"


def _cells(row):
    memory = "" if row["peak_bytes"] is None else in_bytes(max(row["peak_bytes"], 0))
    error = "" if row["error"] is None else f"{row['error']:.1e}"
    speeds = (three_digits(row[name]) for name in ("images_per_second", "lowest", "highest"))
    copied = [f"{row['share_of_copy']:.0%}"] if "share_of_copy" in row else []
    return (row["engine"], *speeds, f"{row['gflops']:,.1f}", f"{row['share_of_ceiling']:.0%}", *copied, memory,
            _ratio(row), error)


def three_digits(speed):
    """At least: 0.66, 18.7, 8,104."""
    return f"{speed:,.{2 if speed < 10 else 1 if speed < 1000 else 0}f}"


def _ratio(row):
    return f"{row['ratio']:.2f} x"


def _show_layers(result):
    print("\neach layer alone, milliseconds for the batch; GFLOP/s in brackets; like layers once")
    engines = [name for name in ("scratchnet", "torch") if name in result["layers"][0]]
    columns = [(engine, way) for way in ("forward", "backward") for engine in engines
               if way in result["layers"][0][engine]]
    lines = [("layer", "times", *(f"{engine} {way}" for engine, way in columns))]
    for layer in result["layers"]:
        lines.append((f"{layer['path']} ({layer['kind']}) {layer['input']}", str(layer["count"]),
                      *(_time(layer[engine][way], layer["gflop"][way]) for engine, way in columns)))
    _print_columns(lines)


def _time(seconds, work):
    return f"{1e3 * seconds:,.2f}" + (f" ({work / seconds:.0f})" if work and seconds else "")


def _print_columns(lines):
    widths = [max(map(len, column)) for column in zip(*lines)]
    for line in lines:
        print("  ".join(cell.ljust(width) if index == 0 else cell.rjust(width)
                        for index, (cell, width) in enumerate(zip(line, widths))).rstrip())
