"""summary: by name, of a checkpoint, at other sizes, and the list of all networks."""

import json
import time

import pytest

from scratchnet import models
from scratchnet.__main__ import main      # scratchnet.summary is the function of that name, too


def said(capsys, *words):
    assert main(["summary", *words]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


def test_summary_of_a_model_by_name(capsys):
    lines = said(capsys, "lenet5").splitlines()
    assert lines[0].split() == "name layer output parameters multiply-adds activations receptive field".split()
    assert lines[-1] == "61,706 parameters; 416,520 multiply-adds for one image"
    assert any(line.split() == "conv2 Conv2D 5x5, valid, tanh 10 x 10 x 16 2,416 240,000 6.4 kB 14".split()
               for line in lines)


def test_summary_of_another_shape_as_json(capsys):
    values = json.loads(said(capsys, "lenet5", "--input", "40x44x3", "--classes", "7", "--batch", "3", "--json"))
    assert (values["input_shape"], values["batch"]) == ([40, 44, 3], 3)
    assert values["layers"][-1] == {
        "path": "fc3", "kind": "Dense 7", "input_shape": [84], "output_shape": [7], "parameters": 84 * 7 + 7,
        "multiply_adds": 3 * 84 * 7, "activation_bytes": 3 * 7 * 4, "receptive_field": "all"}
    assert values["layers"][0]["receptive_field"] == [5, 5] and values["layers"][0]["path"] == "conv1"
    for what in ("parameters", "multiply_adds", "activation_bytes"):
        assert sum(layer[what] for layer in values["layers"]) == values[what]


def test_published_counts_of_a_deep_network_are_there_at_once_and_a_depth_keeps_it_short(capsys):
    started = time.perf_counter()
    lines = said(capsys, "resnet50", "--depth", "1", "--batch", "2").splitlines()
    assert time.perf_counter() - started < 2                    # nobody draws 25 million numbers for a table
    assert lines[-1] == "25,557,032 parameters; 8,178,368,512 multiply-adds for 2 images"
    assert any(line.split() == "layer4 Sequential 2 x 7 x 7 x 2048 14,964,736 1,618,477,056 12.4 MB 427".split()
               for line in lines), lines
    assert len(lines) < 20


def test_auxiliary_classifiers_are_counted_apart(capsys):
    assert said(capsys, "googlenet", "--depth", "1").splitlines()[-1].startswith(
        "13,378,280 parameters, 6,998,552 without the auxiliary classifiers; ")


def test_the_list_has_every_name_with_paper_input_parameters_and_multiply_adds(capsys, monkeypatch):
    started = time.perf_counter()
    lines = said(capsys, "--list").splitlines()
    assert time.perf_counter() - started < 10
    assert [line.split()[0] for line in lines[1:-1]] == models.names()
    for name, *words in (("resnet50", "He, Zhang, Ren, Sun 2015", "224x224x3", "25,557,032", "4,089,184,256"),
                         ("vgg16", "Simonyan, Zisserman 2014", "224x224x3", "138,357,544"),
                         ("inception_v3", "2015", "299x299x3", "23,834,568")):
        line = next(line for line in lines if line.split()[0] == name)
        assert all(word in line for word in words)
    assert lines[-1].startswith("auxiliary classifiers") and "inception_v3 3,326,696" in lines[-1]
    monkeypatch.setattr(models, "MODELS", {name: models.MODELS[name] for name in ("lenet5", "googlenet")})
    for row in json.loads(said(capsys, "--list", "--json"))["models"]:
        line = next(line for line in lines if line.split()[0] == row["name"])
        assert line.split()[-2:] == [f"{row['parameters']:,}", f"{row['multiply_adds']:,}"] and row["paper"] in line
    assert row["name"] == "googlenet" and row["parameters_in_auxiliaries"] == 13_378_280 - 6_998_552


@pytest.mark.parametrize("words, message", [
    ([], "expected the name of a network or a checkpoint, got none; --list shows the names"),
    (["lenet"], "unknown model 'lenet'; did you mean lenet5?"),
    (["--list", "lenet5"], "--list shows all networks as their papers have them; leave the rest out"),
    (["lenet5", "--input", "8x8x1"], "lenet5 takes images of at least "),
    (["lenet5", "--input", "32xx1"], "argument --input: expected a whole number"),
    (["lenet5", "--batch", "0"], "argument --batch: expected a whole number of at least 1"),
])
def test_what_cannot_be_shown_is_a_usage_error(words, message, capsys):
    assert main(["summary", *words]) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and message in captured.err
