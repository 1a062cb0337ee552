"""The table of a model: what it counts, and how it shows layers inside layers."""

import pytest

import scratchnet as sn
from scratchnet.layer_table import as_dict, in_bytes, rows, totals


def network():
    shared = sn.Conv2D(8, 3, padding="same", use_bias=False)
    model = sn.Sequential(
        first=sn.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
        block=sn.Residual(sn.Sequential(a=shared, norm=sn.BatchNorm(), b=shared), activation="relu"),
        aux=sn.Auxiliary(sn.Sequential(pool=sn.GlobalAvgPool2D(), out=sn.Dense(2)), weight=0.3),
        both=sn.Concat(x=sn.MaxPool2D(2), y=sn.Conv2D(4, 2, strides=2, use_bias=False)),
        flat=sn.Flatten(),
        out=sn.Dense(2))
    model.init(0, (16, 12, 3))
    return model


SHARED, AUXILIARY = 3 * 3 * 8 * 8, 8 * 2 + 2
PARAMETERS = (3 * 3 * 3 * 8 + 8) + SHARED + 2 * 8 + AUXILIARY + 2 * 2 * 8 * 4 + (4 * 3 * 12 * 2 + 2)
WORK = 48 * 8 * 27 + 2 * 48 * SHARED + 12 * 128 + 4 * 3 * 12 * 2
# first, a, norm, the block's sum, the auxiliary's pool and out, x, y, both, out; b is a again, a Flatten makes nothing
OUTPUTS = 4 * 48 * 8 + 8 + 2 + 12 * 8 + 12 * 4 + 12 * 12 + 2


def test_totals_count_a_shared_layers_parameters_once_and_its_work_twice_and_no_work_of_auxiliaries():
    assert totals(network()) == {
        "parameters": PARAMETERS, "parameters_in_auxiliaries": AUXILIARY, "trainable": PARAMETERS,
        "parameter_bytes": 4 * PARAMETERS, "buffers": 16, "buffer_bytes": 64, "multiply_adds": WORK,
        "activation_bytes": 4 * OUTPUTS, "largest_layer_bytes": 4 * (16 * 12 * 3 + 48 * 8)}


def test_a_batch_multiplies_work_and_activations_and_stands_in_front_of_the_shapes():
    one, five = totals(network()), totals(network(), 5)
    for what, count in five.items():
        assert count == one[what] * (5 if what in ("multiply_adds", "activation_bytes", "largest_layer_bytes") else 1)
    shown = sn.summary(network(), batch=5)
    assert "5 x 16 x 12 x 3" in shown and "5 x 8 x 6 x 8" in shown and shown.endswith(" multiply-adds for 5 images")
    assert "x 16 x 12" not in sn.summary(network()) and sn.summary(network()).endswith(" for one image")


def test_what_is_inside_hangs_on_branches_and_what_was_seen_before_is_named():
    lines = sn.summary(network()).splitlines()
    names = [line[:10].rstrip() for line in lines[3:18]]
    assert names == ["first", "block", "└─ main", "   ├─ a", "   ├─ norm", "   └─ b", "aux", "└─ head", "   ├─ pool",
                     "   └─ out", "both", "├─ x", "└─ y", "flat", "out"]
    assert lines[8].split()[-1] == "above)" and "(shared, see above)" in lines[8]
    assert lines[3].split() == ["first", *"Conv2D 3x3, stride 2, same, relu 8 x 6 x 8 224 10,368 1.5 kB 3".split()]
    assert len({line.rindex(" ") for line in lines[:1]}) == 1 and lines[1] == "-" * len(lines[1])


def test_the_columns_add_up_to_the_totals():
    """But for the work of a shared layer, which is done twice and stands once."""
    table, total = rows(network()), totals(network())
    assert sum(row.parameters for row in table) == total["parameters"]
    assert sum(row.multiply_adds for row in table) == total["multiply_adds"] - 48 * SHARED
    assert sum(row.activation_bytes for row in table) == total["activation_bytes"]
    assert [as_dict(row) for row in table].count(None) == 1


@pytest.mark.parametrize("depth, names", [
    (1, ["first", "block", "aux", "both", "flat", "out"]),
    (2, ["first", "block", "└─ main", "aux", "└─ head", "both", "├─ x", "└─ y", "flat", "out"])])
def test_blocks_are_summed_up_below_a_depth(depth, names):
    table, total = rows(network(), depth=depth), totals(network())
    assert [row.drawn for row in table] == names
    assert sum(row.parameters for row in table) == total["parameters"]
    assert sum(row.multiply_adds for row in table) == total["multiply_adds"]
    assert sum(row.activation_bytes for row in table) == total["activation_bytes"]


def test_parameters_are_told_with_and_without_auxiliary_classifiers_and_frozen_ones_apart():
    model = network()
    model["first"].trainable = False
    assert sn.summary(model).splitlines()[-1] == (
        f"{PARAMETERS:,} parameters, {PARAMETERS - AUXILIARY:,} without the auxiliary classifiers, "
        f"{PARAMETERS - 224:,} of them trained; {WORK:,} multiply-adds for one image")


def test_an_auxiliary_classifier_that_is_left_out_makes_no_output():
    model = sn.Sequential(aux=sn.Auxiliary(sn.Sequential(sn.MaxPool2D(3), sn.Flatten(), sn.Dense(2)), weight=0.3))
    with pytest.warns(UserWarning, match="aux"):
        model.init(0, (2, 2, 1))
    assert totals(model)["activation_bytes"] == 0


def test_a_single_layer_has_a_summary_too():
    layer = sn.Dense(3)
    layer.init(0, (4,))
    lines = sn.summary(layer).splitlines()
    assert lines[3].split() == ["model", "Dense", "3", "3", "15", "12", "12", "B"]
    assert lines[-1] == "15 parameters; 12 multiply-adds for one image"


def test_a_model_without_shapes_is_refused():
    for table in (sn.summary, totals):
        with pytest.raises(RuntimeError, match="not initialised; call init"):
            table(sn.Sequential(sn.Dense(3)))


@pytest.mark.parametrize("count, words", [
    (0, "0 B"), (999, "999 B"), (1000, "1.0 kB"), (999_900, "999.9 kB"), (999_999, "1.0 MB"), (102_228_128, "102.2 MB"),
    (999_999_999, "1.0 GB"), (2_500_000_000, "2.5 GB")])
def test_bytes_are_told_in_the_unit_that_fits(count, words):
    assert in_bytes(count) == words
