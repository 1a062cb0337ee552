"""Preprocessing belongs to the weights: of the metadata, of timm's config.json, else what is published."""

import json

import numpy as np
import pytest
from safetensors_files import write

import scratchnet as sn
from scratchnet.data import Preprocessing
from scratchnet.weights.preprocessing import DEFAULTS, USUAL, adapted, default, from_config

IMAGENET, HALF = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)), ((0.5,) * 3, (0.5,) * 3)


@pytest.mark.parametrize("name, side, resize, interpolation, statistics", [
    ("resnet50", 224, 256, "bilinear", IMAGENET), ("vgg16", 224, 256, "bilinear", IMAGENET),
    ("alexnet", 227, 259, "bilinear", IMAGENET), ("googlenet_bn", 224, 256, "bilinear", HALF),
    ("inception_v3", 299, 342, "bilinear", HALF), ("inception_v4", 299, 341, "bicubic", HALF),
    ("inception_resnet_v2", 299, 333, "bicubic", HALF), ("xception", 299, 333, "bicubic", HALF),
    ("resnet50", 448, 512, "bilinear", IMAGENET), ("inception_v3", 150, 171, "bilinear", HALF)])
def test_the_published_default_is_scaled_to_the_models_images(name, side, resize, interpolation, statistics):
    preprocessing, note = default(name, (side, side, 3))
    assert preprocessing == Preprocessing(*statistics, size=(side, side), resize=resize, interpolation=interpolation)
    assert f", resize {resize} ({interpolation}), crop {side}x{side}, mean" in note
    assert ("the usual one of ImageNet" if name == "alexnet" else f"the published default of {name},") in note


def test_the_tables_names_are_those_of_the_zoo_and_differ_from_the_usual():
    assert set(DEFAULTS) <= set(sn.models.names()) and USUAL not in DEFAULTS.values()


def test_images_that_are_not_square_are_covered_by_the_crop():
    preprocessing, _ = default("resnet50", (224, 448, 3))
    assert preprocessing.size == (224, 448) and preprocessing.resize == 512


def test_what_is_not_known_is_none_and_that_is_said():
    for name, shape in (("lenet5", (32, 32, 1)), ("", (32, 32, 3)), ("mine.py:network", (32, 32, 3))):
        preprocessing, note = default(name, shape)
        assert preprocessing is None and "none is known" in note


TIMM = {"input_size": [3, 224, 224], "test_input_size": [3, 288, 288], "crop_pct": 0.95, "test_crop_pct": 1.0,
        "interpolation": "bicubic", "crop_mode": "center", "mean": [0.1, 0.2, 0.3], "std": [0.4, 0.5, 0.6]}


def config(folder, values):
    (folder / "config.json").write_text(values if isinstance(values, str) else json.dumps(values), encoding="utf-8")
    return folder / "config.json"


@pytest.mark.parametrize("values", [{"architecture": "resnet50", "pretrained_cfg": TIMM},
                                    {"architecture": "resnet50"} | TIMM], ids=["pretrained_cfg", "older, flat"])
def test_timms_config_is_read_in_both_its_forms(tmp_path, values):
    path = config(tmp_path, values)
    expected = Preprocessing((0.1, 0.2, 0.3), (0.4, 0.5, 0.6), size=(224, 224), resize=235, interpolation="bicubic")
    assert from_config(path, (224, 224, 3)) == (expected, None, [])
    assert from_config(path, (96, 96, 3))[0].resize == 101                   # floor(96 / 0.95)


@pytest.mark.parametrize("values, names", [
    ({"label_names": ["n1", "n2"]}, ["n1", "n2"]), ({"labels": ["a", "b"]}, ["a", "b"]),
    ({"label_names": {"0": "n1", "1": "n2"}}, ["n1", "n2"]), ({"label_names": {"0": "n1", "7": "n2"}}, None),
    ({"label_names": ["n1", "n2"], "label_descriptions": {"n1": "tench", "n2": "goldfish"}}, ["tench", "goldfish"]),
    ({"pretrained_cfg": TIMM | {"label_names": ["n1"]}}, ["n1"]), ({}, None)])
def test_class_names_of_timms_config(tmp_path, values, names):
    assert from_config(config(tmp_path, values), (224, 224, 3))[1] == names


def test_what_we_have_not_got_of_timms_config_is_said(tmp_path):
    path = config(tmp_path, TIMM | {"interpolation": "lanczos", "crop_mode": "squash"})
    preprocessing, _, notes = from_config(path, (224, 224, 3))
    assert preprocessing.interpolation == "bicubic" and len(notes) == 2
    assert "'lanczos'" in notes[0] and "'squash'" in notes[1]


@pytest.mark.parametrize("values", [
    "{", "[" * 100_000, {"pretrained_cfg": 3}, *[TIMM | wrong for wrong in (
        {"mean": 3}, {"std": [0, 1, 1]}, {"mean": ["a"] * 3}, {"crop_pct": "x"}, {"crop_pct": 0.0001}, {"crop_pct": -1},
        {"mean": [1.0], "std": [1.0]}, {"mean": [float("nan")] * 3}, {"label_names": 3})]])
def test_a_config_that_cannot_be_meant_is_an_error_with_its_name(tmp_path, values):
    with pytest.raises(ValueError, match="config.json: expected"):
        from_config(config(tmp_path, values), (224, 224, 3))


def test_config_json_of_another_program_says_nothing(tmp_path):
    for values in ([], {"model_type": "bert"}):
        assert from_config(config(tmp_path, values), (224, 224, 3)) == (None, None, [])


def lenet(tmp_path, **metadata):
    model = sn.models.create("lenet5", (32, 32, 3))
    sn.save_weights(model, tmp_path / "w", "pytorch", **metadata)
    return model, tmp_path / "w"


def test_metadata_come_before_config_json_and_that_before_the_published_default(tmp_path):
    model, path = lenet(tmp_path)
    loaded = sn.load_weights(model, path)
    assert loaded.preprocessing == default("lenet5", (32, 32, 3))[0] and "usual one" in loaded.notes[0]
    where = config(tmp_path, TIMM | {"label_names": [str(n) for n in range(10)]})
    loaded = sn.load_weights(model, path)
    assert loaded.preprocessing.mean == (0.1, 0.2, 0.3) and loaded.preprocessing.resize == 33
    assert loaded.class_names == [str(n) for n in range(10)] and f"that of {where}" in loaded.notes[0]
    own = Preprocessing([0.5] * 3, [0.5] * 3, size=(32, 32), resize=40)
    model, path = lenet(tmp_path, preprocessing=own, class_names=list("abcdefghij"))
    loaded = sn.load_weights(model, path)
    assert loaded.preprocessing == own and loaded.class_names == list("abcdefghij") and not loaded.notes


def test_a_broken_config_json_stops_the_load_before_anything_is_written(tmp_path):
    model, path = lenet(tmp_path)
    config(tmp_path, "{")
    other = sn.models.create("lenet5", (32, 32, 3), seed=1)
    before = other.state_dict()
    with pytest.raises(ValueError, match="config.json"):
        sn.load_weights(other, path)
    assert all(np.array_equal(array, before[name]) for name, array in other.state_dict().items())


def test_a_preprocessing_is_adapted_to_other_images_in_proportion():
    own = Preprocessing([0.5] * 3, [0.2] * 3, size=(224, 224), resize=256, interpolation="bicubic")
    assert adapted(own, (224, 224, 3), (224, 224, 3)) is own
    assert adapted(own, (224, 224, 3), (112, 56, 3)) == Preprocessing(
        [0.5] * 3, [0.2] * 3, size=(112, 56), resize=128, interpolation="bicubic")
    padded = Preprocessing([0.5], [0.2], padding=((2, 2), (2, 2)))
    assert adapted(padded, (32, 32, 1), (64, 64, 1)) == Preprocessing([0.5], [0.2], size=(64, 64))


def test_a_file_of_someone_else_has_no_class_names(tmp_path):
    model = sn.Dense(2, use_bias=False)
    model.init(0, (3,))
    assert sn.load_weights(model, write(tmp_path / "w", {"weight": np.ones((2, 3), "f4")})).class_names is None
