"""`train MODEL DATASET`: train a network, keep its best epoch, score it once on the test set."""

import dataclasses
import functools
import sys
from pathlib import Path

from scratchnet import cli, losses, recipes, run_folder, tensorboard
from scratchnet.backend import to_device
from scratchnet.checkpoint import BEST, LAST
from scratchnet.data import Batches, Preprocessing, augment, split_validation
from scratchnet.evaluate import result, score, verdict
from scratchnet.files import sha256
from scratchnet.fit import fit
from scratchnet.heads import freeze_backbone
from scratchnet.lock import Locked, locked
from scratchnet.run_folder import RunFolder, RunFolderError
from scratchnet.signals import Stopped, after_this_batch
from scratchnet.sizing import Network, in_words, sized_for
from scratchnet.train_options import WISHES, build_parser
from scratchnet.weights import image_shape, load_weights, opened


def command(args):
    network, path = check(args)
    device = cli.choose_device(args)

    splits = cli.load_data(args.dataset, args.data_dir,
                           validation_fraction=recipe_for(args, args.dataset).validation_fraction)
    recipe = recipe_for(args, splits.name)                                  # it may have become the sample
    model, loaded = first_model(network, splits, args)
    sized, preprocessing = prepared(splits, model.input_shape, loaded and loaded.preprocessing)
    words = in_words(splits, model.input_shape, preprocessing)
    train, validation = batches(sized, preprocessing, recipe, args)
    optimizer = recipe.make_optimizer(to_device(model, device).parameters())
    about = {"model": network.name, "input_shape": model.input_shape, "classes": len(splits.class_names),
             "class_names": splits.class_names, "preprocessing": preprocessing, "network": network.source,
             "summary": repr(model), "dataset": {"name": splits.name, "checksum": splits.checksum}}
    settings = {"command": args.command, "asked_for": args.dataset, "source": splits.source, "seed": args.seed,
                **recipe.settings(), "device": device, "threads": args.threads or cli.cores(), "workers": args.workers,
                "save_every": args.save_every, "freeze_backbone": args.freeze_backbone or None,
                "precision": None if args.precision == cli.EXACT else args.precision,
                "weights": loaded and (loaded.sha256 or sha256(loaded.path)),
                "weights_source": loaded and loaded.source}
    try:
        path = path or run_folder.unnamed(f"{network.label}-{splits.name}", args.resume)
        with locked(path):
            folder = RunFolder(path, model, optimizer, about, 60 * args.save_every, args.tensorboard)
            position = folder.begin(settings, splits.files, args.resume)
            values = folder.result()
            if values is None:
                announce(network.label, splits, words, model, (train.y, validation.y, sized.test), path)
                history = run(folder, position, train, validation, recipe)
                values = finish(folder, history, sized, preprocessing, network.label)
    except (Locked, RunFolderError) as error:
        raise cli.UsageError(str(error)) from None
    say(values, path, args.json)


def check(args):
    """(Network, the run folder that --out names or None). UsageError for what can be known before any data are read."""
    try:
        network = Network(args.model)
        cli.known_dataset(args.dataset)
        recipe = recipe_for(args, args.dataset)
        if recipe.augment:
            augment.parse(recipe.augment, classes=2, fill=(0,), seed=0)     # raises for a wrong name
        if args.freeze_backbone and not args.weights:
            raise ValueError("--freeze-backbone keeps the backbone as --weights has it, and there are none: name them")
        cli.check_weights(args.weights)
        if args.tensorboard:
            tensorboard.check()
        outside(args.dataset, args.out or "runs")
        return network, None if args.out is None else run_folder.named(args.out, args.resume)
    except (ValueError, RuntimeError) as error:
        raise cli.UsageError(str(error)) from None


def recipe_for(args, dataset):
    found = recipes.find(args.model, dataset, weights=args.weights, frozen=args.freeze_backbone)
    return recipes.adapt(found, **{name: getattr(args, name) for name in WISHES})


def first_model(network, splits, args):
    """(model, Loaded or None): drawn at random for the images, or, with --weights, made for those that they are for."""
    if not args.weights:
        return network.made_for(splits, args.image_size, args.seed), None
    with opened(args.weights) as source:
        shape = image_shape(network.name, source)
        model = network.made_for_weights(shape, splits, args.image_size, args.seed)
        loaded = load_weights(model, source)
    if args.freeze_backbone:
        freeze_backbone(model)
    return model, loaded


def prepared(splits, input_shape, published=None):
    """(splits whose files are read as wanted, Preprocessing): that of the weights if there are any, for it belongs to
    them; of weights that say nothing of the size of images, mean and standard deviation."""
    if published is not None and published.size is not None:
        return sized_for(splits, input_shape, published), published
    sized = sized_for(splits, input_shape)
    made = Preprocessing.for_input(sized, input_shape)
    return sized, made if published is None else dataclasses.replace(made, mean=published.mean, std=published.std)


def outside(dataset, out):
    """RunFolderError where the run would be written among the images, and be taken for some of them the next time."""
    images, run = Path(dataset).resolve(), Path(out).resolve()
    if images.is_dir() and images in (run, *run.parents):
        raise RunFolderError(f"{out}: expected a folder outside of the images, got one in {dataset}; name another "
                             "with --out")


def announce(label, splits, words, model, parts, path):
    parameters = model.parameters().values()
    size, trained = sum(p.value.size for p in parameters), sum(p.value.size for p in parameters if p.trainable)
    learnt = "" if trained == size else f", {trained:,} of them trained"
    train, validation, test = (len(part) for part in parts)
    print(f"{label} on {splits.name}: {size:,} parameters{learnt}, {len(splits.class_names)} classes, {words}; "
          f"{train:,} to train, {validation:,} to validate, {test:,} to test; into {path}", file=sys.stderr, flush=True)


def batches(splits, preprocessing, recipe, args):
    """(train, validation): a share of the training set is for validation where the dataset brings none."""
    train, validation = splits.train, splits.validation
    if validation is None:
        train, validation = split_validation(train, recipe.validation_fraction)
    change, before = None, preprocessing
    if recipe.augment:
        fill = tuple(255 * mean for mean in preprocessing.mean)
        change = augment.parse(recipe.augment, len(splits.class_names), fill, args.seed)
        if change.source_scale != 1:        # it crops: files are read larger, and arrays brought back to their size
            before = preprocessing.covering(splits.image_shape[:2])
            train = train.sized(*(round(change.source_scale * side) for side in before.size))
    return (Batches(train.images, train.labels, recipe.batch_size, args.seed, True, before, change, args.workers),
            Batches(validation.images, validation.labels, recipe.batch_size, args.seed, False, preprocessing,
                    workers=args.workers))


def run(folder, position, train, validation, recipe):
    """fit, which a signal may end after any batch, with a checkpoint."""
    with after_this_batch() as request:
        def after_step(position):
            if request.signum:
                folder.save(LAST, position)
                raise Stopped(request.signum, f"stopped after step {position.step}, saved in {folder.path / LAST}; "
                                              f"the same command with --out {folder.path} --resume goes on")
            folder.after_step(position)

        history = fit(folder.model, train, validation, epochs=recipe.epochs, optimizer=folder.optimizer,
                      schedule=recipe.make_schedule(len(train)),
                      criterion=functools.partial(losses.softmax_cross_entropy, label_smoothing=recipe.label_smoothing),
                      validation_criterion=losses.softmax_cross_entropy,
                      after_step=after_step, after_epoch=folder.after_epoch, position=position)
        if request.signum:                              # during the last validation
            raise Stopped(request.signum)
    return history


def finish(folder, history, splits, preprocessing, label):
    """Score the test set, once, with the weights of the best epoch, and keep how that went."""
    best = history.best()
    folder.load_best()
    found = score(folder.model, splits, preprocessing)
    words = verdict(splits.name, found)
    values = result(splits.name, found) | {
        "model": label, "weights": BEST, "best_epoch": best["epoch"],
        "validation_accuracy": best["validation_accuracy"], "epochs": len(history),
        "seconds": sum(history["seconds"]), "verdict": words}
    folder.finish(values, history, found, splits.test.images, f"{label} on {splits.name}: {words}")
    return values


def say(values, path, as_json):
    if as_json:
        cli.print_json(values | {"folder": str(path)})
    else:
        print(f"run folder {path}\n"
              f"weights of epoch {values['best_epoch']}, the best of {values['epochs']} in validation; "
              f"{values['seconds']:.1f} s\ntest loss {values['test_loss']:.4f}\n{values['verdict']}")


def main(argv=None):
    argv = sys.argv[1:] if argv is None else list(argv)
    return cli.run(build_parser(argv), command, argv)


if __name__ == "__main__":
    sys.exit(main())
