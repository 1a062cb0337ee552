"""Training on the CPU from a recording of its kernels: the same bits as training step by step, whatever comes in between."""

import functools

import numpy as np
import pytest

import scratchnet as sn
from replayed_cases import adam, branches, data, same, schedule, small, trained
from scratchnet import trial
from scratchnet.kernels.cpu import recording, threads
from scratchnet.layers import BatchNorm, Conv2D, Dense, Flatten, GlobalAvgPool2D, MaxPool2D, Residual, Sequential


def residual():
    return Sequential(
        first=Conv2D(8, 7, strides=2, padding=3, use_bias=False), norm=BatchNorm(activation="relu"),
        pool=MaxPool2D(3, 2, padding=1),
        block=Residual(Sequential(a=Conv2D(24, 3, padding=1), an=BatchNorm(activation="relu"),
                                  b=Conv2D(40, 3, strides=2, padding=1, use_bias=False), bn=BatchNorm()),
                       Sequential(c=Conv2D(40, 1, strides=2, use_bias=False), n=BatchNorm()), activation="relu"),
        next=Residual(Sequential(a=Conv2D(40, 3, padding=1, activation="relu"), b=Conv2D(40, 3, padding=1)),
                      activation="relu"),
        mean=GlobalAvgPool2D(), out=Dense(5))


def lenet5():
    return sn.models.create("lenet5", classes=5)


NETWORKS = {"LeNet-5": (lenet5, (32, 32, 1), 16), "LeNet-5, few images": (lenet5, (32, 32, 1), 2),
            "residual": (residual, (21, 23, 3), 4), "branches": (branches, (12, 11, 3), 3),
            "branches, many images": (branches, (12, 11, 3), 17)}
RULES = {
    "sgd": lambda parameters: sn.SGD(parameters, lr=0.1),
    "nesterov": lambda parameters: sn.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01),
    "rmsprop": lambda parameters: sn.RMSProp(parameters, lr=0.01, momentum=0.5, centered=True, epsilon=0.1),
    "adam": adam,
    "adamw": lambda parameters: sn.AdamW(parameters, lr=0.01),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_trains_to_the_same_bits_replayed_and_ordinarily(name, seen, monkeypatch):
    make, shape, batch = NETWORKS[name]
    results = []
    for ordinary in (True, False):
        model = make()
        if model.input_shape is None:
            model.init(0, shape)
        results.append(trained(model, RULES["nesterov"](model.parameters()), data(2 * batch + 1, shape), monkeypatch, ordinary,
                               batch_size=batch, epochs=2, schedule=schedule))
    same(*results)
    assert (seen.why, seen.recorded, seen.replays) == ([], 1, 2)


@pytest.mark.parametrize("rule", RULES)
def test_every_optimiser_and_a_changing_rate_to_the_same_bits_with_a_partial_last_batch(rule, seen, monkeypatch):
    results = []
    for ordinary in (True, False):
        model = small()
        results.append(trained(model, RULES[rule](model.parameters()), data(14), monkeypatch, ordinary, schedule=schedule))
    same(*results)
    assert seen.replays == 3 * 3 - 2 and seen.recorded == 1                  # of 3 full batches an epoch, 2 warm up
    assert results[1][1]["drop.calls"] == 12 and results[1][2]["steps/a.weight"] == 12


def halve_the_rate_of_dropout(model, optimizer):
    model["drop"].rate = 0.25


def freeze(model, optimizer):
    model["a"].bias.trainable = False


def load(model, optimizer):
    model.load_state_dict({name: 0.9 * array if array.dtype.kind == "f" else array
                           for name, array in model.state_dict().items()})


def seed_dropout(model, optimizer):
    model["drop"].buffer("seed")[...] = 5


def load_the_optimizers_state(model, optimizer):
    optimizer.load_state_dict({name: array / 2 if array.dtype.kind == "f" else array
                               for name, array in optimizer.state_dict().items()})


def change_a_setting(model, optimizer):
    optimizer.settings["weight_decay"] = 0.5


def leave_out_a_parameter(model, optimizer):
    del optimizer.parameters["a.weight"]


def use_one_thread(model, optimizer):
    threads.set_threads(1)


@pytest.mark.parametrize("change", [halve_the_rate_of_dropout, seed_dropout, freeze, load, load_the_optimizers_state,
                                    change_a_setting, leave_out_a_parameter, use_one_thread])
@pytest.mark.parametrize("when", ["after_step", "after_epoch"])
def test_what_changes_between_two_steps_counts_from_the_next_one(change, when, seen, monkeypatch):
    before, results = threads.threads(), []
    for ordinary in (True, False):
        model = small()
        optimizer = adam(model.parameters())

        def look(position):
            if position.step == 8:
                change(model, optimizer)
        try:
            results.append(trained(model, optimizer, data(14), monkeypatch, ordinary, epochs=4, **{when: look}))
        finally:
            threads.set_threads(before)
    same(*results)
    nothing_built_in = change in (load, seed_dropout) or before == 1 and change is use_one_thread
    assert seen.replays >= 6 and seen.recorded == (1 if nothing_built_in else 2)


class Own(sn.Layer):
    """y = x / 2, and nobody knows what else it does."""

    def forward(self, x, training=True):
        return x / 2, lambda dy, need_dx=True: dy / 2


def own_criterion(logits, labels):
    return sn.softmax_cross_entropy(logits, labels)


@pytest.mark.parametrize("layers, criterion", [([Own], sn.softmax_cross_entropy), ([], own_criterion)])
def test_what_is_not_ours_runs_ordinarily_without_a_word(layers, criterion, seen, monkeypatch, capsys):
    results = []
    for ordinary in (True, False):
        model = Sequential(small(), *[layer() for layer in layers])
        model.init(0, (3, 3, 1))
        capsys.readouterr()
        results.append(trained(model, adam(model.parameters()), data(14), monkeypatch, ordinary, progress=True,
                               criterion=criterion))
    same(*results)
    assert seen.recorded == 0 and not seen.why and len(capsys.readouterr().err.splitlines()) == 3


def test_labels_that_are_not_of_the_model_are_an_error_in_every_step(seen):
    images = np.random.default_rng(0).integers(0, 256, (10, 3, 3, 1)).astype("uint8")
    train = sn.data.Batches(images, np.arange(10) // 2, 1, augment=lambda image, label, seed, epoch: (image, label + epoch))
    model = Sequential(Flatten(), Dense(5))
    model.init(0, (3, 3, 1))
    with pytest.raises(ValueError, match="labels run from 5 to 5, but there are 5 classes"):
        sn.fit(model, train, epochs=3, progress=False)
    assert seen.replays >= 8


@pytest.mark.parametrize("when", [0, 6])
@pytest.mark.parametrize("what", ["forward", "loss", "update"])
def test_a_method_of_ones_own_is_called_in_every_step(what, when, seen, monkeypatch):
    model = small()
    optimizer = adam(model.parameters())
    thing, calls = {"forward": model["drop"], "loss": model, "update": optimizer}[what], []
    itself = getattr(thing, what)

    def replace(position=None):
        if (position.step if position else 0) == when:
            setattr(thing, what, lambda *arguments, **named: (calls.append(1), itself(*arguments, **named))[1])
    replace()
    trained(model, optimizer, data(16), monkeypatch, after_step=replace)
    assert (len(calls), seen.recorded) == ((12, 0) if when == 0 else (6, 1))


def test_a_method_of_a_parameter_is_called_in_every_step(seen, monkeypatch):
    model, calls = small(), []
    weight = model["a"].weight
    itself = weight.add_grad
    weight.add_grad = lambda *arguments, **named: (calls.append(1), itself(*arguments, **named))[1]
    trained(model, adam(model.parameters()), data(16), monkeypatch)
    assert len(calls) == 12 and seen.recorded == 0


def test_what_a_criterion_was_given_may_change(seen, monkeypatch):
    results = []
    for ordinary in (True, False):
        model, criterion = small(), functools.partial(sn.softmax_cross_entropy, label_smoothing=0.5)

        def look(position):
            if position.step == 6:
                criterion.keywords["label_smoothing"] = 0
        results.append(trained(model, adam(model.parameters()), data(16), monkeypatch, ordinary, after_step=look,
                               criterion=criterion))
    same(*results)
    assert seen.recorded == 2


def test_where_something_changes_every_few_steps_recordings_become_fewer(seen, monkeypatch):
    model = small()

    def look(position):
        if position.step % 4 == 0:
            model["a"].bias.trainable = not model["a"].bias.trainable
    trained(model, adam(model.parameters()), data(160), monkeypatch, epochs=1, after_step=look)
    assert seen.recorded == 1 and seen.replays == 2


@pytest.mark.parametrize("when", [0, 6])
def test_an_optimizer_that_is_given_another_step_runs_it_at_every_batch(when, seen, monkeypatch):
    model = small()
    optimizer = adam(model.parameters())
    itself, calls = optimizer.step, []

    def replace(position=None):
        if (position.step if position else 0) == when:
            optimizer.step = lambda: (calls.append(1), itself())
    replace()
    trained(model, optimizer, data(16), monkeypatch, after_step=replace)
    assert (len(calls), seen.recorded, seen.replays) == ((12, 0, 0) if when == 0 else (6, 1, 4))


@pytest.mark.parametrize("what", ["arrays", "parameters"])
def test_what_takes_much_memory_is_not_recorded(what, seen, monkeypatch):
    batch, width = (64, 5) if what == "arrays" else (4, 200)
    monkeypatch.setattr(recording, "MOST", 2 ** 18)
    monkeypatch.setattr(trial, "MOST", 2 ** 18)
    model = Sequential(Conv2D(8, 3), Flatten(), Dense(width))
    model.init(0, (10, 10, 1))
    sn.fit(model, data(4 * batch, (10, 10, 1)), epochs=1, batch_size=batch, progress=False)
    why, = seen.why
    assert "than 262,144 bytes" in why and ("parameters" in why) == (what == "parameters")


def test_under_a_watch_every_layer_of_every_step_is_seen(seen):
    model, found = small(), []
    with sn.watch(lambda path, when, *_: found.append((path, when))):
        sn.fit(model, data(14), epochs=2, batch_size=4, progress=False)
    assert seen.recorded == 0 and found.count(("drop", "forward")) == 8


def test_inside_use_kernels_those_kernels_run(seen, monkeypatch):
    results = []
    for ordinary in (True, False):
        model = small()
        with sn.use_kernels("reference"):
            results.append(trained(model, adam(model.parameters()), data(14), monkeypatch, ordinary))
    same(*results)
    assert seen.recorded == 0


def test_a_loss_that_is_not_finite_leaves_the_parameters_of_the_step_before(seen, monkeypatch):
    images, labels = data(24)
    images[20] = np.inf
    monkeypatch.setattr("scratchnet.data.batches._check_finite", lambda x: None)
    model, states = small(), []
    optimizer = adam(model.parameters())
    with pytest.raises(FloatingPointError, match="at step 6 .*the images of this batch already hold NaN"):
        sn.fit(model, sn.data.Batches(images, labels, 4, shuffle=False), epochs=1, progress=False, optimizer=optimizer,
               after_step=lambda position: states.append({**model.state_dict(), **optimizer.state_dict()}))
    assert seen.replays == 4
    for name, array in {**model.state_dict(), **optimizer.state_dict()}.items():
        assert array.tobytes() == states[4][name].tobytes() or "running" in name or name == "drop.calls", name
    assert all(parameter.grad is None for parameter in model.parameters().values())
