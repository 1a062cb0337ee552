"""`evaluate CHECKPOINT|MODEL DATASET`: the accuracy of a trained network on a test set."""

import sys
from dataclasses import replace

import numpy as np

from scratchnet import cli, plots
from scratchnet.backend import to_device
from scratchnet.data import Arrays, Batches, imagenet
from scratchnet.fit import evaluate
from scratchnet.plots.figures import printable
from scratchnet.trained import add_trained, batch_size, open_trained

BATCH_SIZE = 256            # at most, of small images
OTHERS = "(others)"         # what a network answers beside the classes of the data


def command(args):
    cli.known_dataset(args.dataset)
    device = cli.choose_device(args)
    model, saved = open_trained(args)
    published = args.weights is not None
    # Of a folder without splits, published weights have seen nothing: all of it is the test set.
    splits = cli.load_data(args.dataset, args.data_dir, **({"validation_fraction": None} if published else {}))
    numbers = numbers_of(splits.class_names, saved.class_names)
    if numbers is None:
        advice = f"take the one it was trained on, {saved.dataset['name']}"
        raise ValueError(f"{args.weights or args.trained}: expected data with its classes ({_some(saved.class_names)}),"
                         f" got {splits.name} ({_some(splits.class_names)}); "
                         f"{'name the folders as its classes' if published else advice}")
    splits = splits.sized(*saved.preprocessing.stored(saved.input_shape), saved.input_shape[2],
                          saved.preprocessing.centre)
    if (saved.dataset["name"], splits.name) == ("mnist", "mnist-sample"):
        print("note: this network was trained on mnist, whose training set holds the sample's digits, so the "
              "accuracy says little", file=sys.stderr)
    if not published and splits.files is not None and splits.checksum != saved.dataset["checksum"]:
        print("note: this is not the data the network was trained on, or it has changed since; where a part of it "
              "was set aside for the test, some of that may have been trained on", file=sys.stderr)
    test = Arrays(splits.test.images, np.array(numbers)[splits.test.labels])
    found = score(to_device(model, device), replace(splits, test=test), saved.preprocessing)
    classes, counts = of_classes(sorted(set(numbers)), saved.class_names, found.confusion)
    if args.confusion:
        plots.confusion(args.confusion, counts, classes, f"{saved.model}: {verdict(splits.name, found)}")
    if args.json:
        cli.print_json(result(splits.name, found) | {"model": saved.model, "checkpoint": args.weights or args.trained,
                                                     "classes": classes, "confusion": counts.tolist()})
        return
    width = max(len("class"), *map(len, map(printable, classes)))
    print(f"{'class':<{width}}  images  correct  accuracy")
    for name, row, correct in zip(classes, counts, counts.diagonal()):
        if name != OTHERS:
            print(f"{printable(name):<{width}}  {row.sum():>6,}  {correct:>7,}  {correct / max(row.sum(), 1):>8.2%}")
    print(f"loss {found.loss:.4f}")
    print(verdict(splits.name, found))


def numbers_of(data_names, class_names):
    """Which of the network's classes each of the data's is, or None where they are others.

    They have the same names; of a network for ImageNet some will do, named as its classes, also with _ for spaces, or
    by WordNet id.
    """
    if data_names == class_names:
        return list(range(len(class_names)))
    if class_names != imagenet.class_names():
        return None
    numbers = {wnid: number for number, wnid in enumerate(imagenet.wnids())}
    numbers |= {name: number for number, name in enumerate(class_names)}
    found = [numbers.get(name, numbers.get(name.replace("_", " "))) for name in data_names]
    return None if None in found else found


def of_classes(numbers, class_names, confusion):
    """(names, counts) of some of the classes; where that are not all, a last row and column for answers of others."""
    if len(numbers) == len(class_names):
        return class_names, confusion
    counts = np.zeros((len(numbers) + 1,) * 2, confusion.dtype)
    counts[:-1, :-1] = confusion[np.ix_(numbers, numbers)]
    counts[:-1, -1] = confusion[numbers].sum(axis=1) - counts[:-1, :-1].sum(axis=1)
    return [*(class_names[number] for number in numbers), OTHERS], counts


def score(model, splits, preprocessing):
    """The Evaluation of the test split."""
    return evaluate(model, Batches(splits.test.images, splits.test.labels, batch_size(BATCH_SIZE, model.input_shape),
                                   shuffle=False, preprocessing=preprocessing))


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
    parser = cli.Parser("evaluate", "Score a trained network on the test set of a dataset.")
    add_trained(parser)
    parser.add_argument("dataset", metavar="DATASET", help=cli.DATASET_HELP)
    cli.add_data_dir(parser)
    cli.add_precision(parser)
    parser.add_argument("--confusion", metavar="FILE", type=cli.png, help="save the confusion matrix as a PNG")
    return parser


def main(argv=None):
    return cli.run(build_parser(), command, argv)


if __name__ == "__main__":
    sys.exit(main())
