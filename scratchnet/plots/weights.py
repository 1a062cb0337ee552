"""What the first layer looks for."""

import numpy as np

from scratchnet.backend import to_host
from scratchnet.plots.figures import add_title, new_figure, show, write

MOST_FILTERS = 64
COLUMNS = 8


def filters(path, model, title="first-layer filters"):
    """The first convolution's filters. Those that see 3 channels as they are, grey standing for 0; others in red
    where they are positive, blue where negative, white at 0 (the mean over their channels where they see several).

    ValueError for a model without a convolution.
    """
    weights = (p.value for p in model.parameters().values() if p.value.ndim == 4)
    weight = next(weights, None)
    if weight is None:
        raise ValueError(f"filters: expected a model with a convolution, got {model.label()} without one")
    weight = to_host(weight).astype(np.float32)[..., :MOST_FILTERS]     # (KH, KW, C, F)
    color = weight.shape[2] == 3
    if not color:
        weight = weight.mean(axis=2, keepdims=True)                     # (KH, KW, 1, F)
    limit = max(float(np.abs(weight).max()), 1e-12)                     # one scale for all: they compare
    count = weight.shape[-1]
    columns = min(count, COLUMNS)
    lines = -(-count // columns)
    figure = new_figure(max(1.1 * columns, 5.5), 1.1 * lines + 0.6)
    grid = figure.subplots(lines, columns, squeeze=False)
    for index, axes in enumerate(np.ravel(grid)):
        if index >= count:
            axes.axis("off")
        elif color:
            show(axes, 0.5 + 0.5 * weight[..., index] / limit)          # (KH, KW, 3)
        else:
            show(axes, weight[..., index], cmap="RdBu_r", vmin=-limit, vmax=limit)      # (KH, KW, 1)
    if not color:
        bar = figure.colorbar(grid[0, 0].images[0], ax=grid, fraction=0.04, pad=0.02, aspect=12)
        bar.ax.tick_params(labelsize=8)
    add_title(figure, title)
    write(path, figure)
