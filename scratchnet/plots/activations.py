"""What each layer makes of one image."""

import numpy as np

from scratchnet.backend import to_host
from scratchnet.layers.dense import Flatten
from scratchnet.layers.dropout import Dropout
from scratchnet.plots.figures import add_title, new_figure, printable, short, viewable, write
from scratchnet.plots.steps import follow, steps

MOST_MAPS = 16              # of a layer
MOST_LAYERS = 24            # rows that can be taken in; a deeper model shows its blocks, then evenly chosen ones
MOST_NAMES = 16             # outputs whose bars can carry a name and a number
SIDE = 0.72                 # inches from one map to the next: the unit of all lengths below
LABEL, IMAGE, STRIP, BARS, GAP = 2.6, 2.2, 0.45, 1.4, 0.2


def layer_outputs(model, image):
    """[(path, output)] of one image (H, W, C), in the order of the run: (H, W, C) or (features,) arrays on the host.

    Leaves inside blocks are there, and each block once more as a whole. Flatten and Dropout, which change nothing
    that could be seen, are not.
    """
    outputs = []
    silent = {leaf.path for leaf in model.leaves() if isinstance(leaf, (Flatten, Dropout))}

    def look(path, when, y):
        if path not in silent:
            outputs.append((path, to_host(y[0], copy=True)))            # (1, H, W, C) -> (H, W, C)
    follow(model, image, look)
    return outputs


def feature_maps(path, model, image, title="what each layer makes of the image", class_names=None,
                 preprocessing=None):
    """The image (H, W, C, as the model takes it), then a row for each layer: its first MOST_MAPS maps, red where
    positive, blue where negative, white at 0, each layer with a scale of its own; dense outputs as a strip, the last
    one as bars with the names of the classes."""
    rows = _chosen(model, layer_outputs(model, image))
    rows, last = (rows[:-1], rows[-1]) if rows[-1][1].ndim == 1 else (rows, None)
    columns = max([8, *(min(y.shape[-1], MOST_MAPS) for _, y in rows if y.ndim == 3)])
    height = IMAGE + sum((1 if y.ndim == 3 else STRIP) + GAP for _, y in rows) + (BARS + 1 if last else 0)
    figure = new_figure(SIDE * (LABEL + columns), SIDE * height + 0.6)
    axes = figure.subplots()                    # one for all: an Axes for each map takes Matplotlib half a minute
    axes.axis("off")
    _place(axes, "image", np.shape(image), [viewable(np.asarray(image), preprocessing)], 0, IMAGE, {"cmap": "gray"})
    top = IMAGE + GAP
    for name, y in rows:
        limit = max(float(np.abs(y).max()), 1e-12)
        settings = {"cmap": "RdBu_r", "vmin": -limit, "vmax": limit}
        if y.ndim == 3:
            maps = [y[..., index, None] for index in range(min(y.shape[-1], MOST_MAPS))]
            _place(axes, name, y.shape, maps, top, 1, settings)
        else:
            _label(axes, name, y.shape, top + STRIP / 2)
            extent = (0, columns, top + STRIP, top)
            axes.imshow(y[None], extent=extent, interpolation="nearest", **settings)        # (F,) -> (1, F)
        top += (1 if y.ndim == 3 else STRIP) + GAP
    if last:
        _label(axes, last[0], last[1].shape, top + BARS / 2)
        _bars(axes, last[1], class_names, top, columns)
    axes.set(xlim=(-LABEL, columns + 0.05), ylim=(height, -0.05), aspect="equal")
    add_title(figure, f"{title}\nred: positive, blue: negative, white: 0; each layer has a scale of its own")
    write(path, figure)


def _place(axes, name, shape, images, top, side, settings):
    """Images (h, w, 1 or 3) side by side, each framed, in squares of `side`."""
    from matplotlib.patches import Rectangle

    _label(axes, name, shape, top + side / 2)
    for index, image in enumerate(images):
        height, width = (0.9 * side * length / max(image.shape[:2]) for length in image.shape[:2])
        left, upper = index * side, top + (side - height) / 2
        extent = (left, left + width, upper + height, upper)
        axes.imshow(image if image.shape[-1] == 3 else image[..., 0], extent=extent, **settings)
        axes.add_artist(Rectangle((left, upper), width, height, fill=False, linewidth=0.8))


def _label(axes, name, shape, middle):
    more = f", first {MOST_MAPS}" if len(shape) == 3 and shape[-1] > MOST_MAPS else ""
    axes.text(-0.25, middle, f"{printable(name)}\n{' x '.join(map(str, shape))}{more}", ha="right", va="center",
              fontsize=8, parse_math=False)


def _chosen(model, outputs):
    """At most MOST_LAYERS of them: all, else only the steps from the first to the last, else evenly chosen ones."""
    if len(outputs) > MOST_LAYERS:
        paths = {step.path for step in steps(model)}
        outputs = [(path, y) for path, y in outputs if path in paths]
    if len(outputs) > MOST_LAYERS:
        outputs = [outputs[index] for index in np.linspace(0, len(outputs) - 1, MOST_LAYERS).round().astype(int)]
    return outputs


def _bars(axes, y, class_names, top, columns):
    """The last outputs as bars; the highest, which is the answer, is strong and named, the others if they are few."""
    named = len(y) <= MOST_NAMES
    names = [short(name) for name in class_names] if class_names is not None else [str(k) for k in range(len(y))]
    low, high = min(0.0, float(y.min())), max(0.0, float(y.max()))
    unit, best, step = BARS / ((high - low) or 1), int(y.argmax()), columns / len(y)
    zero = top + high * unit                    # y grows downwards here
    centers = (np.arange(len(y)) + 0.5) * step
    axes.bar(centers, -y * unit, 0.7 * step, bottom=zero,
             color=["#c8321f" if k == best else "#9aa5b1" for k in range(len(y))])
    axes.plot([0, columns], [zero, zero], color="black", linewidth=0.6)
    room = step * SIDE * 72 / 5                 # letters of 8 points that fit between two bars
    tilted = named and max(map(len, names)) > room
    for k in range(len(y)) if named else [best]:
        words = f"{names[k]}\n{y[k]:.3g}" if not tilted else f"{names[k]}  {y[k]:.3g}"
        axes.text(centers[k], top + BARS + 0.12, words, ha="right" if tilted else "center", va="top", fontsize=8,
                  rotation=25 if tilted else 0, rotation_mode="anchor" if tilted else "default", parse_math=False,
                  fontweight="bold" if k == best else "normal")
