"""How the training went: loss and accuracy over the epochs."""

from scratchnet.plots.figures import add_title, new_figure, write

TRAINING, VALIDATION, BEST = "#9aa5b1", "#0b62a4", "#c8321f"    # the curve that decides is the strong one


def curves(path, history, title):
    """Loss and accuracy over the epochs, training and validation, the best epoch marked."""
    write(path, draw_curves(history, title))


def draw_curves(history, title):
    """The Figure that `curves` writes and History.plot returns. ValueError for a history without an epoch."""
    if not history:
        raise ValueError("curves: expected a history of at least one finished epoch, got an empty one; train first")
    figure = new_figure(10, 4)
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
    add_title(figure, title)
    return figure


def _number(what, value):
    return f"{value:.2%}" if what == "accuracy" else f"{value:.4f}"
