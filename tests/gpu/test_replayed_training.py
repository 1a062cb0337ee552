"""Training from a CUDA graph: the same bits as training launch by launch, whatever comes in between. On the stand-in of CuPy
(host_graphs.py), where a graph knows addresses and nothing else, and on a GPU where there is one."""

import contextlib
import functools

import numpy as np
import pytest

import replayed_cases
import scratchnet as sn
from replayed_cases import data, same, schedule, small
from scratchnet import backend
from scratchnet.kernels.cuda import graph, optim
from scratchnet.layers import Layer
from scratchnet.position import Position
from test_cuda_models import NETWORKS, OPTIMIZERS, made

RULES = {
    "sgd": lambda parameters: sn.SGD(parameters, lr=0.1),
    "sgd with momentum": lambda parameters: sn.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01),
    "rmsprop": lambda parameters: sn.RMSProp(parameters, lr=0.01),
    "rmsprop with all": lambda parameters: sn.RMSProp(parameters, lr=0.01, momentum=0.5, centered=True, epsilon=0.1),
    "adam": lambda parameters: sn.Adam(parameters, lr=0.01, weight_decay=0.1),
    "adamw": lambda parameters: sn.AdamW(parameters, lr=0.01),
}


@pytest.fixture(params=["stand-in", pytest.param("cuda", marks=pytest.mark.gpu)])
def device(request):
    """`captured`: the graphs that were recorded; `replays`: how often one was launched."""
    if request.param == "stand-in":
        request.getfixturevalue("cupy")
    monkeypatch, seen = request.getfixturevalue("monkeypatch"), Seen()

    class Watched(graph.Captured):
        def __init__(self, *args):
            super().__init__(*args)
            seen.captured.append(self)

        def __call__(self, *args):
            seen.replays += 1
            return super().__call__(*args)
    monkeypatch.setattr(graph, "Captured", Watched)
    return seen


class Seen:
    def __init__(self):
        self.captured, self.replays = [], 0


def trained(model, *arguments, **settings):
    return replayed_cases.trained(sn.to_device(model, "cuda"), *arguments, **settings)


@pytest.mark.parametrize("name", NETWORKS)
def test_a_network_trains_to_the_same_bits_replayed_and_ordinarily(name, device, monkeypatch):
    results = []
    for ordinary in (True, False):
        model, images, labels = made(name)
        results.append(trained(model, OPTIMIZERS[name](model.parameters()), (images[:5], labels[:5]), monkeypatch, ordinary,
                               batch_size=2, epochs=2, schedule=schedule))
        assert (device.replays, len(device.captured)) == ((0, 0) if ordinary else (2, 1))
    same(*results)


@pytest.mark.parametrize("rule", RULES)
def test_every_optimiser_and_a_changing_rate_to_the_same_bits_with_a_partial_last_batch(rule, device, monkeypatch):
    results = []
    for ordinary in (True, False):
        model = small()
        results.append(trained(model, RULES[rule](model.parameters()), data(14), monkeypatch, ordinary, schedule=schedule))
    same(*results)
    assert device.replays == 3 * 3 - 2 and len(device.captured) == 1          # of 3 full batches an epoch, 2 warm up
    assert results[1][1]["drop.calls"] == 12


def test_a_run_goes_on_in_the_middle_of_an_epoch_to_the_same_bits(device, monkeypatch):
    results = []
    for cut in (None, 2, 6):
        model = small()
        optimizer = RULES["adam"](model.parameters())

        def leave(position):
            if position.step == cut:
                raise KeyboardInterrupt
        position = Position()
        if cut:
            with pytest.raises(KeyboardInterrupt):
                trained(model, optimizer, data(14), monkeypatch, schedule=schedule, after_step=leave, position=position)
            saved = model.state_dict(), optimizer.state_dict(), position.state_dict()
            model, position = small(), Position.from_state(position.step, position.history, saved[2])
            optimizer = RULES["adam"](model.parameters())
            model.load_state_dict(saved[0])
            optimizer.load_state_dict(saved[1])
        results.append(trained(model, optimizer, data(14), monkeypatch, schedule=schedule, position=position))
    same(results[0], results[1])
    same(results[0], results[2])


class Own(Layer):
    """y = x / 2, and nobody knows what else it does."""

    def forward(self, x, training=True):
        return x / 2, lambda dy, need_dx=True: dy / 2


class Reading(Layer):
    """y = x / 2; the number comes from the device."""

    def forward(self, x, training=True):
        half = float(backend.to_host(x).size > 0) / 2
        return x * x.dtype.type(half), lambda dy, need_dx=True: dy * dy.dtype.type(half)


Reading.__module__ = "scratchnet.layers.reading"


def own_criterion(logits, labels):
    return sn.softmax_cross_entropy(logits, labels, 0.1)


@pytest.mark.parametrize("layers, criterion, words", [
    ([Own], sn.softmax_cross_entropy, "(Own) is a layer of your own"),
    ([], own_criterion, "own_criterion is a criterion of your own"),
    ([Reading], functools.partial(sn.softmax_cross_entropy, label_smoothing=0.1), "Error"),
], ids=["a layer", "a criterion", "what reads the device"])
def test_what_cannot_be_recorded_runs_ordinarily_and_is_said_once(layers, criterion, words, device, monkeypatch, capsys):
    results = []
    for ordinary in (True, False):
        capsys.readouterr()
        model = small(*[layer() for layer in layers])
        results.append(trained(model, RULES["adam"](model.parameters()), data(14), monkeypatch, ordinary, progress=True,
                               criterion=criterion))
    same(*results)
    said = capsys.readouterr().err.splitlines()
    assert device.replays == 0 and len(said) == 1 + 3 and words in said[0], said


def test_under_a_watch_every_layer_of_every_step_is_seen(device):
    model, seen = sn.to_device(small(), "cuda"), []
    with sn.watch(lambda path, when, *_: seen.append((path, when))):
        sn.fit(model, data(14), epochs=2, batch_size=4, progress=False)
    assert device.replays == 0 and seen.count(("drop", "forward")) == 8


def halve_the_rate_of_dropout(model, optimizer):
    model["drop"].rate = 0.25


def freeze(model, optimizer):
    model["a"].bias.trainable = False


def load(model, optimizer):
    model.load_state_dict({name: 0.9 * array if array.dtype.kind == "f" else array
                           for name, array in model.state_dict().items()})


def load_the_optimizers_state(model, optimizer):
    optimizer.load_state_dict({name: array / 2 if array.dtype.kind == "f" else array
                               for name, array in optimizer.state_dict().items()})


def there_and_back(model, optimizer):
    sn.to_device(sn.to_device(model, "cpu"), "cuda")


def change_a_setting(model, optimizer):
    optimizer.settings["weight_decay"] = 0.5


@pytest.mark.parametrize("change", [halve_the_rate_of_dropout, freeze, load, load_the_optimizers_state, there_and_back,
                                    change_a_setting])
@pytest.mark.parametrize("when", ["after_step", "after_epoch"])
def test_what_changes_between_two_steps_counts_from_the_next_one(change, when, device, monkeypatch):
    results = []
    for ordinary in (True, False):
        model = small()
        optimizer = RULES["adam"](model.parameters())

        def look(position):
            if position.step == 8:
                change(model, optimizer)
        results.append(trained(model, optimizer, data(14), monkeypatch, ordinary, epochs=4, **{when: look}))
    same(*results)
    assert device.replays >= 6 and len(device.captured) == (1 if change is load else 2)


def test_a_graph_keeps_the_tables_that_it_reads(device, monkeypatch):
    results = []
    for ordinary in (True, False):
        model = small()
        results.append(trained(model, RULES["adam"](model.parameters()), data(14), monkeypatch, ordinary,
                               after_step=lambda position: device.captured and optim._tables.clear()))
    same(*results)
    assert device.replays == 7


def test_in_another_precision_another_graph(device):
    model = sn.to_device(small(), "cuda")
    with contextlib.ExitStack() as stack:
        def look(position):
            if position.step == 8:
                stack.enter_context(sn.use_precision("tf32"))
        sn.fit(model, data(16), epochs=4, batch_size=4, progress=False, after_step=look)
    assert len(device.captured) == 2 and device.replays == 6 + 6


@pytest.mark.parametrize("wrong", [np.nan, np.inf])
def test_a_step_whose_gradients_are_not_finite_is_skipped_and_counted(wrong, device, monkeypatch, capsys):
    images, labels = data(24)
    images[20] = wrong                                                 # the last batch but one, replayed and ordinarily
    monkeypatch.setattr("scratchnet.data.batches._check_finite", lambda x: None)
    results = []
    for ordinary in (True, False):
        model, states = small(), []
        optimizer = RULES["adam"](model.parameters())
        train = sn.data.Batches(images, labels, 4, shuffle=False)

        def look(position):
            states.append({**model.state_dict(), **optimizer.state_dict()})
        results.append(trained(model, optimizer, train, monkeypatch, ordinary, epochs=1, after_step=look, progress=True))
        for name in states[4]:
            if name != "drop.calls":
                np.testing.assert_array_equal(states[5][name], states[4][name], err_msg=name)
        assert not np.array_equal(states[4]["b.weight"], states[3]["b.weight"]) and states[5]["steps/a.weight"] == 5
    same(*results)
    assert device.replays == 4 and results[1][0][0]["skipped_steps"] == 1
    assert np.isfinite(results[1][0][0]["train_loss"])
    assert "1 step skipped, a gradient was not finite" in capsys.readouterr().err


def test_an_epoch_of_which_every_step_is_skipped_is_an_error(device, monkeypatch):
    images, labels = data(12)
    images[...] = np.nan
    monkeypatch.setattr("scratchnet.data.batches._check_finite", lambda x: None)
    model = small()
    before = model.state_dict()
    with pytest.raises(FloatingPointError, match="each of the last 3 steps up to step 3 .*, which were skipped; lower"):
        trained(model, RULES["adam"](model.parameters()), (images, labels), monkeypatch)
    for name, array in model.state_dict().items():
        assert name == "drop.calls" or np.array_equal(array, before[name]), name


def test_a_checkpoint_between_two_replayed_steps_is_read_on_the_cpu(device, monkeypatch, tmp_path):
    model = small()
    optimizer = RULES["adam"](model.parameters())
    trained(model, optimizer, data(14), monkeypatch)
    sn.save_weights(model, tmp_path / "weights")
    here = small()
    sn.load_weights(here, tmp_path / "weights")
    for name, array in here.state_dict().items():
        np.testing.assert_array_equal(array, model.state_dict()[name])
    images, steps = data(14)[0], dict(optimizer.steps)
    expected = backend.to_host(model(backend.array_like(model["a"].weight.value, images)))
    np.testing.assert_allclose(here(images), expected, rtol=1e-4, atol=1e-5)
    sn.to_device(model, "cpu")
    sn.fit(model, data(14), epochs=1, batch_size=4, progress=False, optimizer=optimizer)
    assert optimizer.steps == {name: count + 4 for name, count in steps.items()}
