"""What all pictures share: a figure without pyplot, its title, its PNG, names that fit, images that can be shown."""

import io
import warnings

import numpy as np

from scratchnet.files import write_atomically

DPI = 120
LONGEST_NAME = 18


def new_figure(width, height):
    """An empty Figure of so many inches, drawn by Agg."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg     # half a second that only pictures spend
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def add_title(figure, text):
    figure.suptitle(printable(text), x=0.01, ha="left", fontsize=11, parse_math=False)


def to_png(figure):
    """The figure as the bytes of a PNG."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")         # a letter the font has not got becomes a box
        figure.savefig(buffer, format="png", dpi=DPI)
    return buffer.getvalue()


def write(path, figure):
    write_atomically(path, to_png(figure))


def printable(text):
    """A name or path may hold control characters; "?" stands for them. Lines stay lines."""
    return "".join(c if c.isprintable() or c == "\n" else "?" for c in str(text))


def short(name):
    """A class name that fits beside an axis."""
    name = printable(name).replace("\n", "?")
    return name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME - 1] + "…"


def viewable(image, preprocessing=None):
    """(H, W, C), what imshow takes: uint8 pixels as they are; of a network's input y the pixels y·std + mean.

    Without preprocessing the smallest value becomes black, the largest white. Of neither 1 nor 3 channels the mean.
    """
    if image.dtype == np.uint8:
        shown = image / np.float32(255)
    elif preprocessing is not None and len(preprocessing.mean) == image.shape[-1]:
        shown = np.clip(image * np.array(preprocessing.std) + np.array(preprocessing.mean), 0, 1)
    else:
        low, high = float(image.min()), float(image.max())
        shown = (image - low) / ((high - low) or 1)
    return shown if shown.shape[-1] in (1, 3) else shown.mean(axis=-1, keepdims=True)


def show(axes, image, **settings):
    """An image (H, W, 1 or 3) without ticks; one channel is grey."""
    axes.imshow(image if image.shape[-1] == 3 else image[..., 0], **({"cmap": "gray"} | settings))
    axes.set_xticks([])
    axes.set_yticks([])
