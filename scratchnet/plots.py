"""Pictures of a run, each a PNG. Matplotlib's Figure, never pyplot: no window, no state."""

import io
import warnings

import numpy as np

from scratchnet.backend import to_host
from scratchnet.files import write_atomically

TRAINING, VALIDATION, BEST = "#9aa5b1", "#0b62a4", "#c8321f"    # the curve that decides is the strong one
MOST_NAMES = 40                                 # classes whose names and counts can still be read
MOST_FILTERS = 64


def curves(path, history, title):
    """Loss and accuracy over the epochs, training and validation, the best epoch marked."""
    figure = _figure(10, 4)
    epochs = history["epoch"]
    best = history.best() if history["validation_loss"][0] is not None else None
    for axes, what in zip(figure.subplots(1, 2), ("loss", "accuracy")):
        scale = 100 if what == "accuracy" else 1
        for split, color in (("train", TRAINING), ("validation", VALIDATION)):
            values = history[f"{split}_{what}"]
            if values[0] is not None:
                label = "training" if split == "train" else split
                axes.plot(epochs, [scale * value for value in values], "-o", color=color, markersize=3.5,
                          label=f"{label}, last: {_number(what, values[-1])}")
        if best:
            value = best[f"validation_{what}"]
            axes.plot(best["epoch"], scale * value, "o", color=BEST, markersize=9, markeredgewidth=1.6,
                      markerfacecolor="none", label=f"best epoch, {best['epoch']}: {_number(what, value)}")
        axes.set_title("accuracy (%)" if what == "accuracy" else "loss", loc="left", fontweight="bold")
        axes.set_xlabel("epoch")
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(color="#e5e7ea")
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False, loc="upper right" if what == "loss" else "lower right")
    _title(figure, title)
    _write(path, figure)


def confusion(path, counts, class_names, title):
    """counts (classes, classes): row = true class, column = the model's. Mistakes are red, by their share."""
    classes = len(counts)
    readable = classes <= MOST_NAMES
    size = min(16, max(7.5, 3 + 0.45 * classes))
    figure = _figure(size + 0.5, size)
    axes = figure.subplots()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # A good model's mistakes are a few in a hundred: the square root lets them be seen beside none at all.
    diagonal = np.eye(classes, dtype=bool)
    mistakes = np.where(diagonal | (counts == 0), np.nan, np.sqrt(share))
    hits = np.where(diagonal, share, np.nan)
    axes.imshow(hits, cmap="Blues", vmin=0, vmax=1.6)
    axes.imshow(mistakes, cmap="Reds", vmin=0, vmax=0.6)
    if readable:
        for row, column in np.argwhere(counts):
            dark = (share[row, column] > 0.2) if row != column else share[row, column] > 0.9
            axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center",
                      fontsize=max(7, min(12, 80 / classes)), color="white" if dark else "black")
        names = [_short(name) for name in class_names]
        long = max(map(len, names)) > 3
        axes.set_xticks(range(classes), names, rotation=90 if long else 0)
        axes.set_yticks(range(classes), names)
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            label.set_parse_math(False)         # a class may be called "$"
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    _title(figure, title)
    _write(path, figure)


def filters(path, model, title="first-layer filters"):
    """The first convolution's filters, in colour where they see 3 channels: dark is negative, light positive.

    ValueError for a model without a convolution.
    """
    weights = (p.value for p in model.parameters().values() if p.value.ndim == 4)
    weight = next(weights, None)
    if weight is None:
        raise ValueError(f"filters: expected a model with a convolution, got {model.label()} without one")
    weight = to_host(weight).astype(np.float32)[..., :MOST_FILTERS]     # (KH, KW, C, F)
    if weight.shape[2] != 3:
        weight = weight.mean(axis=2, keepdims=True)                     # (KH, KW, 1, F)
    images = 0.5 + 0.5 * weight / max(np.abs(weight).max(), 1e-12)      # one scale for all: they compare
    count = images.shape[-1]
    columns = min(count, 8)
    rows = -(-count // columns)
    figure = _figure(1.1 * columns, 1.1 * rows + 0.5)
    for index, axes in enumerate(np.ravel(figure.subplots(rows, columns, squeeze=False))):
        axes.axis("off")
        if index < count:
            axes.imshow(images[..., index], cmap="gray", vmin=0, vmax=1)    # (KH, KW, 1 or 3)
    _title(figure, title)
    _write(path, figure)


def _figure(width, height):
    from matplotlib.backends.backend_agg import FigureCanvasAgg     # half a second that only pictures spend
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def _title(figure, text):
    figure.suptitle(text, x=0.01, ha="left", fontsize=11, parse_math=False)


def _number(what, value):
    return f"{value:.2%}" if what == "accuracy" else f"{value:.4f}"


def _short(name):
    name = "".join(c if c.isprintable() else "?" for c in str(name))
    return name if len(name) <= 18 else name[:17] + "…"


def _write(path, figure):
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")         # a letter the font has not got becomes a box
        figure.savefig(buffer, format="png", dpi=120)
    write_atomically(path, buffer.getvalue())
