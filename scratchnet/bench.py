"""`bench MODEL`: scratchnet against other engines on the same network, weights and batch, in turns, in one run."""

import statistics
import sys
import tempfile
import time

from scratchnet import backend, bench_layers, bench_mnist, bench_report, bench_results, bench_start, cli, models
from scratchnet.bench_ceilings import OfDevice, OfProcessor
from scratchnet.contest import Contender, Remote
from scratchnet.rivals import OURS, RIVALS, Unavailable, rows_of, why_not
from scratchnet.rivals.truth import Truth
from scratchnet.rivals.workload import Workload, has_dropout

REST = 0.25                 # seconds before a turn: the threads of who ran last have stopped waiting for more work
MEASURES = {"start": bench_start.measure, "epoch": bench_mnist.epochs, "accuracy": bench_mnist.accuracy}


def command(args):
    check(args)
    device = cli.choose_device(args)
    if args.save == "":
        args.save = bench_results.GPU_FILE if device == "cuda" else bench_results.FILE
    if args.save:
        bench_results.check(args.save)
    measure = MEASURES.get(args.mode, contest)
    threads = args.threads or cli.cores()
    result = measure(args, Workload(args.model, args.mode, args.batch, threads, device, args.precision))
    if device == "cuda":
        result |= {"device": device, "gpu": backend.gpu()[1], "precision": args.precision}
    if args.save:
        bench_results.save(args.save, result)
    if args.json:
        cli.print_json(result)
    else:
        bench_report.show(result)


def check(args):
    """UsageError for what can be known before a device is looked for; the CPU for what it alone can do."""
    cli.known("model", args.model, models.names())
    if args.mode in MEASURES and args.model != bench_start.MODEL:
        raise cli.UsageError(f"--mode {args.mode} knows {bench_start.MODEL} only, got {args.model!r}")
    if args.mode in MEASURES and args.layers:
        raise cli.UsageError(f"--mode {args.mode} times {bench_start.MODEL} as a whole; leave --layers out")
    if args.mode == "start" or args.layers:
        if args.device == "cuda":
            what = "--mode start" if args.mode == "start" else "--layers"
            raise cli.UsageError(f"{what} times the CPU; on a GPU there are --mode accuracy and "
                                 "benchmarks/gpu_kernels.py")
        args.device = "cpu"                      # also on a machine with a GPU
    if args.mode in ("epoch", "accuracy"):
        bench_mnist.check(args)


def contest(args, workload):
    """The result as a dict: what was measured, the ceiling, a row for each engine and mode."""
    from scratchnet.kernels.cpu import threads
    threads.set_threads(workload.threads)
    ceiling = OfProcessor() if workload.device == "cpu" else Remote(OfDevice, workload.precision)
    ceilings = [ceiling.call("measure")]
    compared, rows, contenders = set_up(args, workload)
    speeds = {row: [] for row in contenders}
    for _ in range(args.rounds):
        for row, contender in list(contenders.items()):
            time.sleep(REST)
            try:
                speeds[row].append(contender.call("turn", args.seconds))
            except Unavailable as unavailable:   # killed for its memory, say: the others go on
                give_up(row, rows, str(unavailable))
                contenders.pop(row).close()
        try:
            ceilings.append(ceiling.call("measure"))
        except Unavailable as unavailable:       # those that there are will do
            print(f"bench: the ceiling was not measured again: {unavailable}", file=sys.stderr)
    ceiling.close()
    most = {what: statistics.median(found[what] for found in ceilings) for what in ceilings[0]}
    graph, moved = workload.graph(), None
    work = graph.multiply_adds()
    if "copy_gbytes" in most:
        moved = workload.bytes_moved(graph)
    for row, contender in contenders.items():
        peak, process = contender.call("peak_bytes")
        rows[row] |= summed_up(speeds["scratchnet"], speeds[row], work, most["gflops"]) | {
            "error": contender.call("error"), "peak_bytes": peak, "process_peak_bytes": process}
        if moved:
            rows[row]["share_of_copy"] = 1e-9 * moved * rows[row]["images_per_second"] / most["copy_gbytes"]
        if row in OURS and workload.device == "cuda":
            rows[row]["replayed"] = contender.call("replayed")
        contender.close()
    result = {"model": args.model, "mode": args.mode, "batch": args.batch, "threads": workload.threads,
              "rounds": args.rounds, "seconds": args.seconds, "eager": args.eager, **compared,
              "multiply_adds_per_image": work}
    for what, value in most.items():
        result |= {f"ceiling_{what}": value, f"ceiling_first_and_last_{what}": [ceilings[0][what], ceilings[-1][what]]}
    if moved:
        result["bytes_per_image"] = moved
    result["rows"] = list(rows.values())
    if workload.training and has_dropout(args.model):
        result["without_dropout"] = True
    return result | ({"layers": bench_layers.times(workload)} if args.layers else {})


def set_up(args, workload):
    """(what truth_of says, {row: its beginning}, {row: its process}): those who can take part have done their first
    step."""
    rows, contenders = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        compared = truth_of(workload, f"{folder}/truth")
        for row, why in taking_part(args, workload):
            rows[row] = {"engine": row}
            if why is None:
                print(f"setting up {row}", file=sys.stderr)
                try:
                    truth = f"{folder}/truth" if compared["compared"] else None
                    contenders[row] = Remote(Contender, row, workload, truth)
                except Unavailable as unavailable:
                    why = str(unavailable)
            if why:
                give_up(row, rows, why)
    return compared, rows, contenders


def truth_of(workload, path):
    """{"compared": what errors are measured against}, or None there and maybe the reason as "uncompared"."""
    try:
        truth = Remote(Truth, workload, path)
        compared = truth.call("words")
        truth.close()
        return {"compared": compared}
    except Unavailable as unavailable:           # out of memory, say: times can be had all the same
        return {"compared": None, "uncompared": str(unavailable)}


def give_up(row, rows, why):
    """A rival's row says why it has no times; without ours there is nothing to compare."""
    if row in OURS:
        raise RuntimeError(f"bench: {row}: {why}")
    rows[row]["why"] = why


def taking_part(args, workload):
    """(row, None or why it has no times), ours first."""
    yield from ((row, None) for row in OURS)
    for name in args.against:
        why = why_not(name, workload.mode, workload.device)
        yield from ((row, why) for row in ([name] if why else rows_of(name, workload.device, not args.eager)))


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
    parser.add_argument("--mode", choices=("training", "inference", *MEASURES), default="training",
                        help="start: from process start to the end of the first training step; epoch: a pass over "
                             "MNIST's 60,000 images; accuracy: from process start to 99%% right of its test set "
                             "(default: training)")
    parser.add_argument("--batch", type=cli.number(1, kind=int), default=64, metavar="N", help="default: 64")
    parser.add_argument("--against", type=rivals, default=["torch"], metavar="NAMES",
                        help=f"rivals, by commas, of {', '.join(RIVALS)} (default: torch)")
    parser.add_argument("--eager", action="store_true", help="PyTorch without its compiled modes, which take minutes")
    cli.add_precision(parser)
    parser.add_argument("--layers", action="store_true", help="also time each layer, ours and eager PyTorch's")
    parser.add_argument("--rounds", type=cli.number(1, kind=int), default=9, metavar="N", help="default: 9")
    parser.add_argument("--seconds", type=cli.number(0, above=0), default=1.0, metavar="S",
                        help="length of each turn, of one step at least (default: 1)")
    parser.add_argument("--save", nargs="?", const="", metavar="FILE",
                        help=f"append the result to a file of JSON lines (default: {bench_results.FILE}, of a GPU "
                             f"{bench_results.GPU_FILE})")
    data = parser.add_argument_group("for --mode epoch and accuracy")
    cli.add_data_dir(data)
    data.add_argument("--sample", action="store_true",
                      help="without MNIST: the package's 8,000 digits, repeated to 60,000, for an epoch")
    return cli.run(parser, command, argv)


if __name__ == "__main__":
    sys.exit(main())
