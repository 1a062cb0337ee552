"""What LeNet-5 sees: its filters, what each layer makes of a digit, and where the evidence lies: three pictures.

    python -m examples.what_it_sees                                        # trains on the sample first, some seconds
    python -m examples.what_it_sees --checkpoint runs/lenet5-mnist --digit 4 --out examples/pictures

filters.png: red is positive, blue negative. A filter of conv1 answers where the image looks like it: edges of
strokes. A filter of conv2 has a slice for each of conv1's six maps; it is a column here.
feature_maps.png: what sn.watch is shown after each layer. On the way the maps say less about where something is, and
more about what.
grad_cam.png: where conv2 saw what speaks for the answer.  Selvaraju et al. 2017; scratchnet/plots/attention.py.
An image of your own: python -m scratchnet.look CHECKPOINT IMAGE.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

import scratchnet as sn
from scratchnet import plots
from scratchnet.checkpoint import load_model


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
    answer = int(model(image[None]).argmax())                                 # (1, 32, 32, 1) -> (1, 10)
    title = f"A {args.digit}, which the network takes for a {answer}"

    args.out.mkdir(parents=True, exist_ok=True)
    conv1, conv2 = (model.parameters()[f"{name}.weight"].value for name in ("conv1", "conv2"))   # (KH, KW, C, F)
    rows = [("conv1", conv1[:, :, 0], np.abs(conv1).max())]
    rows += [(f"conv2, from map {c}", conv2[:, :, c], np.abs(conv2).max()) for c in range(conv2.shape[2])]
    draw(args.out / "filters.png", "What the filters look for", rows, "RdBu_r")
    plots.feature_maps(args.out / "feature_maps.png", model, image, title, preprocessing=preprocessing)
    plots.grad_cam(args.out / "grad_cam.png", model, image, title=title, preprocessing=preprocessing)
    print(f"a {args.digit} is taken for a {answer}; see filters.png, feature_maps.png and grad_cam.png in {args.out}")


if __name__ == "__main__":
    main()
