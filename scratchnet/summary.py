"""`summary MODEL|CHECKPOINT`: the layers of a network, their shapes, parameters, work, memory and receptive fields."""

import sys

from scratchnet import checkpoint, cli, models
from scratchnet.layer_table import as_dict, rows, summary, totals


def command(args):
    if args.list:
        if any((args.model, args.input, args.classes, args.batch, args.depth, args.network, args.text)):
            raise cli.UsageError("--list shows all networks as their papers have them; leave the rest out, but --json")
        show_zoo(args.json)
        return
    if args.model is None:
        raise cli.UsageError("expected the name of a network or a checkpoint, got none; --list shows the names")
    if args.text:
        print_text(args.model)
        return
    model = create(args) if args.model in models.names() else load(args)
    if args.json:
        batch = args.batch or 1
        layers = [as_dict(row) for row in rows(model, batch, args.depth)]
        cli.print_json({"model": args.model, "input_shape": model.input_shape, "batch": batch, **totals(model, batch),
                        "layers": [layer for layer in layers if layer]})
    else:
        print(summary(model, args.batch, args.depth))


def create(args):
    try:
        return models.blank(args.model, args.input, args.classes)
    except ValueError as error:
        raise cli.UsageError(str(error)) from None


def load(args):
    try:
        checkpoint.locate(args.model)
    except FileNotFoundError as error:
        if args.model.endswith(".safetensors") or "/" in args.model:
            raise cli.UsageError(str(error)) from None
        cli.known("model", args.model, models.names())
    if args.input or args.classes:
        raise cli.UsageError("--input and --classes are for models by name; a checkpoint has its own")
    return checkpoint.load_model(args.model, args.network)[0]


def show_zoo(as_json):
    """Every network that has a name, with its paper and what it takes for one image of the paper's size."""
    zoo = []
    for name, known in models.MODELS.items():
        total = totals(models.blank(name))
        zoo.append({"name": name, "paper": known.paper, "input_shape": known.input_shape, "classes": known.classes,
                    "parameters": total["parameters"] - total["parameters_in_auxiliaries"],
                    "parameters_in_auxiliaries": total["parameters_in_auxiliaries"],
                    "multiply_adds": total["multiply_adds"]})
    if as_json:
        cli.print_json({"models": zoo})
        return
    lines = [("name", "paper", "input", "parameters", "multiply-adds")]
    lines += [(row["name"], row["paper"], "x".join(map(str, row["input_shape"])), f"{row['parameters']:,}",
               f"{row['multiply_adds']:,}") for row in zoo]
    widths = [max(map(len, column)) for column in zip(*lines)]
    for cells in lines:
        print("  ".join(cell.ljust(width) if column < 3 else cell.rjust(width)
                        for column, (cell, width) in enumerate(zip(cells, widths))))
    spare = [f"{row['name']} {row['parameters_in_auxiliaries']:,}" for row in zoo if row["parameters_in_auxiliaries"]]
    print(f"auxiliary classifiers, which only training has, take more parameters: {', '.join(spare)}")


def print_text(path):
    """The Python file a network of the user's own was made by, as it is kept in the checkpoint."""
    saved = checkpoint.load(path)
    if saved.network is None:
        raise ValueError(f"{path}: expected a network of the user's own, got {saved.model or 'one made in a script'}, "
                         "of which no text is kept")
    sys.stdout.write(saved.network)


def shape(text):
    """"32x32x1" -> (32, 32, 1)."""
    sizes = text.lower().split("x")
    return tuple(cli.number(1, kind=int)(size) for size in sizes)


def build_parser():
    parser = cli.Parser("summary", "Show the layers of a network: shapes, parameters, multiply-adds, memory of the "
                                   "outputs in float32, and how many pixels of the image one output sees.")
    parser.add_argument("model", metavar="MODEL|CHECKPOINT", nargs="?",
                        help="a name (--list shows them), a .safetensors file, or a run folder: its best one")
    parser.add_argument("--list", action="store_true",
                        help="list the names, with paper, input, parameters and multiply-adds")
    parser.add_argument("--input", metavar="HxWxC", type=shape, help="default: the model's own, such as 224x224x3")
    parser.add_argument("--classes", metavar="N", type=cli.number(1, kind=int), help="default: the model's own")
    parser.add_argument("--batch", metavar="N", type=cli.number(1, kind=int), help="images that go through together "
                        "(default: 1, and shapes without it)")
    parser.add_argument("--depth", metavar="N", type=cli.number(1, kind=int),
                        help="sum up what is in blocks within N others (default: show all layers)")
    cli.add_network(parser)
    parser.add_argument("--text", action="store_true",
                        help="print the Python file that made a checkpoint's own network")
    return parser


def main(argv=None):
    return cli.run(build_parser(), command, argv)


if __name__ == "__main__":
    sys.exit(main())
