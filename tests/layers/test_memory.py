"""Memory falls along a backward: each closure is freed as the chain unwinds."""

import numpy as np

from scratchnet.kernels.cpu import memory
from scratchnet.layers import Conv2D, ReLU, Sequential, Tanh
from scratchnet.layers import watch


def test_half_way_through_the_backward_of_50_layers_at_most_60_percent_is_live():
    model = Sequential(*(Tanh() for _ in range(50)))
    model.init(0, (32, 32, 8))
    x = np.random.default_rng(0).standard_normal((8, 32, 32, 8)).astype("float32")
    before = memory.live_bytes()
    y, backward = model.forward(x)
    dy, live = np.ones_like(y), []
    del y
    start = memory.live_bytes() - before
    with watch(lambda path, which, *arrays: live.append(memory.live_bytes() - before)):
        backward(dy)
    assert start >= 50 * x.nbytes
    assert live[24] <= 0.6 * start
    assert live[-1] <= 0.1 * start                               # what is left: two gradients and an output


def test_inference_holds_an_input_and_an_output_at_a_time():
    model = Sequential(*(layer for _ in range(10) for layer in (Conv2D(8, 3, padding=1), ReLU())))
    model.init(0, (32, 32, 8))
    x = np.random.default_rng(0).standard_normal((8, 32, 32, 8)).astype("float32")
    before, live = memory.live_bytes(), []
    with watch(lambda path, which, y: live.append(memory.live_bytes() - before)):
        model(x)
    assert max(live) <= 3 * x.nbytes


def test_a_second_training_step_takes_its_memory_from_the_free_list():
    model = Sequential(Conv2D(8, 3, padding=1, activation="relu"), Conv2D(8, 3, padding=1, activation="tanh"))
    model.init(0, (32, 32, 8))
    x = np.random.default_rng(0).standard_normal((8, 32, 32, 8)).astype("float32")

    def step():
        y, backward = model.forward(x)
        backward(y)

    step()
    peak, total = memory.peak_bytes(), memory.live_bytes() + memory.free_bytes()
    step()
    assert (memory.peak_bytes(), memory.live_bytes() + memory.free_bytes()) == (peak, total)
