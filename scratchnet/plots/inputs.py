"""What a network saw of some files: images after cropping, centring and scaling, with what they were taken for."""

import numpy as np

from scratchnet.plots.figures import add_title, new_figure, short, show, viewable, write

MOST = 40           # images on a sheet
COLUMNS = 8


def seen(path, images, names, answers, title):
    """The first images, uint8 (H, W, C) each, at most MOST; names of the files and answers, of them and any others."""
    count = min(len(images), MOST)
    columns = min(COLUMNS, max(count, 3))
    rows = -(-count // columns)
    figure = new_figure(1.75 * columns, 2.2 * rows + 0.5)
    for index, axes in enumerate(np.ravel(figure.subplots(rows, columns, squeeze=False))):
        if index >= count:
            axes.axis("off")
            continue
        show(axes, viewable(images[index]), vmin=0, vmax=1, interpolation="nearest")
        axes.set_title(short(answers[index]), fontsize=9, fontweight="bold", parse_math=False, pad=3)
        axes.set_xlabel(short(names[index]), fontsize=7, labelpad=2, parse_math=False)
    add_title(figure, title + (f": the first {count} of {len(names):,} images" if count < len(names) else ""))
    return write(path, figure)
