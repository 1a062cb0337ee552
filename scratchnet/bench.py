"""`bench MODEL`: scratchnet against a rival on the same network, weights and batch, in turns, in one run."""

import importlib.util
import statistics
import sys

import numpy as np

from scratchnet import cli, models
from scratchnet.contest import Contender, exact

RIVALS = {"torch": "PyTorch, eager"}


def command(args):
    cli.known("model", args.model, models.names())
    settings = {"model": args.model, "mode": args.mode, "batch": args.batch, "threads": args.threads or cli.cores()}
    engines = ["scratchnet"]
    for rival in args.against:
        if importlib.util.find_spec(rival) is None:
            print(f"{RIVALS[rival]} is not installed: pip install torch==2.13.0", file=sys.stderr)
        else:
            engines.append(rival)
    contenders = [Contender(engine, settings) for engine in engines]
    try:
        speeds = {engine: [] for engine in engines}
        for round_ in range(args.rounds + 1):                     # the first round warms up
            for contender in contenders:
                speed = contender.turn(args.seconds)
                if round_:
                    speeds[contender.engine].append(speed)
    finally:
        for contender in contenders:
            contender.close()
    truth = exact(settings)
    rows = [{"engine": contender.engine, "images_per_second": statistics.median(speeds[contender.engine]),
             "lowest": min(speeds[contender.engine]), "highest": max(speeds[contender.engine]),
             "ratio": median_ratio(speeds["scratchnet"], speeds[contender.engine]),
             "error": largest_error(contender.first, truth)} for contender in contenders]
    if args.json:
        cli.print_json({**settings, "rounds": args.rounds, "rows": rows})
    else:
        report(settings, args.rounds, rows)


def median_ratio(ours, theirs):
    """How many times as fast we are, round by round, so that what slows a round down slows both."""
    return statistics.median(mine / other for mine, other in zip(ours, theirs))


def largest_error(first, truth):
    """max over loss and gradients (or logits) of ‖got - float64‖/‖float64‖."""
    return max(float(np.linalg.norm(first[name] - exact) / np.linalg.norm(exact)) for name, exact in truth.items())


def report(settings, rounds, rows):
    what = "loss and gradients" if settings["mode"] == "training" else "logits"
    print(f"{settings['model']} {settings['mode']}, batch {settings['batch']}, {settings['threads']} threads, "
          f"medians of {rounds} alternating rounds; error: {what} of the first step against float64")
    print(f"{'engine':<12}{'images/s':>10}{'lowest':>10}{'highest':>10}{'scratchnet is':>15}{'error':>10}")
    for row in rows:
        print(f"{row['engine']:<12}{row['images_per_second']:>10,.0f}{row['lowest']:>10,.0f}{row['highest']:>10,.0f}"
              f"{row['ratio']:>13.2f} x{row['error']:>10.1e}")


def rivals(text):
    return [cli.one_of(tuple(RIVALS))(name) for name in text.split(",")]


def main(argv=None):
    parser = cli.Parser("bench", "Time scratchnet and its rivals in turns, and compare what they compute.")
    parser.add_argument("model", metavar="MODEL", help=", ".join(models.names()))
    parser.add_argument("--mode", choices=("training", "inference"), default="training", help="default: training")
    parser.add_argument("--batch", type=cli.number(1, kind=int), default=64, metavar="N", help="default: 64")
    parser.add_argument("--against", type=rivals, default=["torch"], metavar="NAMES",
                        help=f"rivals, by commas, of {', '.join(RIVALS)} (default: torch)")
    parser.add_argument("--rounds", type=cli.number(1, kind=int), default=9, metavar="N", help="default: 9")
    parser.add_argument("--seconds", type=cli.number(0, above=0), default=1.0, metavar="S",
                        help="length of each turn (default: 1)")
    return cli.run(parser, command, argv)


if __name__ == "__main__":
    sys.exit(main())
