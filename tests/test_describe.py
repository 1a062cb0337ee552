"""summary: what it counts, and how it shows layers inside layers."""

import pytest

import scratchnet as sn
from scratchnet.describe import totals


def network():
    shared = sn.Conv2D(8, 3, padding="same", use_bias=False)
    model = sn.Sequential(
        first=sn.Conv2D(8, 3, strides=2, padding="same", activation="relu"),
        block=sn.Residual(sn.Sequential(a=shared, norm=sn.BatchNorm(), b=shared), activation="relu"),
        pool=sn.GlobalAvgPool2D(),
        out=sn.Dense(2))
    model.init(0, (16, 12, 3))
    return model


def test_totals_count_a_shared_layers_parameters_once_and_its_work_twice():
    parameters = 3 * 3 * 3 * 8 + 8 + 3 * 3 * 8 * 8 + 2 * 8 + 8 * 2 + 2
    work = 8 * 6 * 8 * 27 + 2 * (8 * 6 * 8 * 72) + 16
    assert totals(network()) == {"parameters": parameters, "trainable": parameters, "multiply_adds": work}


def test_the_table_indents_what_is_inside_and_names_what_was_seen_before():
    lines = sn.summary(network()).splitlines()
    names = [line.split()[0] for line in lines if line.startswith(" ")]
    assert names == ["main", "a", "norm", "b"]
    assert "(shared, see above)" in next(line for line in lines if line.split()[0] == "b")
    assert "Conv2D 3x3, stride 2, same, relu" in next(line for line in lines if line.startswith("first"))
    assert "8 x 6 x 8" in next(line for line in lines if line.startswith("first"))


def test_frozen_parameters_are_told_apart():
    model = network()
    model["first"].trainable = False
    assert f"{totals(model)['parameters']:,} parameters, {totals(model)['trainable']:,} of them trained" in \
        sn.summary(model)
    assert totals(model)["parameters"] - totals(model)["trainable"] == 224


def test_a_single_layer_has_a_summary_too():
    layer = sn.Dense(3)
    layer.init(0, (4,))
    assert sn.summary(layer).splitlines()[-1] == "15 parameters; 12 multiply-adds for one image"


def test_a_model_without_shapes_is_refused():
    with pytest.raises(RuntimeError, match="not initialised; call init"):
        sn.summary(sn.Sequential(sn.Dense(3)))
