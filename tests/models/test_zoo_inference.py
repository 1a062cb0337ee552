"""sn.for_inference on shrunken copies of the whole zoo: all their layers, in their order."""

import warnings

import numpy as np
import pytest
from shrunken import shrunken

import scratchnet as sn
from scratchnet.layers import BatchNorm
from scratchnet.models import MODELS

SIDES = {"lenet5": 32, "alexnet": 99, "vgg": 32, "googlenet": 47, "inception": 75, "xception": 33, "res": 33}


def with_statistics(model, seed=0):
    """Running statistics as after training, far from the 0 and 1 that would hide a wrong fold."""
    rng = np.random.default_rng([seed, 2])
    for leaf in model.leaves():
        if isinstance(leaf, BatchNorm):
            shape = leaf.buffer("running_mean").shape
            leaf.buffer("running_mean")[...] = 0.3 * rng.standard_normal(shape)
            leaf.buffer("running_var")[...] = rng.uniform(0.5, 2, shape)
    return model


def copy_of(name):
    """A shrunken copy of zoo network `name`, and two images for it."""
    side = next(side for family, side in SIDES.items() if name.startswith(family))
    shape = (side, side, MODELS[name].input_shape[-1])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")                             # auxiliary classifiers that are left out
        model = with_statistics(shrunken(MODELS[name].builder(10), shape))
    return model, np.random.default_rng(0).standard_normal((2, *shape))


@pytest.mark.parametrize("name", MODELS)
def test_it_gives_the_models_logits_with_every_batch_norm_folded(name):
    model, images = copy_of(name)
    predict = sn.for_inference(model)
    firsts = {line.split()[0] for line in repr(predict).splitlines()[1:]}
    norms = {leaf.path for leaf in model.leaves() if isinstance(leaf, BatchNorm)}
    assert norms.isdisjoint(firsts), "a step that begins with a batch norm is not folded"
    # Two roundings of the same function: each is up to 2.5e-6 off the float64 logits (Xception), without Winograd.
    expected = model(images.astype("float32"))
    assert np.abs(predict(images.astype("float32")) - expected).max() < 1e-5 * expected.std()
    # In float64 both are right to 1e-14, so that folding itself has no error.
    model.astype("float64")
    expected = model(images)
    assert np.abs(sn.for_inference(model)(images) - expected).max() < 1e-12 * expected.std()


@pytest.mark.parametrize("name, head", [("googlenet", "aux"), ("googlenet_bn", "aux"), ("inception_v3", "AuxLogits")])
def test_auxiliary_classifiers_are_dropped(name, head):
    model = shrunken(MODELS[name].builder(10), MODELS[name].input_shape)
    assert any(path.startswith(head) for path in model.parameters())
    assert f" {head}" not in repr(sn.for_inference(model))
