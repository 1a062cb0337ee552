"""`summary MODEL|CHECKPOINT`: the layers of a network, their shapes, parameters and work."""

import sys

from scratchnet import checkpoint, cli, models
from scratchnet.describe import summary, totals


def command(args):
    if args.text:
        print_text(args.model)
        return
    model, name = (create if args.model in models.names() else load)(args), args.model
    if args.json:
        layers = [{"path": leaf.path, "kind": leaf.describe(), "input_shape": leaf.input_shape,
                   "parameters": sum(p.value.size for p in leaf.parameters().values())}
                  for leaf in model.leaves()]
        cli.print_json({"model": name, "input_shape": model.input_shape, **totals(model), "layers": layers})
    else:
        print(summary(model))


def create(args):
    try:
        return models.create(args.model, args.input_shape, args.classes)
    except ValueError as error:
        raise cli.UsageError(str(error)) from None


def load(args):
    try:
        checkpoint.locate(args.model)
    except FileNotFoundError as error:
        if args.model.endswith(".safetensors") or "/" in args.model:
            raise cli.UsageError(str(error)) from None
        cli.known("model", args.model, models.names())
    if args.input_shape or args.classes:
        raise cli.UsageError("--input-shape and --classes are for models by name; a checkpoint has its own")
    return checkpoint.load_model(args.model, args.network)[0]


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
    parser = cli.Parser("summary", "Show the layers of a network, their shapes, parameters and work.")
    names = ", ".join(models.names())
    parser.add_argument("model", metavar="MODEL|CHECKPOINT",
                        help=f"a name ({names}), a .safetensors file, or a run folder: its best one")
    parser.add_argument("--input-shape", metavar="HxWxC", type=shape,
                        help="default: the model's own, such as 32x32x1")
    parser.add_argument("--classes", metavar="N", type=cli.number(1, kind=int),
                        help="default: the model's own")
    cli.add_network(parser)
    parser.add_argument("--text", action="store_true", help="print the Python file that made a checkpoint's own network")
    return parser


def main(argv=None):
    return cli.run(build_parser(), command, argv)


if __name__ == "__main__":
    sys.exit(main())
