"""What the network takes for what: all counts as a matrix, and its worst mistakes as a contact sheet."""

import numpy as np

from scratchnet.plots.figures import add_title, new_figure, short, show, viewable, write

MOST_NAMES = 40                                 # classes whose names and counts can still be read
MOST_MISTAKES, COLUMNS = 40, 8                  # of the contact sheet
WRONG, RIGHT = "#c8321f", "#1b7a3d"


def confusion(path, counts, class_names, title):
    """counts (classes, classes): row = true class, column = the model's. Mistakes are red, by their share."""
    classes = len(counts)
    readable = classes <= MOST_NAMES
    size = min(16, max(7.5, 3 + 0.45 * classes))
    figure = new_figure(size + 0.5, size)
    axes = figure.subplots()
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    # A good model's mistakes are a few in a hundred: the square root lets them be seen beside none at all.
    diagonal = np.eye(classes, dtype=bool)
    wrong = np.where(diagonal | (counts == 0), np.nan, np.sqrt(share))
    hits = np.where(diagonal, share, np.nan)
    axes.imshow(hits, cmap="Blues", vmin=0, vmax=1.6)
    axes.imshow(wrong, cmap="Reds", vmin=0, vmax=0.6)
    if readable:
        for row, column in np.argwhere(counts):
            dark = (share[row, column] > 0.2) if row != column else share[row, column] > 0.9
            axes.text(column, row, f"{counts[row, column]:,}", ha="center", va="center",
                      fontsize=max(7, min(12, 80 / classes)), color="white" if dark else "black")
        names = [short(name) for name in class_names]
        long = max(map(len, names)) > 3
        axes.set_xticks(range(classes), names, rotation=90 if long else 0)
        axes.set_yticks(range(classes), names)
        for label in (*axes.get_xticklabels(), *axes.get_yticklabels()):
            label.set_parse_math(False)         # a class may be called "$"
    axes.set_xlabel("predicted")
    axes.set_ylabel("true")
    add_title(figure, title)
    write(path, figure)


def mistakes(path, images, true, predicted, probabilities, class_names, title):
    """The mistakes the network was surest of, surest first, at most MOST_MISTAKES.

    images: uint8 (N, H, W, C), or what has a length and `take(indices)`, such as data's ImageFiles; true, predicted:
    integers (N,); probabilities (N, classes), or (N,) of the predicted class. Without a mistake the picture says so.
    ValueError where the lengths differ.
    """
    true, predicted, probabilities = map(np.asarray, (true, predicted, probabilities))
    if not len(images) == len(true) == len(predicted) == len(probabilities):
        raise ValueError(f"mistakes: expected as many images, true and predicted classes and probabilities, got "
                         f"{len(images)}, {len(true)}, {len(predicted)} and {len(probabilities)}")
    rows = np.arange(len(true))
    each = probabilities.ndim == 2              # a probability for every class, not for the predicted one alone
    sure = probabilities[rows, predicted] if each else probabilities
    wrong = np.flatnonzero(true != predicted)
    chosen = wrong[np.argsort(-sure[wrong], kind="stable")][:MOST_MISTAKES]
    if not len(chosen):
        figure = new_figure(7, 1.6)
        figure.text(0.5, 0.4, f"no mistake: {len(true):,} of {len(true):,} right", ha="center", fontsize=14,
                    color=RIGHT)
        add_title(figure, title)
        return write(path, figure)
    pictures = images[chosen] if isinstance(images, np.ndarray) else images.take(chosen)
    columns = min(COLUMNS, max(len(chosen), 4))
    lines = -(-len(chosen) // columns)
    figure = new_figure(1.75 * columns, 2.2 * lines + 0.7)
    for index, axes in enumerate(np.ravel(figure.subplots(lines, columns, squeeze=False))):
        if index >= len(chosen):
            axes.axis("off")
            continue
        sample = chosen[index]
        show(axes, viewable(pictures[index]), vmin=0, vmax=1)
        answer, truth = class_names[predicted[sample]], class_names[true[sample]]
        size = 10 if max(len(short(name)) for name in (answer, truth)) <= 9 else 7      # both fit over an image
        axes.set_title(f"{short(answer)}  {sure[sample]:.1%}", fontsize=size, color=WRONG, fontweight="bold",
                       parse_math=False, pad=3)
        beside = f"  {probabilities[sample, true[sample]]:.1%}" if each else ""
        axes.set_xlabel(f"is {short(truth)}{beside}", fontsize=size, color=RIGHT, labelpad=2, parse_math=False)
    shown = "" if len(chosen) == len(wrong) else f"; the {len(chosen)} it was surest of"
    add_title(figure, f"{title}\n{len(wrong):,} of {len(true):,} wrong{shown}: predicted in red, true in green")
    return write(path, figure)
