"""What LeNet-5 sees: the filters it learnt, and what each layer makes of a digit, as two pictures.

    python -m examples.what_it_sees                                        # trains on the sample first, some seconds
    python -m examples.what_it_sees --checkpoint runs/lenet5-mnist --digit 4 --out examples/pictures

filters.png: red is positive, blue negative. A filter of conv1 answers where the image looks like it: edges of strokes.
A filter of conv2 has a slice for each of conv1's six maps; it is a column here.
feature_maps.png: what sn.watch is shown after each layer, light for positive, dark for negative. On the way the maps
say less about where something is, and more about what.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import scratchnet as sn
from scratchnet.checkpoint import load_model


def feature_maps(model, image):
    """{path of the layer: its output (H, W, C)} of every layer whose output is still an image."""
    maps = {}

    def look(path, when, y, *_):
        if when == "forward" and y.ndim == 4:
            maps[path] = y[0].copy()

    with sn.watch(look):
        scores = model(image[None])                                # (1, H, W, C) -> (1, classes)
    return maps, int(scores.argmax())


def draw(path, title, rows, cmap):
    """rows: (name, images (H, W, count), the value that is drawn strongest); 0 is the colour map's middle."""
    columns = max(images.shape[-1] for _, images, _ in rows)
    figure = Figure(figsize=(0.65 * columns, 0.8 * len(rows) + 0.3), layout="constrained")
    figure.suptitle(title, fontsize=9)
    for (name, images, limit), line in zip(rows, figure.subplots(len(rows), columns)):
        line[0].set_title(name, loc="left", fontsize=7)
        for index, axes in enumerate(line):
            axes.axis("off")
            if index < images.shape[-1]:
                axes.imshow(images[..., index], cmap=cmap, vmin=-limit, vmax=limit)
    figure.savefig(path, dpi=80)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", help="a LeNet-5 from a run folder or file, instead of training one here")
    parser.add_argument("--epochs", type=int, default=3, help="of training on the sample (default: 3)")
    parser.add_argument("--digit", type=int, default=3, choices=range(10), help="(default: 3)")
    parser.add_argument("--out", type=Path, default=Path("runs/what_it_sees"), help="folder for the pictures")
    args = parser.parse_args(argv)

    digits = sn.data.load("mnist-sample")
    if args.checkpoint:
        model, checkpoint = load_model(args.checkpoint)
        preprocessing = checkpoint.preprocessing
    else:
        model = sn.models.create("lenet5")
        preprocessing = sn.data.Preprocessing.for_input(digits, model.input_shape)
        train = sn.data.Batches(digits.train.images, digits.train.labels, 64, preprocessing=preprocessing)
        sn.fit(model, train, epochs=args.epochs, optimizer=sn.SGD(model.parameters(), lr=0.05, momentum=0.9))
    image = preprocessing(digits.test.images[digits.test.labels == args.digit][:1])[0]          # (32, 32, 1)
    maps, answer = feature_maps(model, image)

    args.out.mkdir(parents=True, exist_ok=True)
    conv1, conv2 = (model.parameters()[f"{name}.weight"].value for name in ("conv1", "conv2"))   # (KH, KW, C, F)
    rows = [("conv1", conv1[:, :, 0], np.abs(conv1).max())]
    rows += [(f"conv2, from map {c}", conv2[:, :, c], np.abs(conv2).max()) for c in range(conv2.shape[2])]
    draw(args.out / "filters.png", "What the filters look for", rows, "RdBu_r")
    rows = [(f"{name} {y.shape}", y, np.abs(y).max()) for name, y in {"image": image, **maps}.items()]
    draw(args.out / "feature_maps.png", f"A {args.digit}, which the network takes for a {answer}", rows, "gray")
    print(f"a {args.digit} is taken for a {answer}; see {args.out / 'filters.png'} and {args.out / 'feature_maps.png'}")


if __name__ == "__main__":
    main()
