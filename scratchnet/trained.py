"""The trained network that predict, look and evaluate use: a checkpoint's, or one by name with --weights."""

import os

from scratchnet import checkpoint, cli, models
from scratchnet.data import imagenet
from scratchnet.weights import head_classes, image_shape, load_weights, opened

MOST = 0.9          # of a thousand names: the others are spelt in yet another way
PIXELS = 1 << 20    # of the images that go through a network together: 64 channels of so many take 0.27 GB


def add_trained(parser):
    """The arguments that say which network."""
    parser.add_argument("trained", metavar="CHECKPOINT|MODEL",
                        help="a .safetensors file of a training, or a run folder: its best one; or the name of a "
                             "network, with --weights")
    cli.add_weights(parser)
    cli.add_network(parser)


def check_trained(args):
    """UsageError for what can be known before a file is read."""
    by_name = args.trained in models.names() and not os.path.exists(args.trained)
    if args.weights is None:
        if by_name:
            raise cli.UsageError(f"{args.trained} is the name of a network that nobody has trained yet: add --weights "
                                 "FILE or --weights hub:OWNER/REPO, or name a checkpoint or run folder")
        try:
            checkpoint.locate(args.trained)
        except FileNotFoundError as error:
            raise cli.UsageError(str(error)) from None
        return
    if args.trained not in models.names() and os.path.exists(args.trained):
        raise cli.UsageError(f"--weights {args.weights}: {args.trained} is a checkpoint and has its own weights; leave "
                             "--weights out, or put the name of a network in its place")
    cli.known("model", args.trained, models.names())
    if args.network:
        raise cli.UsageError(f"--network is for checkpoints, {args.trained} needs none; leave it out")
    cli.check_weights(args.weights)


def open_trained(args):
    """(model, Checkpoint), on the CPU; of published weights the Checkpoint has no arrays, for the model holds them.

    UsageError as `check_trained`; ValueError for files that are damaged, and networks that take no images.
    """
    check_trained(args)
    if args.weights is not None:
        return open_weights(args.trained, args.weights)
    model, saved = checkpoint.load_model(args.trained, args.network)
    if saved.preprocessing is None:
        made = saved.model or "one of a script"
        raise ValueError(f"{args.trained}: expected a network that takes images, got {made}, which takes float arrays "
                         "as that script makes them; call the model there")
    return model, saved


def open_weights(name, weights):
    """The same for the network `name` with published weights, for the classes and images that they are for."""
    with opened(weights) as source:
        shape, classes = image_shape(name, source), head_classes(name, source)
        model = models.blank(name, shape, classes)              # without a head in the file the next line says so
        loaded = load_weights(model, source)
    if loaded.preprocessing is None:
        raise ValueError(f"{weights}: expected weights that say how images are made into what the network takes, got "
                         f"none that is known for {name}; load them in a script, with a Preprocessing of your own")
    return model, checkpoint.Checkpoint(
        model=name, input_shape=model.input_shape, classes=classes,
        class_names=class_names(classes, loaded.class_names), preprocessing=loaded.preprocessing,
        dataset=source.dataset or {"name": None, "checksum": None}, optimizer={}, counters={}, model_state={}, optimizer_state={})


def class_names(classes, own=None):
    """The weights' own names; ImageNet's, where there are a thousand without names or with these in another spelling,
    such as "tench, Tinca tinca" or n01440764; else "0", "1", …"""
    known = list(zip(imagenet.wnids(), imagenet.class_names()))
    if classes != len(known):
        return list(own or map(str, range(classes)))
    alike = sum(name.split(",")[0] in pair for name, pair in zip(own or (), known))
    return list(own) if own and alike < MOST * classes else [name for _, name in known]


def batch_size(most, input_shape):
    """At most `most` images (H, W, C) at a time, fewer where they are large: memory, not speed, decides then."""
    return max(1, min(most, PIXELS // (input_shape[0] * input_shape[1])))
