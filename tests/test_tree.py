"""How a model prints: the tree of its layers, whatever state they are in."""

import re

import pytest

import scratchnet as sn


def network():
    shared = sn.Conv2D(4, 3, padding="same", use_bias=False)
    return sn.Sequential(
        first=shared,
        block=sn.Residual(sn.Sequential(again=shared, norm=sn.BatchNorm()), activation="relu"),
        out=sn.Sequential(flat=sn.Flatten(), dense=sn.Dense(2, activation="tanh")))


def test_an_initialised_model_shows_names_kinds_shapes_and_parameters():
    model = network()
    model.init(0, (6, 5, 4))
    assert repr(model).splitlines() == [
        "Sequential, input 6 x 5 x 4 -> 2, 394 parameters",
        "├─ first: Conv2D 3x3, same -> 6 x 5 x 4, 144 parameters",
        "├─ block: Residual, relu -> 6 x 5 x 4, 152 parameters",
        "│  └─ main: Sequential -> 6 x 5 x 4, 152 parameters",
        "│     ├─ again: (shared, see above)",
        "│     └─ norm: BatchNorm -> 6 x 5 x 4, 8 parameters",
        "└─ out: Sequential -> 2, 242 parameters",
        "   ├─ flat: Flatten -> 120",
        "   └─ dense: Dense 2, tanh -> 2, 242 parameters"]


def test_a_model_without_shapes_shows_names_and_kinds():
    assert repr(network()).splitlines()[:3] == [
        "Sequential", "├─ first: Conv2D 3x3, same", "├─ block: Residual, relu"]


def test_a_named_model_begins_with_its_name():
    first = repr(sn.models.create("lenet5")).splitlines()[0]
    assert first == "lenet5 (Sequential), input 32 x 32 x 1 -> 10, 61,706 parameters"


def test_a_leaf_is_one_line():
    assert repr(sn.Conv2D(6, 5, activation="tanh")) == "Conv2D 5x5, valid, tanh"


class Bad(sn.Layer):
    """Raises whatever it is asked."""

    def describe(self):
        raise ZeroDivisionError

    def output_shape(self, input_shape):
        raise ZeroDivisionError


@pytest.mark.parametrize("show", [repr, sn.Layer._repr_html_])
def test_printing_never_raises(show):
    bad = Bad()
    assert "Bad" in show(bad)
    half = sn.Sequential(dense=sn.Dense(2), bad=bad)
    with pytest.raises(ZeroDivisionError):
        half.init(0, (3,))
    half["dense"].input_shape = half.input_shape = (3,)              # as it may be in the middle of an init
    assert "bad: Bad" in show(half)
    assert "Sequential" in show(sn.Sequential.__new__(sn.Sequential))
    loop = sn.Sequential(inner=sn.Sequential(a=sn.Tanh()))
    loop["inner"]._children["loop"] = loop
    assert "loop: (shared, see above)" in show(loop)


def test_a_line_break_in_a_description_does_not_break_the_tree():
    class Odd(sn.Layer):
        def describe(self):
            return "two\nlines"

    assert repr(sn.Sequential(odd=Odd())).splitlines() == ["Sequential", "└─ odd: two lines"]


def test_a_notebook_shows_a_tree_that_folds_with_names_escaped():
    model = sn.Sequential(**{"<script>": sn.Dense(2), "<block>": sn.Sequential(sn.Tanh())})
    model.init(0, (3,))
    shown = model._repr_html_()
    assert "<script>" not in shown and "&lt;script&gt;: Dense 2" in shown
    assert "<block>" not in shown and "&lt;block&gt;: Sequential" in shown
    assert shown.count("<details") == shown.count("</details>") == 2 and shown.count("<details open>") == 1
    tags = re.findall(r"<(/?)(\w+)", shown)
    assert sum(1 if not closing else -1 for closing, _ in tags) == 0


def test_printing_calls_no_forward_and_is_cheap():
    class Slow(sn.Layer):
        def forward(self, x, training=True):
            raise AssertionError("repr ran the model")

    model = sn.Sequential(*[Slow() for _ in range(3)])
    model.init(0, (3,))
    assert repr(model).count("Slow -> 3") == 3
