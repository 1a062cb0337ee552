"""Auxiliary classifiers: part of the loss, and of nothing else."""

import functools

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.kernels.cpu import memory
from scratchnet.layers import (Auxiliary, AvgPool2D, BatchNorm, Conv2D, Dense, Dropout, Flatten, GlobalAvgPool2D,
                               Sequential, Tanh, watch)

LABELS = np.array([0, 2, 1, 2])
MIXED = np.random.default_rng(1).dirichlet(np.ones(3), 4).astype("float32")
SMOOTHED = functools.partial(sn.softmax_cross_entropy, label_smoothing=0.2)


def network(input_shape=(6, 6, 2)):
    """A convolution, two auxiliary classifiers with a layer between them, and a classifier."""
    model = Sequential(
        conv=Conv2D(4, 3), tanh=Tanh(), aux1=Auxiliary(Sequential(Flatten(), Dense(3)), 0.3),
        norm=BatchNorm(), aux2=Auxiliary(Sequential(pool=AvgPool2D(2, 1), mean=GlobalAvgPool2D(), fc=Dense(3)), 0.5),
        mean=GlobalAvgPool2D(), fc=Dense(3))
    model.init(0, input_shape)
    return model


def images(seed=0, size=6):
    return np.random.default_rng(seed).standard_normal((4, size, size, 2)).astype("float32")


def paths(run):
    """The leaves that run() passes through."""
    seen = []
    with watch(lambda path, which, *arrays: seen.append(path)):
        run()
    return set(seen)


@pytest.mark.parametrize("labels, criterion", [(LABELS, sn.softmax_cross_entropy), (MIXED, sn.softmax_cross_entropy),
                                               (LABELS, SMOOTHED)], ids=["labels", "probabilities", "smoothed labels"])
def test_the_loss_is_the_sum_of_the_classifiers_losses(labels, criterion):
    model, x = network(), images()
    before = {}
    with watch(lambda path, which, y: before.update({path: y})):
        loss, logits, _ = model.loss(x, labels, criterion)
    first, second, last = (before[path] for path in ("aux1.head.1", "aux2.head.fc", "fc"))
    assert np.array_equal(logits, last)
    expected = criterion(last, labels)[0] + 0.3 * criterion(first, labels)[0] + 0.5 * criterion(second, labels)[0]
    assert loss == pytest.approx(float(expected), rel=1e-6)                     # float32 sums
    assert loss > criterion(last, labels)[0] + 0.1


def test_the_gradient_is_the_sums_gradient_in_float64_and_float32():
    x = np.random.default_rng(0).standard_normal((4, 6, 6, 2))
    for labels in (LABELS, MIXED.astype("float64")):
        report = sn.gradcheck(network(), x, labels=labels)
        assert len(report.compared) == 10                                       # each parameter, and not x
    sn.gradcheck(network(), x, dtype="float32", labels=LABELS)


def test_a_smoothed_criterion_has_its_own_gradient():
    model, eps, place = network().astype("float64"), 1e-6, (1, 2, 0, 3)
    x, weight = images().astype("float64"), model.parameters()["conv.weight"]
    model.loss(x, LABELS, SMOOTHED)[2]()
    analytic, here, around = weight.grad[place], weight.value.copy(), []
    for shift in (eps, -eps):
        moved = here.copy()
        moved[place] += shift
        weight.value = moved
        around.append(model.loss(x, LABELS, SMOOTHED)[0])
    assert analytic == pytest.approx((around[0] - around[1]) / (2 * eps), rel=1e-6)      # rounding over ε


def test_in_inference_and_in_a_plain_forward_the_heads_do_not_run():
    model, x = network(), images()
    runs = {"inference": lambda: model(x), "forward": lambda: model.forward(x)[1](np.ones((4, 3), "float32")),
            "forward as in inference": lambda: model.forward(x, training=False)}
    for name, run in runs.items():
        assert paths(run) == {"conv", "tanh", "norm", "mean", "fc"}, name
    assert paths(lambda: model.loss(x, LABELS)) > {"aux1.head.1", "aux2.head.fc"}


def test_the_logits_are_those_of_the_network_without_heads():
    model, x = network(), images()
    assert np.array_equal(model.loss(x, LABELS)[1], model.forward(x)[0])


def test_a_criterion_that_raises_leaves_no_objective_behind():
    model, x = network(), images()
    with pytest.raises(ValueError, match="label"):
        model.loss(x, np.array([0, 1, 2, 7]))
    assert "aux1.head.1" not in paths(lambda: model.forward(x))


def test_a_frozen_head_still_teaches_the_layers_before_it():
    model, x = network(), images()
    model["aux1"].head.trainable = False
    both = model.loss(x, LABELS)
    both[2]()
    parameters = model.parameters()
    assert parameters["aux1.head.1.weight"].grad is None and parameters["conv.weight"].grad is not None
    sn.gradcheck(model, x.astype("float64"), labels=LABELS, samples=5)


def test_a_frozen_auxiliary_is_no_part_of_the_loss():
    model, x = network(), images()
    model["aux1"].trainable = model["aux2"].trainable = False
    loss, logits, _ = model.loss(x, LABELS)
    assert loss == sn.softmax_cross_entropy(logits, LABELS)[0]


def test_a_head_can_be_trained_on_a_frozen_network():
    model, x = network(), images()
    for name in ("conv", "norm", "fc"):
        model[name].trainable = False
    loss, logits, backward = model.loss(x, LABELS)
    assert loss > sn.softmax_cross_entropy(logits, LABELS)[0]
    passed = paths(backward)
    assert "aux1.head.1" in passed and "aux1.head.0" not in passed              # nobody below wants a gradient
    trained = {name for name, parameter in model.parameters().items() if parameter.grad is not None}
    assert trained == {"aux1.head.1.weight", "aux1.head.1.bias", "aux2.head.fc.weight", "aux2.head.fc.bias"}


def test_dropout_in_a_head_draws_only_where_the_head_runs():
    model = Sequential(flat=Flatten(), aux=Auxiliary(Sequential(drop=Dropout(0.5), fc=Dense(3)), 1), fc=Dense(3))
    model.init(0, (6, 6, 2))
    model(images()), model.forward(images())
    assert model.state_dict()["aux.head.drop.calls"] == 0
    model.loss(images(), LABELS)
    assert model.state_dict()["aux.head.drop.calls"] == 1


def test_a_backward_leaves_nothing_of_the_heads_in_memory():
    model = Sequential(conv=Conv2D(8, 3, padding=1), aux=Auxiliary(Sequential(
        conv=Conv2D(8, 3, padding=1), mean=GlobalAvgPool2D(), fc=Dense(3)), 0.3), mean=GlobalAvgPool2D(), fc=Dense(3))
    model.init(0, (64, 64, 2))
    x, map_bytes = images(size=64), 4 * 64 * 64 * 8 * 4
    before = memory.live_bytes()
    loss, logits, backward = model.loss(x, LABELS)
    kept = memory.live_bytes() - before
    backward()
    assert kept >= map_bytes                            # what the head's convolution has seen
    assert memory.live_bytes() - before < map_bytes / 10


def test_images_too_small_for_a_head_leave_it_out_until_a_larger_init():
    with pytest.warns(UserWarning, match=r"aux2 \(Auxiliary, weight 0.5\) is left out: aux2.head.pool .* 1 x 1"):
        model = network((3, 3, 2))
    x = images(size=3)
    assert model["aux1"].children() and not model["aux2"].children()
    assert not any(name.startswith("aux2") for name in model.state_dict())
    model.loss(x, LABELS)[2]()
    assert "left out" not in repr(model) and model(x).shape == (4, 3)
    model.init(0, (6, 6, 2))
    assert all(np.array_equal(a, b) for a, b in zip(model.state_dict().values(), network().state_dict().values()))
    assert "aux2.head.fc" in paths(lambda: model.loss(images(), LABELS))


def test_a_head_that_was_left_out_while_the_model_was_frozen_comes_back_frozen():
    with pytest.warns(UserWarning, match="aux2"):
        model = network((3, 3, 2))
    model.trainable = False
    model.init(0, (6, 6, 2))
    assert "aux2.head.fc.weight" in model.parameters() and not model.is_trained()
    assert not model["aux2"].head.trainable


def test_it_prints_with_its_weight_and_head():
    text = repr(network())
    assert "aux1: Auxiliary, weight 0.3 -> 4 x 4 x 4, 195 parameters" in text
    assert "head: Sequential -> 3, 195 parameters" in text


@pytest.mark.parametrize("weight", [0, -0.3, float("nan")])
def test_the_weight_must_be_positive(weight):
    with pytest.raises(ValueError, match="Auxiliary: expected a weight above 0"):
        Auxiliary(Dense(3), weight)
