"""Which layer is the head, and what a frozen backbone costs and keeps."""

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.heads import auxiliaries, freeze_backbone, head
from scratchnet.layers import (Auxiliary, BatchNorm, Conv2D, Dense, Dropout, Flatten, GlobalAvgPool2D, Layer,
                               ReLU, Residual, Sequential)


def network():
    model = Sequential(
        stem=Sequential(conv=Conv2D(4, 3, use_bias=False), bn=BatchNorm(activation="relu"), drop=Dropout(0.5)),
        block=Residual(Conv2D(4, 3, padding=1)),
        aux=Auxiliary(Sequential(pool=GlobalAvgPool2D(), fc=Dense(3)), 0.3),
        end=Sequential(pool=GlobalAvgPool2D(), hidden=Dense(6, activation="relu"), dropout=Dropout(0.5), fc=Dense(3)))
    model.init(0, (8, 8, 2))
    return model


def images(n=4):
    rng = np.random.default_rng(0)
    return rng.standard_normal((n, 8, 8, 2), dtype=np.float32), rng.integers(0, 3, n)


class Half(Layer):
    """y = x[:, :n/2]."""

    def output_shape(self, input_shape):
        return (input_shape[0] // 2,)


def test_the_head_is_the_last_dense_outside_of_auxiliaries():
    model = network()
    assert head(model).path == "end.fc"
    assert [layer.path for layer in auxiliaries(model)] == ["aux"]


def test_a_network_that_ends_otherwise_has_no_head():
    scaled, halved = Sequential(Dense(4), BatchNorm()), Sequential(Dense(4), Half())
    for model in (scaled, halved):
        model.init(0, (4,))
    as_many = sn.models.blank("lenet5_1998", classes=84)                    # distances, as units in F6
    for model in (scaled, halved, as_many):
        with pytest.raises(ValueError, match="ends in a Dense layer"):
            head(model)
    with pytest.raises(ValueError, match="lenet5_1998: expected a network that ends in a Dense"):
        freeze_backbone(sn.models.blank("lenet5_1998"))


def test_dropout_and_activations_behind_the_head_are_passed_over():
    model = Sequential(Dense(3), Dropout(0.1), ReLU())
    model.init(0, (4,))
    assert head(model).path == "0"


def test_only_the_head_learns_and_everything_else_keeps_its_bits():
    model = network()
    before = model.state_dict()
    freeze_backbone(model)
    optimizer = sn.SGD(model.parameters(), lr=0.1, momentum=0.9, weight_decay=0.1)
    for _ in range(3):
        loss, _, backward = model.loss(*images())
        backward()
        optimizer.step()
    changed = {name for name, array in model.state_dict().items() if not np.array_equal(array, before[name])}
    assert changed == {"end.fc.weight", "end.fc.bias", "end.dropout.calls"}


def test_dropout_before_the_head_runs_and_that_of_the_backbone_does_not():
    model = network()
    freeze_backbone(model)
    first, second = (model.forward(images()[0], training=True)[0] for _ in range(2))
    assert not np.array_equal(first, second)
    model["end"]["dropout"].rate = 0.0
    first, second = (model.forward(images()[0], training=True)[0] for _ in range(2))
    assert np.array_equal(first, second)


def test_no_frozen_convolution_runs_backwards():
    model, seen = network(), []
    freeze_backbone(model)
    with sn.watch(lambda path, when, *_: seen.append((path, when))):
        model.loss(*images())[2]()
    assert [path for path, when in seen if when == "backward"] == ["end.fc"]
    assert not any(path.startswith("aux") for path, _ in seen)


def test_freezing_a_dense_network_of_one_layer_leaves_it_as_it_is():
    model = Sequential(Flatten(), Dense(3))
    model.init(0, (2, 2, 1))
    freeze_backbone(model)
    assert all(parameter.trainable for parameter in model.parameters().values())
