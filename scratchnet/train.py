"""`train MODEL DATASET`: train a network, keep its best epoch, score it once on the test set."""

import argparse
import sys
import time

from scratchnet import cli, data, models, recipes, run_folder
from scratchnet.backend import to_device
from scratchnet.checkpoint import BEST, LAST
from scratchnet.data import Batches, Preprocessing, split_validation
from scratchnet.evaluate import result, score, verdict
from scratchnet.fit import fit
from scratchnet.signals import Stopped, after_this_batch

WISHES = ("epochs", "batch_size", "optimizer", "lr", "momentum", "nesterov", "weight_decay", "schedule",
          "warm_up", "validation_fraction")


def command(args):
    cli.known("model", args.model, models.names())
    cli.known("dataset", args.dataset, data.names())
    wishes = {name: getattr(args, name) for name in WISHES}
    try:
        recipes.adapt(recipes.find(args.model, args.dataset), **wishes)
    except ValueError as error:
        raise cli.UsageError(str(error)) from None
    device = cli.choose_device(args)
    path = run_folder.named(args.out) if args.out else None

    splits = cli.load_data(args.dataset, args.data_dir)
    name = f"{args.model}-{splits.name}"                # not args.dataset: it may have become the sample
    recipe = recipes.adapt(recipes.find(args.model, splits.name), **wishes)
    model = models.create(args.model, classes=len(splits.class_names), seed=args.seed)
    preprocessing = Preprocessing.for_input(splits, model.input_shape)
    train, validation = (
        Batches(part.images, part.labels, recipe.batch_size, args.seed, shuffle, preprocessing)
        for part, shuffle in zip(split_validation(splits.train, recipe.validation_fraction), (True, False)))
    optimizer = recipe.make_optimizer(to_device(model, device).parameters())

    folder = run_folder.RunFolder(path or run_folder.unnamed(name), args.model, model, optimizer, splits,
                                  preprocessing)
    parameters = sum(p.value.size for p in model.parameters().values())
    print(f"{args.model} on {splits.name}: {parameters:,} parameters; {len(train.y):,} images to train, "
          f"{len(validation.y):,} to validate, {len(splits.test):,} to test; into {folder.path}",
          file=sys.stderr, flush=True)
    folder.write_config(args.argv, asked_for=args.dataset, seed=args.seed, **recipe.settings(), device=device,
                        threads=args.threads or cli.cores())
    folder.save(LAST, 0, 0)
    started = time.perf_counter()
    history = run(folder, model, train, validation, recipe, optimizer)
    finish(args, folder, history, time.perf_counter() - started)


def run(folder, model, train, validation, recipe, optimizer):
    """fit, which a signal may end after any batch, with a checkpoint."""
    with after_this_batch() as request:
        def after_step(step):
            if request.signum:
                folder.save(LAST, step // len(train), step)
                raise Stopped(request.signum, f"stopped after step {step}; the network as it is: "
                                              f"{folder.path / LAST}")

        history = fit(model, train, validation, epochs=recipe.epochs, optimizer=optimizer,
                      schedule=recipe.make_schedule(len(train)), after_step=after_step,
                      after_epoch=folder.after_epoch)
        after_step(history[-1]["step"])                 # a signal during the last validation
    return history


def finish(args, folder, history, seconds):
    """Score the test set, once, with the weights of the best epoch, and say how that went."""
    best = history.best()
    folder.load_best()
    found = score(folder.model, folder.splits, folder.preprocessing)
    words = verdict(folder.splits.name, found)
    values = result(folder.splits.name, found) | {
        "model": args.model, "weights": BEST, "best_epoch": best["epoch"],
        "validation_accuracy": best["validation_accuracy"], "epochs": len(history), "seconds": seconds}
    folder.finish(values, history, found.confusion, f"{args.model} on {folder.splits.name}: {words}")
    if args.json:
        cli.print_json(values | {"folder": str(folder.path)})
    else:
        print(f"run folder {folder.path}\n"
              f"weights of epoch {best['epoch']}, the best of {len(history)} in validation; {seconds:.1f} s\n"
              f"test loss {found.loss:.4f}\n{words}")


def build_parser(argv):
    """The options, with the defaults of the pair that is named, or of pairs without a recipe."""
    asked = [next((word for word in argv if word in names), "") for names in (models.names(), data.names())]
    recipe = recipes.find(*asked)
    reached = f" This one reached {recipe.reached}." if recipe.reached else ""
    parser = cli.Parser("train", "Train a network, keep the best epoch, score it once on the test set.",
                        epilog=f"Defaults are the recipe's: name MODEL and DATASET to see it.{reached}")
    parser.add_argument("model", metavar="MODEL", help=", ".join(models.names()))
    parser.add_argument("dataset", metavar="DATASET", help=", ".join(data.names()))

    def add(option, metavar, kind, help, default):
        group.add_argument(option, metavar=metavar, type=kind, help=f"{help} (default: {default})")

    count = cli.number(1, kind=int)
    group = parser.add_argument_group("data")
    add("--data-dir", "DIR", str, "folder that holds the dataset",
        "$SCRATCHNET_DATA, else the cache, else downloaded")
    add("--validation-fraction", "F", cli.number(0, below=1, above=0),
        "share of the training set that chooses the best epoch", f"{recipe.validation_fraction:.3g}")
    group = parser.add_argument_group("training")
    add("--epochs", "N", count, "passes over the training set", recipe.epochs)
    add("--batch-size", "N", count, "images a step", recipe.batch_size)
    names = tuple(recipes.OPTIMIZERS)
    add("--optimizer", "NAME", cli.one_of(names), ", ".join(names), recipe.optimizer)
    add("--lr", "LR", cli.number(0), "learning rate at its highest", recipe.lr)
    add("--momentum", "M", cli.number(0, below=1), "of sgd and rmsprop", recipe.momentum)
    group.add_argument("--nesterov", action=argparse.BooleanOptionalAction,
                       help=f"Nesterov's momentum, of sgd (default: {'yes' if recipe.nesterov else 'no'})")
    add("--weight-decay", "W", cli.number(0), "L2, decoupled in adamw", recipe.weight_decay)
    add("--schedule", "NAME", cli.one_of(recipes.SCHEDULES), ", ".join(recipes.SCHEDULES), recipe.schedule)
    add("--warm-up", "EPOCHS", cli.number(0), "epochs in which the learning rate rises first", recipe.warm_up)
    add("--seed", "N", cli.number(0, kind=int), "decides first weights, order and dropout", 0)
    group = parser.add_argument_group("output")
    add("--out", "DIR", str, "folder for everything", "runs/MODEL-DATASET, with -2, -3, … where that exists")
    parser.set_defaults(seed=0, argv=argv)
    return parser


def main(argv=None):
    argv = sys.argv[1:] if argv is None else list(argv)
    return cli.run(build_parser(argv), command, argv)


if __name__ == "__main__":
    sys.exit(main())
