"""What a network saw of some files: images after cropping, centring and scaling, with what they were taken for."""

import numpy as np

from scratchnet.plots.figures import add_title, new_figure, short, show, viewable, write

MOST = 40           # images on a sheet
COLUMNS = 8


def seen(path, images, names, answers, title, of):
    """images: uint8 (H, W, C) each, at most MOST, the first `of` so many; names of files and answers for them."""
    count = len(images)
    columns = min(count, COLUMNS)
    rows = -(-count // columns)
    figure = new_figure(max(1.75 * columns, 4.5), 2.2 * rows + 0.5)
    for index, axes in enumerate(np.ravel(figure.subplots(rows, columns, squeeze=False))):
        if index >= count:
            axes.axis("off")
            continue
        show(axes, viewable(images[index]), vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(short(answers[index]), fontsize=9, fontweight="bold", parse_math=False, pad=3)
        axes.set_xlabel(short(names[index]), fontsize=7, labelpad=2, parse_math=False)
    add_title(figure, title + (f": the first {count} of {of}" if count < of else ""))
    return write(path, figure)
