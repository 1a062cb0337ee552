"""Dropout's mask: a function of (seed, layer, call number, element), and of nothing else."""

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.layers import Dropout, Sequential

X = np.ones((64, 500), np.float32)


def dropout(rate=0.3, seed=0):
    layer = Dropout(rate)
    layer.init(seed, (500,))
    return layer


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_the_rate_is_the_fraction_dropped_and_the_mean_is_kept(rate):
    y = dropout(rate).forward(X)[0]
    spread = 5 * np.sqrt(rate * (1 - rate) / X.size)                     # five standard deviations
    assert abs((y == 0).mean() - rate) < spread
    assert set(np.unique(y)) == {np.float32(0), np.float32(1 / (1 - rate))}


def test_backward_uses_the_mask_of_its_forward():
    y, backward = dropout().forward(X)
    assert np.array_equal(backward(X), y)


def test_each_call_draws_another_mask_and_the_counter_brings_one_back():
    layer = dropout()
    state = layer.state_dict()
    first, second = layer.forward(X)[0], layer.forward(X)[0]
    assert not np.array_equal(first, second)
    layer.load_state_dict(state)
    assert np.array_equal(layer.forward(X)[0], first)


def test_layers_and_seeds_have_masks_of_their_own():
    model = Sequential(a=Dropout(0.5), b=Dropout(0.5))
    model.init(0, (500,))
    a, b = (layer.forward(X)[0] for layer in model)
    assert not np.array_equal(a, b)
    state = model.state_dict()
    model.load_state_dict({**state, "b.seed": state["a.seed"], "a.calls": 0, "b.calls": 0})
    a, b = (layer.forward(X)[0] for layer in model)
    assert not np.array_equal(a, b), "the seed alone decides"
    assert not np.array_equal(dropout(seed=0).forward(X)[0], dropout(seed=1).forward(X)[0])


def test_all_kernels_draw_the_same_bits():
    fast = dropout().forward(X)[0]
    with sn.use_kernels("reference"):
        assert np.array_equal(fast == 0, dropout().forward(X)[0] == 0)
    assert np.array_equal(fast == 0, dropout().astype("float64").forward(X.astype("float64"))[0] == 0)


def test_inference_and_a_frozen_layer_drop_nothing():
    layer = dropout()
    assert np.array_equal(layer(X), X)
    layer.trainable = False
    assert np.array_equal(layer.forward(X)[0], X) and layer.state_dict()["calls"] == 0
