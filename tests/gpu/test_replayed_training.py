"""Training from a CUDA graph: the same bits as training launch by launch, whatever comes in between. On the stand-in of CuPy
(host_graphs.py), where a graph knows addresses and nothing else, and on a GPU where there is one."""

import numpy as np
import pytest
from engines import normal

import scratchnet as sn
from scratchnet import backend, replay
from scratchnet.kernels.cuda import graph
from scratchnet.layers import BatchNorm, Dense, Dropout, Flatten, Layer, ReLU, Sequential
from test_cuda_models import NETWORKS, OPTIMIZERS, made

RULES = {
    "sgd": lambda parameters: sn.SGD(parameters, lr=0.1),
    "sgd with momentum": lambda parameters: sn.SGD(parameters, lr=0.1, momentum=0.9, weight_decay=0.01),
    "rmsprop": lambda parameters: sn.RMSProp(parameters, lr=0.01),
    "rmsprop with all": lambda parameters: sn.RMSProp(parameters, lr=0.01, momentum=0.5, centered=True, epsilon=0.1),
    "adam": lambda parameters: sn.Adam(parameters, lr=0.01, weight_decay=0.1),
    "adamw": lambda parameters: sn.AdamW(parameters, lr=0.01),
}
schedule = sn.schedules.cosine(0.05, 12)


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


def small(*others):
    """A network of all that changes from step to step, for (3, 3, 1)."""
    model = Sequential(flat=Flatten(), a=Dense(6), norm=BatchNorm(), relu=ReLU(), drop=Dropout(0.5), b=Dense(5), *others)
    model.init(0, (3, 3, 1))
    return model


def data(count, shape=(3, 3, 1)):
    return normal(0, count, *shape), np.random.default_rng(1).integers(0, 5, count)


def trained(model, optimizer, examples, monkeypatch, ordinary=False, **settings):
    """(history without times, state of the model, of the optimiser, losses) after fit on the device."""
    sn.to_device(model, "cuda")
    with monkeypatch.context() as patch:
        if ordinary:
            patch.setattr(replay, "WARM_UP", 10**9)
        history = sn.fit(model, examples, **{"epochs": 3, "batch_size": 4, "progress": False, "optimizer": optimizer,
                                             **settings})
    rows = [{name: value for name, value in row.items() if "second" not in name} for row in history]
    return rows, model.state_dict(), optimizer.state_dict()


def same(one, other):
    assert one[0] == other[0]
    for mine, theirs in zip(one[1:], other[1:]):
        assert mine.keys() == theirs.keys()
        for name in mine:
            assert mine[name].tobytes() == theirs[name].tobytes(), name


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
