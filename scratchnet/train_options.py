"""The options of `train`."""

import argparse
import shlex

from scratchnet import cli, data, models, own_network, recipes
from scratchnet.data import augment

WISHES = ("epochs", "batch_size", "optimizer", "lr", "momentum", "nesterov", "weight_decay", "schedule", "warm_up",
          "label_smoothing", "augment", "validation_fraction")
SAVE_EVERY = 10.0           # minutes


def augmentation(text):
    if text in models.names() or text in data.names() or own_network.is_own(text):
        raise argparse.ArgumentTypeError(f"expected a list such as crop,flip, got {text!r}; to leave the list out, put "
                                         "--augment behind MODEL and DATASET")
    return text


def build_parser(argv):
    """The options, with the defaults of the pair that is named, or of pairs without a recipe."""
    asked = [next((word for word in argv if word in names), "") for names in (models.names(), data.names())]
    recipe = recipes.find(*asked, weights=any(word.partition("=")[0] == "--weights" for word in argv),
                          frozen="--freeze-backbone" in argv)
    reached = f" This one reached {recipe.reached}." if recipe.reached else ""
    parser = cli.Parser("train", "Train a network, keep the best epoch, score it once on the test set.",
                        epilog=f"Defaults are the recipe's: name MODEL and DATASET to see it.{reached}")
    parser.add_argument("model", metavar="MODEL",
                        help=f"{', '.join(models.names())}; or FILE.py:FUNCTION, returning a network of your own")
    parser.add_argument("dataset", metavar="DATASET", help=cli.DATASET_HELP)

    def add(option, metavar, kind, help, default):
        group.add_argument(option, metavar=metavar, type=kind, help=f"{help} (default: {default})")

    def switch(option, default, help):
        group.add_argument(option, action=argparse.BooleanOptionalAction,
                           help=f"{help} (default: {'yes' if default else 'no'})")

    count = cli.number(1, kind=int)
    group = parser.add_argument_group("data")
    cli.add_data_dir(group)
    add("--validation-fraction", "F", cli.number(0, below=1, above=0),
        "share of the training set that chooses the best epoch, where the dataset has no val",
        f"{recipe.validation_fraction:.3g}")
    add("--image-size", "HxW", cli.size, "what images are resized to, such as 224 or 96x128",
        "as they are, or what the network takes")
    group.add_argument("--augment", metavar="LIST", nargs="?", const=recipes.RECIPES_OWN, type=augmentation,
                       help="change training images at random: any of "
                            f"{', '.join(augment.NAMES)}, as in crop,flip,mixup=0.2; without LIST the recipe's, "
                            f"{recipe.augmentation} (default: {recipe.augment or 'none'})")
    add("--workers", "N", count, "threads that decode and augment beside the step", "one for each core")
    group = parser.add_argument_group("training")
    cli.add_weights(group)
    group.add_argument("--freeze-backbone", action="store_true",
                       help="train the head alone, the last dense layer; the rest stays as --weights has it, to the bit")
    add("--epochs", "N", count, "passes over the training set", recipe.epochs)
    add("--batch-size", "N", count, "images a step", recipe.batch_size)
    names = tuple(recipes.OPTIMIZERS)
    add("--optimizer", "NAME", cli.one_of(names), ", ".join(names), recipe.optimizer)
    add("--lr", "LR", cli.number(0), "learning rate at its highest", recipe.lr)
    add("--momentum", "M", cli.number(0, below=1), "of sgd and rmsprop", recipe.momentum)
    switch("--nesterov", recipe.nesterov, "Nesterov's momentum, of sgd")
    add("--weight-decay", "W", cli.number(0), "L2, decoupled in adamw", recipe.weight_decay)
    add("--schedule", "NAME", cli.one_of(recipes.SCHEDULES), ", ".join(recipes.SCHEDULES), recipe.schedule)
    add("--warm-up", "EPOCHS", cli.number(0), "epochs in which the learning rate rises first", recipe.warm_up)
    add("--label-smoothing", "S", cli.number(0, below=1), "share of the target spread over all classes",
        recipe.label_smoothing)
    cli.add_precision(group)
    add("--seed", "N", cli.number(0, kind=int), "decides first weights, order, augmentation and dropout", 0)
    group = parser.add_argument_group("output")
    add("--out", "DIR", cli.folder, "folder for everything", "runs/MODEL-DATASET, with -2, -3, … where that exists")
    group.add_argument("--resume", action="store_true",
                       help="go on with the run in --out, or the last of the default folders, to the same bits")
    add("--save-every", "MINUTES", cli.number(0), "checkpoints inside long epochs, too", f"{SAVE_EVERY:g}")
    group.add_argument("--tensorboard", action="store_true", help="write events for TensorBoard into the folder, too")
    parser.set_defaults(seed=0, save_every=SAVE_EVERY, command=shlex.join(["scratchnet", "train", *argv]))
    return parser
