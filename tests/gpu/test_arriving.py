"""Batches on their way to a device, where either side may be as late as it can; and the words for a device that is full."""

import sys

import numpy as np
import pytest
from engines import normal
from fake_cupy import Array
from host_graphs import Stream, null

import scratchnet as sn
from scratchnet.arriving import LANES, arriving
from scratchnet.layers import Dense, Flatten, Sequential


def model():
    made = Sequential(flat=Flatten(), a=Dense(6), b=Dense(5))
    made.init(0, (3, 3, 1))
    return made


def batches(count, last=2):
    return [(normal(seed, last if seed == count - 1 else 4, 3, 3, 1), np.arange(4 if seed < count - 1 else last) + seed)
            for seed in range(count)]


@pytest.mark.parametrize("late_steps", [False, True])
@pytest.mark.parametrize("late_copies", [False, True])
def test_each_step_sees_its_batch_however_late_it_or_the_copy_is(late_steps, late_copies, cupy, monkeypatch):
    made, given, seen, ahead = sn.to_device(model(), "cuda"), batches(3 * LANES + 1), [], []
    begin = Stream.__init__

    def late(self, non_blocking=False):
        begin(self, non_blocking)
        self.late = late_copies
    monkeypatch.setattr(Stream, "__init__", late)
    monkeypatch.setattr(null, "late", late_steps)
    for images, labels in arriving(made, iter(given)):
        seen.append((images.copy(), labels.copy()))
        ahead.append(len(null.queue))
    null.late = False
    null.finish()
    assert bool(max(ahead)) == late_steps
    for (images, labels), (x, y) in zip(seen, given, strict=True):
        assert type(images) is Array and images.dtype == np.float32 and labels.dtype == np.int64
        np.testing.assert_array_equal(images.get(), x)
        np.testing.assert_array_equal(labels.get(), y)


def test_memory_is_used_again(cupy):
    made = sn.to_device(model(), "cuda")
    addresses = [images.data.ptr for images, _ in arriving(made, batches(3 * LANES))]
    assert len(set(addresses)) == LANES + 1                            # and a lane has one more, for the last, smaller batch


def test_on_the_cpu_a_batch_is_the_array_itself():
    given = batches(2)
    for (images, labels), (x, y) in zip(arriving(model(), given), given):
        assert images is x and labels is y


class OutOfMemoryError(MemoryError):
    """As CuPy's."""


@pytest.mark.parametrize("scored", [False, True])
def test_a_full_device_is_said_with_the_layer_and_what_to_do(scored, cupy, monkeypatch):
    made, (x, y) = sn.to_device(model(), "cuda"), (normal(0, 8, 3, 3, 1), np.arange(8) % 5)

    def full(a, b, *_):
        if b.shape == (6, 5):
            raise OutOfMemoryError("Out of memory allocating 1,024 bytes (allocated so far: 2,048 bytes).")
        return product(a, b, *_)
    product = cupy.product
    monkeypatch.setattr(cupy, "product", full)
    words = r"b \(Dense 5.*\): the memory of the GPU does not hold a batch of 4: Out of memory .*; use a smaller batch size"
    with pytest.raises(RuntimeError, match=words):
        if scored:
            sn.fit.__globals__["evaluate"](made, sn.data.Batches(x, y, 4))
        else:
            sn.fit(made, (x, y), epochs=1, batch_size=4, progress=False)


def test_where_the_graph_does_not_fit_the_steps_run_ordinarily(cupy, monkeypatch, capsys):
    made, (x, y) = sn.to_device(model(), "cuda"), (normal(0, 16, 3, 3, 1), np.arange(16) % 5)

    def none():
        raise OutOfMemoryError("Out of memory allocating 1,024 bytes.")
    monkeypatch.setattr(sys.modules["cupy"].cuda, "MemoryPool", none)
    assert len(sn.fit(made, (x, y), epochs=1, batch_size=4)) == 1
    assert "not replayed as a CUDA graph: OutOfMemoryError: Out of memory" in capsys.readouterr().err
