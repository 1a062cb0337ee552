"""The memory of an inference model: what shares the arena, what is the caller's, many threads at once."""

import math
import os
import subprocess
import sys
import threading
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.inference.arena import LINE, first_fit
from scratchnet.kernels.cpu import memory

ROOT = Path(__file__).resolve().parents[1]
SHAPE = (24, 24, 3)


def network():
    """Arrays that live long and briefly, in the arena and out of it."""
    model = sn.Sequential(
        sn.Conv2D(16, 3, padding=1, activation="relu"),
        sn.Residual(sn.Sequential(sn.Conv2D(16, 3, padding=1), sn.BatchNorm(activation="relu"),
                                  sn.Conv2D(16, 3, padding=1)), activation="relu"),
        sn.Concat(sn.Conv2D(8, 1), sn.MaxPool2D(3, 1, padding=1),
                  sn.Sequential(sn.Conv2D(8, 1), sn.Conv2D(8, 3, padding=1))),
        sn.GlobalAvgPool2D(), sn.Dense(20, activation="relu"), sn.Dense(10))
    model.init(0, SHAPE)
    return model


def images(batch, seed=0):
    return np.random.default_rng(seed).standard_normal((batch, *SHAPE)).astype("float32")


def seen_addresses(predict, monkeypatch):
    """(first byte, behind the last) of every arena that predict borrows from now on."""
    ranges = []
    borrow = sn.inference.Plan.borrow

    def spied(plan):
        arena = borrow(plan)
        start = arena.__array_interface__["data"][0]
        ranges.append((start, start + arena.nbytes))
        return arena
    monkeypatch.setattr(sn.inference.Plan, "borrow", spied)
    return ranges


@pytest.mark.parametrize("last", ["dense", "convolution", "view", "same"])
def test_what_is_returned_is_never_in_the_arena_and_never_changes(last, monkeypatch):
    class View(sn.Layer):
        def forward(self, x, training=True):
            return x if last == "same" else x.reshape(x.shape), None
    ends = {"dense": [sn.Flatten(), sn.Dense(3)], "convolution": [], "view": [View()], "same": [View()]}
    model = sn.Sequential(sn.Conv2D(16, 3), sn.Conv2D(16, 3, activation="relu"), sn.Conv2D(16, 3), *ends[last])
    model.init(0, SHAPE)
    predict = sn.for_inference(model)
    arenas = seen_addresses(predict, monkeypatch)
    results = [predict(images(4, seed)) for seed in range(5)]
    expected = [result.copy() for result in results]
    for seed in range(5, 10):
        predict(images(4, seed))
    # A layer that is not ours runs in all ten calls; else two calls and a recording, whose arena all others write to.
    assert len(arenas) == (10 if last in ("view", "same") else 3) and all(map(np.array_equal, results, expected))
    for index, result in enumerate(results):
        start, own = result.__array_interface__["data"][0], arenas[min(index, len(arenas) - 1)]
        # Memory that one call borrowed may be given out for good by another: only its own arena counts.
        assert start >= own[1] or start + result.nbytes <= own[0]
        assert not any(np.may_share_memory(result, other) for other in results[index + 1:])
    np.testing.assert_allclose(results[0], model(images(4)), rtol=1e-5, atol=1e-5)


def test_a_model_that_changes_nothing_returns_a_copy():
    model = sn.Sequential(sn.Dropout(0.5), sn.Flatten())
    model.init(0, SHAPE)
    x = images(2)
    y = sn.for_inference(model)(x)
    assert np.array_equal(y, x.reshape(2, -1)) and not np.shares_memory(x, y)


def test_arrays_that_live_at_once_never_share_memory():
    rng = np.random.default_rng(0)
    for _ in range(200):
        count = int(rng.integers(1, 30))
        firsts = rng.integers(0, 20, count)
        blocks = {name: (LINE * int(rng.integers(0, 9)), int(first), int(first + rng.integers(0, 6)))
                  for name, first in enumerate(firsts)}
        starts, total = first_fit(blocks)
        used = np.zeros((26, total), int)                            # (step, float): by how many blocks
        for name, (size, first, last) in blocks.items():
            assert starts[name] % LINE == 0
            used[first:last + 1, starts[name]:starts[name] + size] += 1
            assert starts[name] + size <= total
        assert used.max(initial=0) <= 1
        assert total <= 1.5 * max(sum(size for size, first, last in blocks.values() if first <= step <= last)
                                  for step in range(26)) + LINE


def test_the_arena_of_resnet50_is_as_small_as_what_lives_at_once():
    predict = sn.for_inference(sn.models.blank("resnet50", input_shape=(64, 64, 3), classes=10))
    plan = predict._plan((2, 64, 64, 3))
    floats = {index: math.prod(place.shape) for index, place in plan.places.items()}
    # The first convolution (2, 32, 32, 64), or around a residual of the first stage: its input or projection
    # (2, 16, 16, 256), its last convolution the same, and what that reads, (2, 16, 16, 64).
    assert plan.size == 2 * 16 * 16 * (256 + 256 + 64)
    assert len(floats) == 53 and sum(floats.values()) > 5 * plan.size


def test_the_weights_of_dense_layers_are_kept_once():
    model = sn.Sequential(sn.Flatten(), sn.Dense(1000), sn.Dense(2001))      # 4.6 MB and 8 MB
    model.init(0, (6, 6, 32))
    weights = sum(parameter.value.nbytes for parameter in model.parameters().values())
    sn.for_inference(network())                  # imports
    before = memory.live_bytes()                 # of the kernels' own memory, which tracemalloc does not see
    tracemalloc.start()
    try:
        predict = sn.for_inference(model)
        assert weights < tracemalloc.get_traced_memory()[0] + memory.live_bytes() - before < 1.05 * weights
    finally:
        tracemalloc.stop()
    x = np.random.default_rng(0).standard_normal((2, 6, 6, 32)).astype("float32")
    with sn.use_kernels("reference"):
        np.testing.assert_array_equal(predict(x), model(x))


def test_arrays_in_the_arena_are_aligned_for_vectors():
    model = sn.Sequential(*(sn.Conv2D(5, 3) for _ in range(4)))
    model.init(0, SHAPE)
    for batch in (1, 3):
        plan = sn.for_inference(model)._plan((batch, 23, 22, 3))     # (21, 20, 5), (19, 18, 5), ...: no multiples of 16
        arena = plan.borrow()
        assert len(plan.places) == 3
        for index, place in plan.places.items():
            view = plan.view(arena, index)
            assert view.__array_interface__["data"][0] % 64 == 0 and view.flags.carray and view.shape == place.shape


def test_the_arena_goes_back_to_the_free_list_after_each_call():
    predict = sn.for_inference(network())
    predict._replays.fits = False                # a recording keeps its own
    predict(images(8))
    before = memory.live_bytes()
    y = predict(images(8))
    assert memory.live_bytes() == before and y.nbytes < memory.SMALLEST


def disturbed(threads=4, calls=15):
    """Calls the same model from several threads at once, for batches of several sizes; asserts that each gets its own
    results to the bit."""
    predict = sn.for_inference(network())
    batches = [images(batch, batch) for batch in (1, 2, 5, 5, 8)]
    expected = [predict(batch) for batch in batches]
    kept, errors, start = [], [], threading.Barrier(threads)

    def call(number):
        try:
            start.wait()
            for call in range(calls):
                index = (number + call) % len(batches)
                kept.append((index, predict(batches[index])))
        except BaseException as error:
            errors.append(error)
    workers = [threading.Thread(target=call, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not errors and len(kept) == threads * calls
    assert all(np.array_equal(y, expected[index]) for index, y in kept)


def test_several_threads_at_once_disturb_neither_each_other_nor_what_was_returned():
    disturbed()


def test_so_do_threads_on_numbas_workqueue():
    """Which aborts the process when two threads enter it at once."""
    code = ("from test_inference_memory import disturbed; disturbed(); "
            "from scratchnet.kernels.cpu.threads import threading_layer; print(threading_layer())")
    environment = {**os.environ, "NUMBA_THREADING_LAYER": "workqueue",
                   "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "tests")])}
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "workqueue"
