"""`predict CHECKPOINT|MODEL IMAGE...`: what a trained network takes images for."""

import functools
import io
import os
import sys
from pathlib import Path

import numpy as np

from scratchnet import cli, plots
from scratchnet.backend import array_like, to_device, to_host
from scratchnet.data import DataError
from scratchnet.data.ahead import Plan, Waiting, ahead, cores
from scratchnet.files import write_atomically
from scratchnet.layers.activation import Softmax
from scratchnet.plots.figures import printable
from scratchnet.plots.inputs import MOST
from scratchnet.plots.steps import steps
from scratchnet.trained import add_trained, batch_size, check_trained, open_trained

BATCH_SIZE = 64                         # at most, of small images
DIGITS = ("mnist", "mnist-sample")      # data sets whose images were all made in the way of digits.mnist_style
ENDINGS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff")
ENLARGED = 280                          # pixels of the longer side of --show, at least


def command(args):
    check_trained(args)
    if args.show and any(os.path.exists(args.show) and os.path.samefile(args.show, image)
                         for image in (*args.images, args.trained, args.weights or "") if os.path.exists(image)):
        raise cli.UsageError(f"--show {args.show}: expected a new picture, got one of the images; name another file")
    paths = image_paths(args.images)
    device = cli.choose_device(args)
    model, saved = open_trained(args)
    model = to_device(model, device)
    top = min(args.top, len(saved.class_names))
    width = max(len(printable(path)) for path in paths)
    predictions, pictures, unread = [], [], 0
    for found, images, errors in batches(paths, saved):
        for error in errors:
            say(f"scratchnet predict: {error}", sys.stderr)
        unread += len(errors)
        if not found:
            continue
        shares = probabilities(model, saved.preprocessing(np.stack(images)))
        pictures += images[:MOST - len(pictures)] if args.show else []
        for path, row in zip(found, shares):
            best = np.argsort(-row, kind="stable")[:top]
            predictions.append({"image": str(path), "top": [
                {"class": int(k), "name": saved.class_names[k], "probability": float(row[k])} for k in best]})
            if not args.json:
                say(f"{one_line(path):<{width}}  {in_words(predictions[-1]['top'])}", sys.stdout)
    if args.json:
        cli.print_json({"model": saved.model, "checkpoint": args.weights or args.trained, "predictions": predictions})
    if args.show and pictures:
        save_pictures(args.show, pictures, predictions)
    if unread:
        raise DataError(f"{unread:,} of {len(paths):,} images could not be predicted")


def image_paths(images):
    """The files named, and of each folder its images, sorted. UsageError for a folder without any."""
    from scratchnet.data.sources import hidden

    paths = []
    for image in map(Path, images):
        if not image.is_dir():
            paths.append(image)
            continue
        within = [path for path in sorted(image.iterdir())
                  if path.suffix.lower() in ENDINGS and not hidden(path.name) and not path.is_dir()]
        if not within:
            raise cli.UsageError(f"{one_line(image)}: expected a folder with images ({', '.join(ENDINGS)}), got none "
                                 "in it")
        paths += within
    return paths


def batches(paths, saved):
    """`read` of as many paths as go through the network together, the next ones read by threads meanwhile; with a bar
    on a terminal while they last, if there are several batches."""
    size = batch_size(BATCH_SIZE, saved.input_shape)
    groups = [paths[first:first + size] for first in range(0, len(paths), size)]
    bar = None
    if sys.stderr.isatty() and len(groups) > 1:
        from tqdm import tqdm
        bar = tqdm(total=len(paths), unit="image", leave=False, dynamic_ncols=True)
    try:
        made = ahead(lambda number: plan(groups[number], saved), len(groups), Waiting(cores()))
        for batch, group in zip(made, groups):
            yield batch
            if bar is not None:
                bar.update(len(group))
    finally:
        if bar is not None:
            bar.close()


def say(line, file):
    """Print a line, above the bar if there is one."""
    from tqdm import tqdm
    tqdm.write(line, file=file)


def plan(paths, saved):
    """The Plan of (paths that could be read, their images as `network_sees` has them, errors of the others)."""
    seen = [None] * len(paths)

    def read(place):
        try:
            seen[place] = network_sees(paths[place], saved)
        except DataError as error:
            seen[place] = error
        return 1

    def sort():
        errors = [image for image in seen if isinstance(image, DataError)]
        found = [(path, image) for path, image in zip(paths, seen) if not isinstance(image, DataError)]
        return [path for path, _ in found], [image for _, image in found], errors
    return Plan([functools.partial(read, place) for place in range(len(paths))], sort)


def network_sees(path, saved):
    """The image in a file as the checkpoint's data set would hold it, uint8 (H, W, C). DataError names the file."""
    from scratchnet.data import digits
    from scratchnet.data.images import read_pixels

    name = one_line(path)
    if saved.dataset.get("name") in DIGITS:
        pixels = read_pixels(path, name, None, 4)       # what is drawn may be in the transparency alone
        try:
            return digits.mnist_style(pixels)
        except ValueError as error:
            raise DataError(f"{name}: {error}") from None
    preprocessing, channels = saved.preprocessing, saved.input_shape[2]
    return read_pixels(path, name, preprocessing.stored(saved.input_shape), channels, preprocessing.centre)


def network_input(path, saved):
    """The image in a file as the checkpoint's network takes it, float32 (H, W, C). Raises DataError."""
    return saved.preprocessing(network_sees(path, saved)[np.newaxis])[0]


def probabilities(model, images):
    """The softmax of the scores of images (n, H, W, C): (n, classes) in float64, rows sum to 1."""
    for parameter in model.parameters().values():
        images = array_like(parameter.value, images)
        break
    scores = to_host(model(images)).astype(np.float64)
    if not isinstance(steps(model)[-1], Softmax):                   # else they are probabilities, to float32
        scores = np.exp(scores - scores.max(axis=1, keepdims=True))
    return scores / scores.sum(axis=1, keepdims=True)


def in_words(top):
    return "  ".join(f"{one_line(entry['name'])} {entry['probability']:.1%}" for entry in top)


def one_line(text):
    return printable(text).replace("\n", "?")


def save_pictures(path, pictures, predictions):
    """What the network saw: one image enlarged without smoothing, or a contact sheet of the first MOST."""
    if len(predictions) == 1:
        from PIL import Image

        height, width, channels = pictures[0].shape
        times = -(-ENLARGED // max(height, width))
        image = Image.fromarray(pictures[0][..., 0] if channels == 1 else pictures[0])
        file = io.BytesIO()
        image.resize((times * width, times * height), Image.Resampling.NEAREST).save(file, "PNG")
        return write_atomically(path, file.getvalue())
    answers = [entry["top"][0] for entry in predictions]
    return plots.seen(path, pictures, [Path(entry["image"]).name for entry in predictions],
                      [f"{best['name']}  {best['probability']:.1%}" for best in answers], "what the network saw")


def build_parser():
    parser = cli.Parser("predict", "Say what a trained network takes images for. Digits of MNIST's networks may be "
                                   "dark on light or light on dark: they are made into what MNIST's are.")
    add_trained(parser)
    parser.add_argument("images", metavar="IMAGE", nargs="+", help="image files, or folders: all images in them")
    parser.add_argument("--top", metavar="N", type=cli.number(1, kind=int), default=5,
                        help="how many classes are named, the most probable first (default: 5)")
    cli.add_precision(parser)
    parser.add_argument("--show", metavar="FILE", type=cli.png,
                        help="save what the network saw as a PNG; of several images a contact sheet")
    return parser


def main(argv=None):
    return cli.run(build_parser(), command, argv)


if __name__ == "__main__":
    sys.exit(main())
