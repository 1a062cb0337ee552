"""`look CHECKPOINT|MODEL IMAGE`: what a trained network sees in an image, as three pictures."""

import contextlib
import itertools
import sys
from pathlib import Path

import numpy as np

from scratchnet import cli, plots
from scratchnet.backend import to_device
from scratchnet.plots.figures import printable
from scratchnet.plots.steps import steps
from scratchnet.predict import network_input, probabilities
from scratchnet.trained import add_trained, open_trained

FILES = FILTERS, MAPS, CAM = "filters.png", "feature_maps.png", "grad_cam.png"
TOP = 5


def command(args):
    device = cli.choose_device(args)
    model, saved = open_trained(args)
    known_layer(args.layer, model)
    if args.class_name is not None:
        cli.known("class", args.class_name, saved.class_names)
    image = network_input(args.image, saved)                            # (H, W, C)
    folder = named(args.out) if args.out else unnamed(Path(args.image).stem)
    shares = probabilities(to_device(model, device), image[None])[0]
    best = np.argsort(-shares, kind="stable")[:TOP]
    explained = best[0] if args.class_name is None else saved.class_names.index(args.class_name)
    drawn = draw(folder, model, saved, image, f"{saved.model}: {Path(args.image).name} is taken for "
                 f"{saved.class_names[best[0]]} ({shares[best[0]]:.1%})", explained, args.layer)
    if args.json:
        cli.print_json({"image": str(args.image), "folder": str(folder), "files": drawn,
                        "explained": saved.class_names[explained],
                        "top": [{"class": saved.class_names[k], "probability": float(shares[k])} for k in best]})
        return
    width = max(len(printable(saved.class_names[k])) for k in best)
    for k in best:
        print(f"{printable(saved.class_names[k]):<{width}}  {shares[k]:7.2%}")
    print(f"{folder}: {', '.join(drawn)}")


def draw(folder, model, saved, image, title, explained, layer=None):
    """The pictures, those that this network can have; their names. The rest are lines on stderr."""
    names, pixels = saved.class_names, saved.preprocessing
    pictures = {
        FILTERS: lambda path: plots.filters(path, model, f"{saved.model}: the first layer's filters"),
        MAPS: lambda path: plots.feature_maps(path, model, image, title, names, pixels),
        CAM: lambda path: plots.grad_cam(path, model, image, explained, layer, names, title, pixels)}
    drawn = []
    for name, picture in pictures.items():
        try:
            picture(folder / name)
            drawn.append(name)
        except ValueError as error:
            print(f"no {name}: {error}", file=sys.stderr)
    return drawn


def known_layer(layer, model):
    """UsageError with the nearest name where the model has no such layer."""
    if layer is not None:
        cli.known("layer", layer, list(dict.fromkeys(
            [step.path for step in steps(model)] + [leaf.path for leaf in model.leaves()])))


def named(out):
    """The folder the user named, made if need be. UsageError where pictures of these names are in it already."""
    folder = Path(out)
    held = [name for name in FILES if (folder / name).exists()]
    if held:
        raise cli.UsageError(f"--out {printable(folder)}: expected a folder without {', '.join(FILES)}, got one with "
                             f"{', '.join(held)}; name another or remove them")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cli.UsageError(f"--out {printable(folder)}: expected a folder to write into, got {error}; name "
                             "another") from None
    return folder


def unnamed(stem):
    """A new folder look/IMAGE, or look/IMAGE-2, -3, … where that exists."""
    Path("look").mkdir(exist_ok=True)
    stem = printable(stem).replace("\n", "?")
    for number in itertools.count(1):
        folder = Path("look", stem if number == 1 else f"{stem}-{number}")
        with contextlib.suppress(FileExistsError):
            folder.mkdir()
            return folder


def build_parser():
    parser = cli.Parser("look", "Show what a trained network sees in an image: its filters, what each layer makes of "
                                "the image, and where the evidence for a class lies (Grad-CAM).")
    add_trained(parser)
    parser.add_argument("image", metavar="IMAGE", help="an image file")
    parser.add_argument("--class", metavar="NAME", dest="class_name",
                        help="the class whose evidence is shown (default: the network's answer)")
    parser.add_argument("--layer", metavar="NAME", help="the layer that Grad-CAM looks at, such as conv2 (default: "
                        "the last with a convolution; summary lists them)")
    parser.add_argument("--out", metavar="DIR", help="folder for the pictures (default: look/IMAGE, with -2, -3, … "
                        "where that exists)")
    return parser


def main(argv=None):
    return cli.run(build_parser(), command, argv)


if __name__ == "__main__":
    sys.exit(main())
