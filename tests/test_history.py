"""History: what a notebook and a prompt show of a run."""

import base64
import io
import re

import numpy as np
import pytest

from scratchnet.history import FIELDS, History


def history(epochs, validation=True):
    rows = []
    for epoch in range(1, epochs + 1):
        row = dict.fromkeys(FIELDS, 0.5) | {"epoch": epoch, "step": 1000 * epoch, "train_loss": 1 / epoch,
                                            "train_accuracy": 0.75, "validation_loss": 0.25 * epoch,
                                            "validation_accuracy": 0.875 if epoch == 2 else 0.5}
        rows.append(row if validation else row | {"validation_loss": None, "validation_accuracy": None})
    return History(rows)


def test_a_prompt_shows_the_last_epoch_and_the_best_on_one_line():
    assert repr(history(4)) == ("History: 4 epochs; the last: training loss 0.2500, accuracy 75.00%; "
                                "the best in validation, 2: loss 0.5000, accuracy 87.50%")
    assert repr(history(1, validation=False)) == "History: 1 epoch; the last: training loss 1.0000, accuracy 75.00%"
    assert repr(History()) == "History: no finished epoch"


def test_a_notebook_shows_the_curves_and_every_epochs_numbers():
    from PIL import Image

    shown = history(3)._repr_html_()
    png = base64.b64decode(re.search('src="data:image/png;base64,([^"]+)"', shown)[1], validate=True)
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.size == (1200, 480)
        assert len(np.unique(np.asarray(picture.convert("L")))) > 20, "a blank page"
    cells = re.findall("<td>(.*?)</td>", shown)
    assert len(cells) == 3 * len(FIELDS)
    assert cells[FIELDS.index("step")] == "1,000" and cells[2 * len(FIELDS) + FIELDS.index("train_loss")] == "0.3333"


def test_a_notebook_shows_a_run_without_validation_and_one_without_an_epoch():
    assert "<td></td>" in history(2, validation=False)._repr_html_()
    assert History()._repr_html_() == "<p>History: no finished epoch</p>"


def test_plot_returns_a_figure_with_the_curves():
    from matplotlib.figure import Figure

    figure = history(3).plot()
    assert type(figure) is Figure
    loss, accuracy = figure.axes
    assert list(loss.lines[0].get_ydata()) == [1, 1 / 2, 1 / 3]
    assert list(accuracy.lines[1].get_ydata()) == [50, 87.5, 50]


def test_plot_of_nothing_says_so():
    with pytest.raises(ValueError, match="at least one finished epoch"):
        History().plot()


def test_it_is_still_a_list_of_rows_with_columns_by_name():
    rows = history(2)
    assert rows["train_loss"] == [1, 0.5] and rows[1]["epoch"] == 2 and len(rows) == 2
    with pytest.raises(KeyError, match="expected one of epoch, step"):
        rows["loss"]
