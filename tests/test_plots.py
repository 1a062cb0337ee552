"""Pictures: they are made of anything a run may contain, with what was asked for on them."""

import io
import sys

import numpy as np
import pytest

import scratchnet as sn
from scratchnet import plots
from scratchnet.history import FIELDS, History

COUNTS = np.array([[48, 2, 0], [0, 50, 0], [7, 1, 42]])


def history(epochs, validation=True):
    rows = []
    for epoch in range(1, epochs + 1):
        row = dict.fromkeys(FIELDS, 0.5)
        row |= {"epoch": epoch, "train_loss": 1 / epoch, "train_accuracy": 1 - 0.5 / epoch}
        rows.append(row if validation else row | {"validation_loss": None, "validation_accuracy": None})
    return History(rows)


@pytest.fixture
def figure(monkeypatch):
    """The figure of the last picture, beside its file."""
    made = []
    make = plots._figure
    monkeypatch.setattr(plots, "_figure", lambda *size: made.append(make(*size)) or made[-1])
    return lambda: made[-1]


def size(path):
    from PIL import Image

    with Image.open(io.BytesIO(path.read_bytes())) as image:
        assert image.format == "PNG"
        return image.size


@pytest.mark.parametrize("epochs, validation, lines", [(1, True, 3), (20, True, 3), (20, False, 1)])
def test_curves_show_training_validation_and_the_best_epoch(tmp_path, figure, epochs, validation, lines):
    plots.curves(tmp_path / "curves.png", history(epochs, validation), "a title with $ and _")
    loss, accuracy = figure().axes
    assert len(loss.lines) == len(accuracy.lines) == lines
    assert list(loss.lines[0].get_ydata()) == [1 / epoch for epoch in range(1, epochs + 1)]
    assert accuracy.lines[0].get_ydata()[-1] == pytest.approx(100 - 50 / epochs)
    assert size(tmp_path / "curves.png") == (1200, 480)


def test_confusion_writes_each_count_where_row_is_true_and_column_predicted(tmp_path, figure):
    plots.confusion(tmp_path / "a.png", COUNTS, ["a", "$b$", "a class with a very long name\n"], "title")
    axes = figure().axes[0]
    written = {text.get_position(): text.get_text() for text in axes.texts}
    assert written == {(0, 0): "48", (1, 0): "2", (1, 1): "50", (0, 2): "7", (1, 2): "1", (2, 2): "42"}
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["a", "$b$", "a class with a ve…"]


def test_confusion_of_many_classes_leaves_out_what_could_not_be_read(tmp_path, figure):
    plots.confusion(tmp_path / "a.png", np.eye(100, dtype=int), [str(k) for k in range(100)], "title")
    assert not figure().axes[0].texts


def test_filters_show_every_filter_of_the_first_convolution(tmp_path, figure):
    model = sn.models.create("lenet5")
    plots.filters(tmp_path / "a.png", model)
    images = [axes.images[0].get_array() for axes in figure().axes if axes.images]
    weight = model.parameters()["conv1.weight"].value
    assert len(images) == 6
    np.testing.assert_allclose(np.sign(np.squeeze(images[2]) - 0.5), np.sign(weight[:, :, 0, 2]))


def test_filters_of_three_channels_are_coloured(tmp_path, figure):
    plots.filters(tmp_path / "a.png", sn.models.create("lenet5", input_shape=(32, 32, 3)))
    assert figure().axes[0].images[0].get_array().shape == (5, 5, 3)


def test_filters_of_a_model_without_a_convolution_are_an_error(tmp_path):
    model = sn.Sequential(sn.Dense(3))
    model.init(0, (4,))
    with pytest.raises(ValueError, match="expected a model with a convolution"):
        plots.filters(tmp_path / "a.png", model)


def test_pictures_never_need_pyplot(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)         # importing it fails now
    plots.curves(tmp_path / "curves.png", history(2), "title")
    plots.confusion(tmp_path / "confusion.png", COUNTS, ["a", "b", "c"], "title")
