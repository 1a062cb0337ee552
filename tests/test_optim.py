"""Optimisers: settings, state, and what they leave alone. Their arithmetic is written out here, and compared with
PyTorch in tests/parity."""

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.layers import Dense, Parameter, Sequential

ALL = {
    "sgd": lambda p: sn.SGD(p, lr=0.1),
    "momentum": lambda p: sn.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: sn.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "rmsprop": lambda p: sn.RMSProp(p, lr=0.01),
    "rmsprop centered with momentum": lambda p: sn.RMSProp(p, lr=0.01, momentum=0.9, centered=True),
    "adam": lambda p: sn.Adam(p, lr=0.01, weight_decay=0.01),
    "adamw": lambda p: sn.AdamW(p, lr=0.01),
}
X = np.random.default_rng(0).standard_normal((16, 6)).astype("float32")
LABELS = np.arange(16) % 3


def model():
    m = Sequential(a=Dense(8, activation="tanh"), b=Dense(3))
    m.init(0, (6,))
    return m


def train(m, optimizer, steps):
    losses = []
    for _ in range(steps):
        value, _, backward = m.loss(X, LABELS)
        backward()
        optimizer.step()
        losses.append(float(value))
    return losses


@pytest.mark.parametrize("name", ALL)
def test_the_loss_falls(name):
    m = model()
    losses = train(m, ALL[name](m.parameters()), 60)
    assert losses[-1] < 0.7 * losses[0]


def sgd_by_hand(w, gradients, lr, momentum=0.0, nesterov=False, weight_decay=0.0):
    v = 0.0
    for g in gradients:
        g = g + weight_decay * w
        v = momentum * v + g
        w = w - lr * (g + momentum * v if nesterov else v)
    return w


def rmsprop_by_hand(w, gradients, lr, rho, momentum, epsilon, centered, weight_decay):
    square = mean = v = 0.0
    for g in gradients:
        g = g + weight_decay * w
        square, mean = rho * square + (1 - rho) * g ** 2, rho * mean + (1 - rho) * g
        v = momentum * v + g / (np.sqrt(square - centered * mean ** 2) + epsilon)
        w = w - lr * v
    return w


def adam_by_hand(w, gradients, lr, beta1, beta2, epsilon, l2=0.0, decay=0.0):
    m = v = 0.0
    for t, g in enumerate(gradients, 1):
        g = g + l2 * w
        m, v = beta1 * m + (1 - beta1) * g, beta2 * v + (1 - beta2) * g ** 2
        w = w - lr * decay * w - lr * (m / (1 - beta1 ** t)) / (np.sqrt(v / (1 - beta2 ** t)) + epsilon)
    return w


ADAM, RMSPROP = (0.1, 0.8, 0.95, 1e-3), (0.1, 0.8, 0.6, 1e-3)        # lr, betas, epsilon; lr, rho, momentum, epsilon


@pytest.mark.parametrize("make, by_hand, settings", [
    (lambda p: sn.SGD(p, 0.1), sgd_by_hand, (0.1,)),
    (lambda p: sn.SGD(p, 0.1, 0.9, weight_decay=0.2), sgd_by_hand, (0.1, 0.9, False, 0.2)),
    (lambda p: sn.SGD(p, 0.1, 0.9, nesterov=True), sgd_by_hand, (0.1, 0.9, True)),
    (lambda p: sn.RMSProp(p, *RMSPROP, weight_decay=0.2), rmsprop_by_hand, (*RMSPROP, False, 0.2)),
    (lambda p: sn.RMSProp(p, *RMSPROP, centered=True), rmsprop_by_hand, (*RMSPROP, True, 0)),
    (lambda p: sn.Adam(p, *ADAM, weight_decay=0.2), adam_by_hand, (*ADAM, 0.2)),
    (lambda p: sn.AdamW(p, *ADAM, weight_decay=0.2), adam_by_hand, (*ADAM, 0.0, 0.2)),
], ids=["sgd", "momentum and decay", "nesterov", "rmsprop", "rmsprop centered", "adam", "adamw"])
def test_four_steps_are_the_rule_written_out(make, by_hand, settings):
    start, gradients = np.array([1.5, -2.0, 0.25]), np.random.default_rng(0).standard_normal((4, 3))
    parameter = Parameter(start.copy())
    optimizer = make({"w": parameter})
    for g in gradients:
        parameter.grad = g
        optimizer.step()
    np.testing.assert_allclose(parameter.value, by_hand(start, gradients, *settings), rtol=1e-12)


@pytest.mark.parametrize("name", ALL)
def test_a_step_uses_the_gradients_and_clears_them(name):
    m = model()
    optimizer = ALL[name](m.parameters())
    train(m, optimizer, 1)
    assert all(p.grad is None for p in m.parameters().values())
    before = m.state_dict()
    optimizer.step()                                                 # no gradients: nothing moves, decay included
    assert all(np.array_equal(before[key], array) for key, array in m.state_dict().items())


@pytest.mark.parametrize("name", ALL)
def test_state_goes_on_to_the_same_bits(name):
    first, second = model(), model()
    optimizer = ALL[name](first.parameters())
    train(first, optimizer, 3)
    second.load_state_dict(first.state_dict())
    continued = ALL[name](second.parameters())
    continued.load_state_dict(optimizer.state_dict())
    assert train(first, optimizer, 3) == train(second, continued, 3)


def test_frozen_parameters_are_left_alone_weight_decay_included():
    m = model()
    m["a"].trainable = False
    before = m.state_dict()
    train(m, sn.SGD(m.parameters(), lr=0.1, momentum=0.9, weight_decay=0.5), 3)
    assert [key for key, array in m.state_dict().items() if not np.array_equal(before[key], array)] == ["b.weight", "b.bias"]


def test_parameters_updated_more_often_than_others_have_their_own_corrections():
    first, late = Parameter(np.zeros(3, np.float32)), Parameter(np.zeros(3, np.float32))
    optimizer = sn.Adam({"first": first, "late": late}, lr=0.1)
    first.add_grad(np.ones(3, np.float32))
    optimizer.step()
    before = first.value.copy()
    for parameter in (first, late):
        parameter.add_grad(np.full(3, 2, np.float32))
    optimizer.step()
    np.testing.assert_allclose(late.value, -0.1, rtol=1e-6)                  # the first step of Adam is lr long
    m, v = (0.9 * 0.1 + 0.2) / (1 - 0.9 ** 2), (0.999 * 0.001 + 0.004) / (1 - 0.999 ** 2)
    np.testing.assert_allclose(first.value - before, -0.1 * m / np.sqrt(v), rtol=1e-5)
    assert optimizer.steps == {"first": 2, "late": 1}


def test_lr_may_be_assigned_before_each_step():
    m = model()
    optimizer = sn.SGD(m.parameters(), lr=0.1)
    optimizer.lr = 0.0
    before = m.state_dict()
    train(m, optimizer, 1)
    assert np.array_equal(before["a.weight"], m.state_dict()["a.weight"])


def test_config_names_the_optimiser_and_its_settings():
    assert sn.SGD(model().parameters(), lr=0.1, momentum=0.9).config() == {
        "name": "sgd", "lr": 0.1, "momentum": 0.9, "nesterov": False, "weight_decay": 0.0}


@pytest.mark.parametrize("make, error, words", [
    (lambda p: sn.SGD(p, lr=-1), ValueError, "lr must lie between 0"),
    (lambda p: sn.SGD(p, momentum=1.0), ValueError, "momentum must lie between 0 and 1"),
    (lambda p: sn.SGD(p, nesterov=True), ValueError, "nesterov needs a momentum"),
    (lambda p: sn.Adam(p, beta2=1.5), ValueError, "beta2"),
    (lambda p: sn.Adam(p, lr=float("nan")), ValueError, "lr"),
    (lambda p: sn.SGD(list(p)), TypeError, r"expected model.parameters\(\)"),
])
def test_bad_settings_are_refused(make, error, words):
    with pytest.raises(error, match=words):
        make(model().parameters())


def test_a_state_of_another_model_is_refused_whole():
    m = model()
    optimizer = sn.SGD(m.parameters(), momentum=0.9)
    with pytest.raises(ValueError) as error:
        optimizer.load_state_dict({"velocity/a.weight": np.zeros((2, 2)), "velocity/c": np.zeros(1), "m/a.bias": np.zeros(8)})
    assert all(words in str(error.value) for words in ("velocity/a.weight: expected (6, 8), got (2, 2)",
                                                       "unexpected: velocity/c", "unexpected: m/a.bias"))
    assert optimizer.state_dict() == {}
