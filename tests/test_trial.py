"""The trial of a recorded step on the CPU: what it finds, and that it changes nothing."""

import numpy as np
import pytest

import scratchnet as sn
from replayed_cases import adam, data, same, small, trained
from scratchnet import trial
from scratchnet.layers import Dense, Flatten, Sequential


class Halves(sn.Layer):
    """One of ours that has NumPy compute, unsaid."""

    def forward(self, x, training=True):
        return x / 2, lambda dy, need_dx=True: dy / 2


class Counts(Halves):
    """One that changes nothing but a state of its own."""

    def build(self, rng, input_shape):
        self.add_buffer("calls", np.int64(0))

    def forward(self, x, training=True):
        calls = self.buffer("calls")
        calls += 1
        return x, lambda dy, need_dx=True: dy


Halves.__module__ = Counts.__module__ = "scratchnet.layers.halves"


@pytest.mark.parametrize("layer", [Halves, Counts])
def test_what_computes_outside_of_kernels_unsaid_fails_the_trial_and_runs_ordinarily(layer, seen, monkeypatch):
    results = []
    for ordinary in (True, False):
        model = Sequential(layer(), small())
        model.init(0, (3, 3, 1))
        results.append(trained(model, adam(model.parameters()), data(14), monkeypatch, ordinary))
    same(*results)
    why, = seen.why                              # it is tried once
    assert "outside of the kernels" in why and seen.replays == 0


@pytest.mark.parametrize("dtype", ["int32", "int64", "float32", "float64"])
def test_labels_that_the_loss_converts_are_those_of_each_step(dtype, seen, monkeypatch):
    def augment(image, label, seed, epoch):      # as probabilities they are all the same in the first epoch
        probabilities = np.full((len(label), 5), 0.2) if epoch == 0 else np.eye(5)[label]
        return image, (probabilities if "float" in dtype else label).astype(dtype)
    images = np.random.default_rng(0).integers(0, 256, (10, 3, 3, 1)).astype("uint8")
    results = []
    for ordinary in (True, False):
        model = Sequential(Flatten(), Dense(5))
        model.init(0, (3, 3, 1))
        train = sn.data.Batches(images, np.arange(10) // 2, 1, augment=augment, shuffle=False)
        results.append(trained(model, adam(model.parameters()), train, monkeypatch, ordinary, epochs=2))
    same(*results)


@pytest.mark.parametrize("dtype", ["float64", "int64"])
def test_targets_of_a_column_that_the_loss_converts_are_those_of_each_step(dtype, seen, monkeypatch):
    def augment(image, label, seed, epoch):
        return image, np.full((len(label), 1), epoch).astype(dtype)
    images = np.random.default_rng(0).integers(0, 256, (12, 3, 3, 1)).astype("uint8")
    results = []
    for ordinary in (True, False):
        model = Sequential(Flatten(), Dense(1))
        model.init(0, (3, 3, 1))
        train = sn.data.Batches(images, np.zeros(12, int), 4, augment=augment, shuffle=False)
        results.append(trained(model, adam(model.parameters()), train, monkeypatch, ordinary, epochs=3,
                               criterion=sn.mean_squared_error))
    same(*results)


@pytest.mark.parametrize("host_work", [None, Halves])
def test_gradients_of_parameters_that_the_optimizer_does_not_have_add_up(host_work, seen, monkeypatch):
    results = []
    for ordinary in (True, False):
        model = Sequential(Flatten(), *[host_work()] if host_work else [], a=Dense(6), b=Dense(5))
        model.init(0, (3, 3, 1))
        optimizer = sn.SGD({name: p for name, p in model.parameters().items() if name.startswith("b")}, lr=0.1)
        _, state, _ = trained(model, optimizer, data(16), monkeypatch, ordinary, epochs=2)
        results.append(([], state, {name: p.grad for name, p in model.parameters().items() if name.startswith("a")}))
    same(*results)
    assert len(results[0][2]) == 2 and not any(gradient is None for gradient in results[0][2].values())


def test_a_trial_changes_nothing():
    model = small()
    optimizer = adam(model.parameters())
    images, labels = data(4)

    def run(images, labels):
        loss, logits, backward = model.loss(images, labels)
        backward()
        optimizer.step()
        return loss, logits
    run(images, labels)
    before = model.state_dict(), optimizer.state_dict(), [p.version for p in model.parameters().values()]
    recorded = trial.trial(run, model, optimizer, images, labels)
    after = model.state_dict(), optimizer.state_dict(), [p.version for p in model.parameters().values()]
    assert before[2] == after[2] and all(parameter.grad is None for parameter in model.parameters().values())
    same([0, *before[:2]], [0, *after[:2]])
    recorded(images, labels)
    assert optimizer.steps == dict.fromkeys(optimizer.steps, 2) and model.state_dict()["drop.calls"] == 2


def test_an_interrupted_trial_changes_nothing(monkeypatch):
    model = small()
    optimizer = adam(model.parameters())
    restore, calls = trial._State.restore, []

    def interrupted(state):
        calls.append(1)
        if len(calls) == 3:                      # the last one, when it has begun
            state.arrays[0][...] = 7
            raise KeyboardInterrupt
        restore(state)
    monkeypatch.setattr(trial._State, "restore", interrupted)

    def run(images, labels):
        loss, logits, backward = model.loss(images, labels)
        backward()
        optimizer.step()
        return loss, logits
    run(*data(4))
    before = model.state_dict()
    with pytest.raises(KeyboardInterrupt):
        trial.trial(run, model, optimizer, *data(4))
    same([0, before], [0, model.state_dict()])
    assert len(calls) == 4 and all(parameter.grad is None for parameter in model.parameters().values())
