"""benchmarks/paired_training.py: what makes two trainings a pair, and what it concludes."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from scratchnet import backend, data

PATH = Path(__file__).resolve().parents[1] / "benchmarks" / "paired_training.py"


@pytest.fixture(scope="module")
def script():
    spec = importlib.util.spec_from_file_location("benchmarks_paired_training", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def digits():
    """(128 digits to train on, 256 to test on, Preprocessing)."""
    sample = data.load("mnist-sample")
    parts = [(part.images[:count], part.labels[:count]) for part, count in ((sample.train, 128), (sample.test, 256))]
    return *parts, data.Preprocessing.for_input(sample, (32, 32, 1))


@pytest.mark.parametrize("name", ["lenet5", "small resnet"])
def test_a_pair_differs_in_its_kernels_alone(name, script, digits):
    train, _, preprocessing = digits
    fast, slow = (script.trained(name, 3, kernels, train, preprocessing, 1) for kernels in ("cpu", "reference"))
    weights = [np.concatenate([p.value.ravel() for p in model.parameters().values()]) for model in (fast, slow)]
    start = np.concatenate([p.value.ravel() for p in script.NETWORKS[name](3).parameters().values()])
    apart, moved = np.linalg.norm(weights[0] - weights[1]), np.linalg.norm(weights[0] - start)
    # Two steps. Roundings leave 1e-6 where no ReLU turns and 1e-2 where one does; another order of batches, 0.5.
    assert 0 < apart < 0.05 * moved


def test_each_of_a_pair_is_trained_on_its_kernels_and_both_are_scored_alike(script, digits, monkeypatch):
    used = []
    fit, evaluate = script.fit, script.evaluate

    def spied(function, word):
        def run(*arguments, **options):
            used.append((word, backend.ops(np.zeros(1, np.float32)).__name__.rpartition(".")[2]))
            return function(*arguments, **options)
        return run
    monkeypatch.setattr(script, "fit", spied(fit, "fit"))
    monkeypatch.setattr(script, "evaluate", spied(evaluate, "score"))
    found = script.pair("lenet5", 0, *digits, 1)
    assert used == [("fit", "cpu"), ("score", "cpu"), ("fit", "reference"), ("score", "cpu")]
    assert found["difference"] == found["fast"] - found["reference"]
    assert found["one_is_right"] >= abs(found["difference"])


def test_the_small_resnet_runs_on_winograds_kernels_in_all_three_passes(script, monkeypatch):
    from scratchnet.kernels.cpu import conv
    calls = []
    for module, name in ((conv.winograd, "convolve"), (conv, "backward_weights")):
        function = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *a, function=function, name=name: calls.append(name) or function(*a))
    model = script.small_resnet(0)
    layers = script.winograd_layers(model)
    _, _, backward = model.loss(np.ones((script.BATCH, *script.INPUT), np.float32), np.zeros(script.BATCH, np.int64))
    backward()
    assert calls.count("backward_weights") == len(layers) > 0 and calls.count("convolve") == 2 * len(layers)
    assert not script.winograd_layers(script.lenet5(0))


def test_the_mean_of_the_differences_is_judged_and_its_error_said(script):
    result = script.summed_up([{"difference": difference} for difference in (0.1, -0.1, 0.06, 0.0)])
    assert result["mean_difference"] == pytest.approx(0.015) and result["within_limit"]
    assert result["standard_error"] == pytest.approx(np.sqrt((0.085**2 + 0.115**2 + 0.045**2 + 0.015**2) / 3) / 2)
    assert not script.summed_up([{"difference": -0.05}, {"difference": -0.06}])["within_limit"]


def test_the_readme_says_what_the_last_saved_run_found():
    lines = [json.loads(line) for line in PATH.with_suffix(".jsonl").read_text(encoding="utf-8").splitlines()]
    last = {line["network"]: line for line in lines}
    resnet, readme = last["small resnet"], (PATH.parents[1] / "README.md").read_text(encoding="utf-8")
    words = (f"{resnet['images']:,} of MNIST's digits", f"{resnet['test_images']:,}", "three of their convolutions",
             f"{resnet['mean_difference']:.3f} points", f"error of {resnet['standard_error']:.3f}", "each of ten seeds")
    assert all(word in readme.replace("\n", " ") for word in words)
    assert len(resnet["winograd"]) == 3 and len(resnet["pairs"]) == len(last["lenet5"]["pairs"]) == 10
    assert all(pair["one_is_right"] == 0 for pair in last["lenet5"]["pairs"])
    assert all(line["within_limit"] for line in last.values())
