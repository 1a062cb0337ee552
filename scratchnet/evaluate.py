"""`evaluate CHECKPOINT DATASET`: the accuracy of a trained network on a test set."""

import sys

from scratchnet import checkpoint, cli, plots
from scratchnet.backend import to_device
from scratchnet.data import Batches
from scratchnet.fit import evaluate

BATCH_SIZE = 256


def command(args):
    cli.known_dataset(args.dataset)
    device = cli.choose_device(args)
    try:
        checkpoint.locate(args.checkpoint)
    except FileNotFoundError as error:
        raise cli.UsageError(str(error)) from None
    model, saved = checkpoint.load_model(args.checkpoint, args.network)
    if saved.preprocessing is None:
        raise ValueError(f"{args.checkpoint}: its network takes float arrays as a script makes them, so it cannot be "
                         "scored from the command line; use scratchnet.fit.evaluate in that script")
    splits = cli.load_data(args.dataset, args.data_dir)
    splits = splits.sized(*saved.preprocessing.stored(saved.input_shape), saved.input_shape[2])
    if saved.class_names != splits.class_names:
        raise ValueError(f"{args.checkpoint}: expected data with its classes ({_some(saved.class_names)}), "
                         f"got {splits.name} ({_some(splits.class_names)}); take the one it was trained on, "
                         f"{saved.dataset['name']}")
    if (saved.dataset["name"], splits.name) == ("mnist", "mnist-sample"):
        print("note: this network was trained on mnist, whose training set holds the sample's digits, so the "
              "accuracy says little", file=sys.stderr)
    if splits.files is not None and splits.checksum != saved.dataset["checksum"]:
        print("note: this is not the data the network was trained on, or it has changed since; where a part of it "
              "was set aside for the test, some of that may have been trained on", file=sys.stderr)
    found = score(to_device(model, device), splits, saved.preprocessing)
    if args.confusion:
        plots.confusion(args.confusion, found.confusion, splits.class_names,
                        f"{saved.model}: {verdict(splits.name, found)}")
    if args.json:
        cli.print_json(result(splits.name, found) | {"model": saved.model, "checkpoint": str(args.checkpoint),
                                                     "confusion": found.confusion.tolist()})
        return
    print("class  images  correct  accuracy")
    for name, row, correct in zip(splits.class_names, found.confusion, found.confusion.diagonal()):
        print(f"{name:<5}  {row.sum():>6,}  {correct:>7,}  {correct / max(row.sum(), 1):>8.2%}")
    print(f"loss {found.loss:.4f}")
    print(verdict(splits.name, found))


def score(model, splits, preprocessing):
    """The Evaluation of the test split."""
    return evaluate(model, Batches(splits.test.images, splits.test.labels, BATCH_SIZE, shuffle=False,
                                   preprocessing=preprocessing))


def verdict(dataset, found):
    """The accuracy in words that say what it was measured on."""
    on = (f"on {found.n:,} held-out sample digits, not MNIST's test set" if dataset == "mnist-sample"
          else f"on the {found.n:,} test images of {dataset}")
    return f"{found.accuracy:.2%} accuracy {on}"


def result(dataset, found):
    return {"dataset": dataset, "test_accuracy": found.accuracy, "test_loss": found.loss, "n": found.n}


def _some(names):
    return f"{len(names)}: {', '.join(names[:3])}" + (", …" if len(names) > 3 else "")


def build_parser():
    parser = cli.Parser("evaluate", "Score a checkpoint on the test set of a dataset.")
    parser.add_argument("checkpoint", metavar="CHECKPOINT",
                        help="a .safetensors file, or a run folder: its best one")
    parser.add_argument("dataset", metavar="DATASET", help=cli.DATASET_HELP)
    cli.add_data_dir(parser)
    cli.add_network(parser)
    parser.add_argument("--confusion", metavar="FILE", type=cli.png, help="save the confusion matrix as a PNG")
    return parser


def main(argv=None):
    return cli.run(build_parser(), command, argv)


if __name__ == "__main__":
    sys.exit(main())
