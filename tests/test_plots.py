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
    from matplotlib.figure import Figure

    made, save = [], Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *args, **more: made.append(self) or save(self, *args, **more))
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


def test_filters_show_every_filter_of_the_first_convolution_around_zero(tmp_path, figure):
    model = sn.models.create("lenet5")
    plots.filters(tmp_path / "a.png", model)
    images = [axes.images[0] for axes in figure().axes if axes.images]
    weight = model.parameters()["conv1.weight"].value
    assert len(images) == 6
    np.testing.assert_array_equal(images[2].get_array(), weight[:, :, 0, 2])
    assert {image.get_clim() for image in images} == {(-abs(weight).max(), abs(weight).max())}


def test_filters_of_three_channels_are_coloured(tmp_path, figure):
    plots.filters(tmp_path / "a.png", sn.models.create("lenet5", input_shape=(32, 32, 3)))
    assert figure().axes[0].images[0].get_array().shape == (5, 5, 3)


def test_filters_of_a_model_without_a_convolution_are_an_error(tmp_path):
    model = sn.Sequential(sn.Dense(3))
    model.init(0, (4,))
    with pytest.raises(ValueError, match="expected a model with a convolution"):
        plots.filters(tmp_path / "a.png", model)


def sheet(figure):
    """(above, below, first pixel) of each image of a contact sheet."""
    return [(axes.get_title(), axes.get_xlabel(), float(axes.images[0].get_array().ravel()[0]))
            for axes in figure().axes if axes.images]


def test_mistakes_come_surest_first_with_both_names_and_their_probabilities(tmp_path, figure):
    images = np.arange(4, dtype=np.uint8).repeat(9).reshape(4, 3, 3, 1) * 51            # image k has the grey k/5
    probabilities = np.array([[0.6, 0.1, 0.3], [0.05, 0.9, 0.05], [0.1, 0.2, 0.7], [0.2, 0.8, 0]])
    true, predicted = np.array([2, 1, 0, 0]), np.array([0, 1, 2, 1])
    plots.mistakes(tmp_path / "a.png", images, true, predicted, probabilities, ["a", "$b", "c"], "title")
    assert sheet(figure) == [("$b  80.0%", "is a  20.0%", pytest.approx(3 / 5)),
                             ("c  70.0%", "is a  10.0%", pytest.approx(2 / 5)),
                             ("a  60.0%", "is c  30.0%", pytest.approx(0))]
    assert "3 of 4 wrong" in figure()._suptitle.get_text()


def test_mistakes_take_the_predicted_classes_probability_alone(tmp_path, figure):
    images = np.zeros((2, 3, 3, 3), np.uint8)
    plots.mistakes(tmp_path / "a.png", images, [0, 1], [1, 0], np.array([0.5, 0.75]), ["a", "b"], "title")
    assert [words[:2] for words in sheet(figure)] == [("a  75.0%", "is b"), ("b  50.0%", "is a")]


def test_mistakes_ask_a_lazy_set_of_images_for_the_few_they_show(tmp_path, figure):
    class Files:
        asked = None

        def __len__(self):
            return 1000

        def take(self, indices):
            self.asked = list(indices)
            return np.zeros((len(indices), 2, 2, 1), np.uint8)

    files, true = Files(), np.zeros(1000, int)
    sure = np.linspace(0, 1, 1000)
    plots.mistakes(tmp_path / "a.png", files, true, true + 1, sure, ["a", "b"], "title")
    assert files.asked == list(range(999, 959, -1)) and len(sheet(figure)) == 40


def test_a_model_without_a_mistake_gets_a_picture_that_says_so(tmp_path, figure):
    plots.mistakes(tmp_path / "a.png", np.zeros((7, 3, 3, 1), np.uint8), np.ones(7, int), np.ones(7, int), np.ones(7),
                   ["a", "b"], "title")
    assert [text.get_text() for text in figure().texts if "title" not in text.get_text()] == [
        "no mistake: 7 of 7 right"]
    assert size(tmp_path / "a.png")[0] > 500


def test_mistakes_refuse_answers_of_other_images(tmp_path):
    with pytest.raises(ValueError, match="as many images.*got 2, 3, 3 and 3"):
        plots.mistakes(tmp_path / "a.png", np.zeros((2, 3, 3, 1), np.uint8), [0] * 3, [1] * 3, [0.5] * 3, "ab", "")


def test_pictures_never_need_pyplot(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)         # importing it fails now
    plots.curves(tmp_path / "curves.png", history(2), "title")
    plots.confusion(tmp_path / "confusion.png", COUNTS, ["a", "b", "c"], "title")
    model = sn.models.create("lenet5")
    plots.feature_maps(tmp_path / "maps.png", model, np.zeros((32, 32, 1), np.float32))
    plots.grad_cam(tmp_path / "cam.png", model, np.zeros((32, 32, 1), np.float32))
