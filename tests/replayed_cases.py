"""What the tests of replayed training share, on the CPU and on a GPU: networks, a run, and the comparison of two."""

import numpy as np

import scratchnet as sn
from scratchnet import replay
from scratchnet.layers import (AvgPool2D, BatchNorm, Concat, Conv2D, Dense, DepthwiseConv2D, Dropout, Flatten,
                               LocalResponseNorm, MaxPool2D, Sequential)

schedule = sn.schedules.cosine(0.05, 12)


def branches():
    return Sequential(
        conv=Conv2D(6, 5, activation="relu"), norm=LocalResponseNorm(),
        both=Concat(Conv2D(4, 3, padding="same", groups=2, activation="tanh"),
                    Sequential(AvgPool2D(3, 1, padding=1), DepthwiseConv2D(3, padding="same", depth_multiplier=2))),
        pool=MaxPool2D(2), flat=Flatten(), drop=Dropout(0.4), out=Dense(5))


def small(*others):
    """A network of all that changes from step to step, for (3, 3, 1)."""
    model = Sequential(flat=Flatten(), a=Dense(6), norm=BatchNorm(activation="relu"), drop=Dropout(0.5), b=Dense(5), *others)
    model.init(0, (3, 3, 1))
    return model


def adam(parameters):
    return sn.Adam(parameters, lr=0.01, weight_decay=0.1)


def data(count, shape=(3, 3, 1)):
    rng = np.random.default_rng(1)
    return rng.standard_normal((count, *shape)).astype("float32"), rng.integers(0, 5, count)


def trained(model, optimizer, examples, monkeypatch, ordinary=False, **settings):
    """(history without times, state of the model, of the optimiser) after fit, `ordinary`: without replays."""
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
