"""A network without numbers: shapes as init makes them, no draws, and an init afterwards is as ever."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.layers.blank import init_with_zeros


def network():
    shared = sn.Dense(4)
    return sn.Sequential(sn.Conv2D(3, 3), sn.BatchNorm(), sn.Residual(sn.SeparableConv2D(3, 3, padding="same")),
                         sn.Dropout(0.5), sn.Flatten(), sn.Dense(4), shared, shared)


def test_parameters_have_the_shapes_of_init_and_are_zero():
    model, expected = network(), network()
    assert init_with_zeros(model, (6, 6, 2)) == expected.init(0, (6, 6, 2)) == (4,)
    found = model.parameters()
    assert {name: p.value.shape for name, p in found.items()} == \
        {name: p.value.shape for name, p in expected.parameters().items()}
    assert all(p.value.dtype == np.float32 and not p.value.any() and p.value.flags.writeable for p in found.values())
    np.testing.assert_array_equal(model.state_dict()["1.running_var"], 1)


def test_a_state_can_be_loaded_and_the_model_runs_as_its_original():
    model, original = network(), network()
    init_with_zeros(model, (6, 6, 2))
    original.init(3, (6, 6, 2))
    model.load_state_dict(original.state_dict())
    x = np.random.default_rng(0).standard_normal((2, 6, 6, 2)).astype(np.float32)
    np.testing.assert_array_equal(model(x), original(x))


def test_a_frozen_layer_stays_frozen():
    model = network()
    model.trainable = False
    init_with_zeros(model, (6, 6, 2))
    assert not any(parameter.trainable for parameter in model.parameters().values())


@pytest.mark.parametrize("fails", [False, True])
def test_a_later_init_draws_as_ever(fails):
    model, expected = network(), network()
    if fails:
        with pytest.raises(ValueError):
            init_with_zeros(model, (2, 2, 2))
    else:
        init_with_zeros(model, (6, 6, 2))
    model.init(5, (6, 6, 2))
    expected.init(5, (6, 6, 2))
    for name, value in expected.state_dict().items():
        np.testing.assert_array_equal(model.state_dict()[name], value)


MEMORY = """
import re
import scratchnet as sn

def peak():                     # of this process: getrusage's begins with that of the one that started it
    with open("/proc/self/status") as status:
        return 1024 * int(re.search(r"VmHWM:\\s+(\\d+) kB", status.read())[1])

before = peak()
model = sn.models.blank("vgg16")
print(sum(parameter.value.size for parameter in model.parameters().values()), peak() - before)
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="the system does not tell a process's peak")
def test_what_is_only_counted_takes_no_memory():
    """VGG-16's first dense layer alone has 411 MB of float32, which zeros that nobody writes to do not take."""
    root = Path(__file__).resolve().parents[2]
    run = subprocess.run([sys.executable, "-c", MEMORY], cwd=root, capture_output=True, text=True, check=True)
    parameters, more = map(int, run.stdout.split())
    assert parameters == 138_357_544 and more < 50e6
