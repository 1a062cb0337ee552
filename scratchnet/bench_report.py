"""What `bench` says in words and columns, of a result as a dict."""

from scratchnet.layer_table import in_bytes


def show(result):
    print(heading(result))
    if result["mode"] == "start":
        lines = [("engine", "seconds", "lowest", "highest", "scratchnet is")]
        lines += [(row["engine"], *(f"{row[name]:.2f}" for name in ("seconds", "lowest", "highest")), _ratio(row))
                  for row in result["rows"] if "why" not in row]
    else:
        first, last = result["ceiling_first_and_last_gflops"]
        print(f"multiply-adds in registers: {result['ceiling_gflops']:.0f} GFLOP/s ({first:.0f} before, {last:.0f} at "
              f"the end); an image takes {2e-9 * result['multiply_adds_per_image']:.3g} GFLOP")
        print("error: " + (result["compared"] or "not compared: float64 on the reference kernels takes minutes, and "
                           "PyTorch is not here to do it"))
        print("memory: the process's peak while it ran, beyond what importing the engine took")
        lines = [("engine", "images/s", "lowest", "highest", "GFLOP/s", "of ceiling", "memory", "scratchnet is",
                  "error")]
        lines += [_cells(row) for row in result["rows"] if "why" not in row]
    _print_columns(lines)
    for row in result["rows"]:
        if "why" in row:
            print(f"{row['engine']}: {row['why']}")
    for line in standing(result):
        print(line)
    if "layers" in result:
        _show_layers(result)


def heading(result):
    """Network, mode, batch, threads and rounds."""
    what = "process start to the end of the first training step" if result["mode"] == "start" else result["mode"]
    text = (f"{result['model']} {what}, batch {result['batch']}, {result['threads']} threads, medians of "
            f"{result['rounds']} alternating rounds")
    return text + ("; dropout set to 0 in all" if result.get("without_dropout") else "")


def standing(result):
    """How scratchnet stands to the fastest rival, and to PyTorch's eager mode where it is another."""
    rivals = [row for row in result["rows"] if "ratio" in row and row["engine"] != "scratchnet"]
    if rivals:
        fastest = min(rivals, key=lambda row: row["ratio"])
        yield f"scratchnet is {_ratio(fastest)} the fastest rival, {fastest['engine']}"
        yield from (f"scratchnet is {_ratio(row)} PyTorch's eager mode" for row in rivals
                    if row["engine"] == "torch" and row is not fastest)


def _cells(row):
    memory = "" if row["peak_bytes"] is None else in_bytes(max(row["peak_bytes"], 0))
    error = "" if row["error"] is None else f"{row['error']:.1e}"
    speeds = (three_digits(row[name]) for name in ("images_per_second", "lowest", "highest"))
    return (row["engine"], *speeds, f"{row['gflops']:,.1f}", f"{row['share_of_ceiling']:.0%}", memory, _ratio(row),
            error)


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
