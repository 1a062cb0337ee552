"""`bench MODEL`: scratchnet against other engines on the same network, weights and batch, in turns, in one run."""

import statistics
import sys
import tempfile
import time

from scratchnet import bench_layers, bench_report, bench_results, bench_start, cli, models
from scratchnet.contest import Contender, Remote
from scratchnet.rivals import OURS, RIVALS, Unavailable, why_not
from scratchnet.rivals.truth import Truth
from scratchnet.rivals.workload import Workload, has_dropout

REST = 0.25                 # seconds before a turn: the threads of who ran last have stopped waiting for more work


def command(args):
    cli.known("model", args.model, models.names())
    if args.device == "cuda":
        raise cli.UsageError("--device cuda: bench times the kernels for the CPU; leave it out")
    if args.save:
        bench_results.check(args.save)
    if args.mode == "start" and args.model != bench_start.MODEL:
        raise cli.UsageError(f"--mode start knows {bench_start.MODEL} only, got {args.model!r}")
    if args.mode == "start" and args.layers:
        raise cli.UsageError(f"--mode start times {bench_start.MODEL} as a whole; leave --layers out")
    measure = bench_start.measure if args.mode == "start" else contest
    result = measure(args, Workload(args.model, args.mode, args.batch, args.threads or cli.cores()))
    if args.save:
        bench_results.save(args.save, result)
    if args.json:
        cli.print_json(result)
    else:
        bench_report.show(result)


def contest(args, workload):
    """The result as a dict: what was measured, the ceiling, a row for each engine and mode."""
    from scratchnet.kernels.cpu import ceiling, threads
    threads.set_threads(workload.threads)
    ceilings = [2e-9 * ceiling.multiply_adds()]
    compared, rows, contenders = set_up(args.against, workload)
    speeds = {row: [] for row in contenders}
    for _ in range(args.rounds):
        for row, contender in list(contenders.items()):
            time.sleep(REST)
            try:
                speeds[row].append(contender.call("turn", args.seconds))
            except Unavailable as unavailable:   # killed for its memory, say: the others go on
                give_up(row, rows, str(unavailable))
                contenders.pop(row).close()
        ceilings.append(2e-9 * ceiling.multiply_adds())
    work = workload.graph().multiply_adds()
    for row, contender in contenders.items():
        peak, process = contender.call("peak_bytes")
        rows[row] |= summed_up(speeds["scratchnet"], speeds[row], work, statistics.median(ceilings)) | {
            "error": contender.call("error"), "peak_bytes": peak, "process_peak_bytes": process}
        contender.close()
    result = {"model": args.model, "mode": args.mode, "batch": args.batch, "threads": workload.threads,
              "rounds": args.rounds, "seconds": args.seconds, "compared": compared,
              "multiply_adds_per_image": work, "ceiling_gflops": statistics.median(ceilings),
              "ceiling_first_and_last_gflops": [ceilings[0], ceilings[-1]], "rows": list(rows.values())}
    if workload.training and has_dropout(args.model):
        result["without_dropout"] = True
    return result | ({"layers": bench_layers.times(workload)} if args.layers else {})


def set_up(against, workload):
    """(what errors are measured against or None, {row: its beginning}, {row: its process}): those who can take part have
    done their first step."""
    rows, contenders = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        truth = Remote(Truth, workload, f"{folder}/truth")
        compared = truth.call("words")
        truth.close()
        for row, why in taking_part(against, workload.mode):
            rows[row] = {"engine": row}
            if why is None:
                print(f"setting up {row}", file=sys.stderr)
                try:
                    contenders[row] = Remote(Contender, row, workload, f"{folder}/truth" if compared else None)
                except Unavailable as unavailable:
                    why = str(unavailable)
            if why:
                give_up(row, rows, why)
    return compared, rows, contenders


def give_up(row, rows, why):
    """A rival's row says why it has no times; without ours there is nothing to compare."""
    if row in OURS:
        raise RuntimeError(f"bench: {row}: {why}")
    rows[row]["why"] = why


def taking_part(against, mode):
    """(row, None or why it has no times), ours first."""
    yield from ((row, None) for row in OURS)
    for name in against:
        why = why_not(name, mode)
        yield from ((row, why) for row in ([name] if why else RIVALS[name].rows))


def summed_up(ours, theirs, work, ceiling):
    """Medians; the ratio is taken round by round, so that what slows a round down slows both."""
    speed = statistics.median(theirs)
    return {"images_per_second": speed, "lowest": min(theirs), "highest": max(theirs),
            "gflops": 2e-9 * work * speed, "share_of_ceiling": 2e-9 * work * speed / ceiling,
            "ratio": statistics.median(mine / other for mine, other in zip(ours, theirs))}


def rivals(text):
    return [cli.one_of(tuple(RIVALS))(name) for name in text.split(",")]


def main(argv=None):
    parser = cli.Parser("bench", "Time scratchnet and its rivals in turns, and compare what they compute.")
    parser.add_argument("model", metavar="MODEL", help="the name of a network of the zoo: summary --list")
    parser.add_argument("--mode", choices=("training", "inference", "start"), default="training",
                        help="start: from process start to the end of the first training step (default: training)")
    parser.add_argument("--batch", type=cli.number(1, kind=int), default=64, metavar="N", help="default: 64")
    parser.add_argument("--against", type=rivals, default=["torch"], metavar="NAMES",
                        help=f"rivals, by commas, of {', '.join(RIVALS)} (default: torch)")
    parser.add_argument("--layers", action="store_true", help="also time each layer, ours and eager PyTorch's")
    parser.add_argument("--rounds", type=cli.number(1, kind=int), default=9, metavar="N", help="default: 9")
    parser.add_argument("--seconds", type=cli.number(0, above=0), default=1.0, metavar="S",
                        help="length of each turn, of one step at least (default: 1)")
    parser.add_argument("--save", nargs="?", const=bench_results.FILE, metavar="FILE",
                        help=f"append the result to a file of JSON lines (default: {bench_results.FILE})")
    return cli.run(parser, command, argv)


if __name__ == "__main__":
    sys.exit(main())
