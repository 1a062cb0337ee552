"""PyTorch's layout: the same function of the same image, worked out by hand on (N, C, H, W) arrays."""

import numpy as np
import pytest
from safetensors_files import from_pytorch, network, published_tensors

from scratchnet.layers import (BatchNorm, Concat, Conv2D, Dense, Dropout, Flatten, GlobalAvgPool2D, Layer, Residual,
                               SeparableConv2D, Sequential, Tanh)
from scratchnet.weights.layout import slots

rng = np.random.default_rng(0)


def load(model, tensors):
    model.load_state_dict(from_pytorch(model, tensors))
    return model.astype("float64")


def conv(x, w, b=0):
    """(N, C, H, W) * (O, C, KH, KW) -> (N, O, OH, OW), from the definition."""
    KH, KW = w.shape[2:]
    windows = np.lib.stride_tricks.sliding_window_view(x, (KH, KW), axis=(2, 3))
    return np.einsum("nchwuv,ocuv->nohw", windows, w) + np.reshape(b, (-1, 1, 1))


def agree(ours, theirs):
    np.testing.assert_allclose(ours, theirs, rtol=1e-12, atol=1e-12)        # both in float64


def test_the_whole_network_computes_what_pytorchs_order_of_features_says():
    model = network()
    t = published_tensors(model)
    t = {name: array.astype("f8") for name, array in t.items()}
    x = rng.standard_normal((2, 8, 7, 3))
    load(model, {name: array.astype("f4") for name, array in t.items()})

    def norm(y, at):
        axes = (-1,) + (1,) * (y.ndim - 2)
        g, b, m, v = (t[f"{at}.{key}"].reshape(axes) for key in ("weight", "bias", "running_mean", "running_var"))
        return g * (y - m) / np.sqrt(v + 1e-5) + b

    def dense(y, at):
        return y @ t[f"{at}.weight"].T + t[f"{at}.bias"]

    y = np.maximum(norm(conv(x.transpose(0, 3, 1, 2), t["conv.weight"], t["conv.bias"]), "bn"), 0)      # (2, 6, 6, 6)
    pooled = y.reshape(2, 6, 3, 2, 3, 2).max((3, 5))
    features = np.concatenate([dense(y.reshape(2, -1), "branches.0.fc"), np.maximum(pooled.reshape(2, -1), 0),
                               y.mean((2, 3))], axis=1)
    y = dense(np.maximum(dense(dense(norm(features, "norm"), "square"), "again"), 0), "fc")
    agree(model(x), y)
    auxiliary = model["aux"].children()["head"]
    image = rng.standard_normal((2, 6, 6, 6))
    agree(auxiliary(image), dense(image.transpose(0, 3, 1, 2).reshape(2, 6, 2, 3, 2, 3).max((3, 5)).reshape(2, -1),
                                  "aux.head.fc"))


def test_grouped_and_depthwise_weights_keep_their_groups():
    model = Sequential(Conv2D(6, 3, groups=2, use_bias=False),
                       SeparableConv2D(5, 2, depth_multiplier=2, use_bias=False))
    model.init(0, (7, 6, 4))
    x = rng.standard_normal((2, 7, 6, 4))
    t = {"0.weight": rng.standard_normal((6, 2, 3, 3)), "1.depthwise.weight": rng.standard_normal((12, 1, 2, 2)),
         "1.pointwise.weight": rng.standard_normal((5, 12, 1, 1))}
    t = {name: array.astype("f4").astype("f8") for name, array in t.items()}
    assert {slot.stored: slot.stored_shape for slot in slots(model, "pytorch").values()} == {
        name: array.shape for name, array in t.items()}
    y = x.transpose(0, 3, 1, 2)
    y = np.concatenate([conv(y[:, 2 * g:2 * g + 2], t["0.weight"][3 * g:3 * g + 3]) for g in (0, 1)], axis=1)
    y = np.concatenate([conv(y[:, c:c + 1], t["1.depthwise.weight"][2 * c:2 * c + 2]) for c in range(6)], axis=1)
    agree(load(model, t)(x), conv(y, t["1.pointwise.weight"]).transpose(0, 2, 3, 1))


@pytest.mark.parametrize("between", [
    pytest.param([], id="nothing"), pytest.param([Dropout(0.5), Tanh()], id="dropout and an activation"),
    pytest.param([Sequential(Sequential(Dropout(0.1)))], id="sequentials"),
    pytest.param([Flatten()], id="another flatten"), pytest.param([Residual(Tanh())], id="a residual")])
def test_a_dense_layer_behind_a_flatten_has_its_inputs_permuted(between):
    model = Sequential(Flatten(), *between, Dense(4))
    model.init(0, (3, 2, 5))
    (name, slot), = [item for item in slots(model, "pytorch").items() if item[1].array.ndim == 2]
    stored = np.arange(4 * 30, dtype="f4").reshape(4, 30)
    state = from_pytorch(model, {slot.stored: stored, slot.stored.replace("weight", "bias"): np.zeros(4)})
    o, h, w, c = 3, 2, 1, 4
    assert state[name].reshape(3, 2, 5, 4)[h, w, c, o] == stored.reshape(4, 5, 3, 2)[o, c, h, w]
    np.testing.assert_array_equal(state[name].reshape(3, 2, 5, 4), stored.reshape(4, 5, 3, 2).transpose(2, 3, 1, 0))


def test_features_that_nobody_flattened_are_transposed_only():
    for first in (GlobalAvgPool2D(), Sequential(Flatten(), Dense(5))):
        model = Sequential(first, Dense(4, use_bias=False))
        model.init(0, (3, 2, 5))
        slot = list(slots(model, "pytorch").values())[-1]
        tensors = {s.stored: np.arange(np.prod(s.stored_shape), dtype="f4").reshape(s.stored_shape)
                   for s in slots(model, "pytorch").values()}
        np.testing.assert_array_equal(from_pytorch(model, tensors)["1.weight"], tensors[slot.stored].T)


class Own(Layer):
    """A container of someone's own."""

    def __init__(self, child):
        self.add_child("child", child)

    def output_shape(self, input_shape):
        return self.children()["child"].checked_output_shape(input_shape)

    def build(self, generator, input_shape):
        self.children()["child"].init(generator, input_shape)


class Scale(Layer):
    """y = w x, a weight for each feature."""

    def build(self, generator, input_shape):
        self.weight = self.add_parameter("weight", np.ones(input_shape))


def test_an_order_that_cannot_be_known_is_an_error_that_names_the_layer():
    shared = Dense(4)
    problems = {
        "no container of scratchnet": Sequential(Flatten(), mine=Own(Dense(4))),
        "two places": Sequential(Concat(Sequential(Flatten(), shared),
                                        Sequential(GlobalAvgPool2D(), Dense(8), shared))),
        "different orders": Sequential(Flatten(), Residual(Dense(8))),
        "1 .*how its arrays follow the order": Sequential(Flatten(), Scale()),
        "mine .*how its arrays follow the order": Sequential(Flatten(), mine=Own(BatchNorm()))}
    for words, model in problems.items():
        model.init(0, (2, 2, 2))
        with pytest.raises(ValueError, match=f"{words}.*layout=\"scratchnet\""):
            slots(model, "pytorch")
        assert slots(model)                                                 # ours needs no order
    assert slots(made(Own(Conv2D(3, 1))), "pytorch")["child.weight"].is_turned
    assert slots(made(Sequential(GlobalAvgPool2D(), Flatten(), Scale())), "pytorch")


def made(model):
    model.init(0, (2, 2, 2))
    return model


def test_a_batch_norm_over_flattened_features_is_permuted_too():
    model = made(Sequential(Flatten(), BatchNorm()))
    stored = np.arange(8, dtype="f4")
    state = from_pytorch(model, {f"1.{key}": stored for key in ("weight", "bias", "running_mean", "running_var")})
    for array in state.values():
        np.testing.assert_array_equal(array, stored.reshape(2, 2, 2).transpose(1, 2, 0).reshape(-1))
