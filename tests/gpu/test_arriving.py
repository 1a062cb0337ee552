"""Batches on their way to a device, where either side may be as late as it can; the words for a device that is full."""

import sys
from dataclasses import replace

import numpy as np
import pytest
from engines import normal
from fake_cupy import Array
from host_graphs import Pointer, Stream, null

import scratchnet as sn
from scratchnet.arriving import LANES, arriving
from scratchnet.data import Batches, Preprocessing, augment
from scratchnet.layers import Dense, Flatten, Sequential


UNEVEN = Preprocessing((0.4,), (0.3,), ((0, 1), (0, 0)))


def model():
    made = Sequential(flat=Flatten(), a=Dense(6), b=Dense(5))
    made.init(0, (3, 3, 1))
    return made


def batches(count, kind="float32"):
    """`count` batches, the last one smaller; of float32 images, or of bytes to normalise and to pad."""
    images, labels = normal(0, 4 * count - 2, 3, 3, 1), np.arange(4 * count - 2)
    if kind == "float32":
        return Batches(images, labels, 4)
    return Batches((40 * images[:, :2] + 128).astype(np.uint8), labels, 4, preprocessing=UNEVEN)


def copied(monkeypatch):
    """The sizes of what goes to the device in lanes, as it goes."""
    sizes, copy = [], Pointer.copy_from_host_async
    monkeypatch.setattr(Pointer, "copy_from_host_async", lambda self, address, size, stream:
                        sizes.append(size) or copy(self, address, size, stream))
    return sizes


@pytest.mark.parametrize("kind", ["float32", "uint8"])
@pytest.mark.parametrize("late_steps", [False, True])
@pytest.mark.parametrize("late_copies", [False, True])
def test_each_step_sees_its_batch_however_late_it_or_the_copy_is(late_steps, late_copies, kind, cupy, monkeypatch):
    made, given, seen, ahead = sn.to_device(model(), "cuda"), batches(3 * LANES + 1, kind), [], []
    begin = Stream.__init__

    def late(self, non_blocking=False):
        begin(self, non_blocking)
        self.late = late_copies
    monkeypatch.setattr(Stream, "__init__", late)
    monkeypatch.setattr(null, "late", late_steps)
    for images, labels in arriving(made, given, epoch=1, start=2):
        seen.append((images.copy(), labels.copy()))
        ahead.append(len(null.queue))
    null.late = False
    null.finish()
    assert bool(max(ahead)) == late_steps
    for (images, labels), (x, y) in zip(seen, given.epoch(1, 2), strict=True):
        assert type(images) is Array and images.dtype == np.float32 and labels.dtype == np.int64
        np.testing.assert_array_equal(images.get(), x)
        np.testing.assert_array_equal(labels.get(), y)


COLOURS = Preprocessing((0.1, 0.45, 0.9), (0.3, 0.21, 0.27), ((1, 2), (0, 3)))
FLIPPED = augment.parse("flip", classes=6)


@pytest.mark.parametrize("settings, bytes_an_image", [
    ({}, 5 * 4 * 3), ({"preprocessing": COLOURS}, 5 * 4 * 3),
    ({"preprocessing": replace(COLOURS, size=(5, 4))}, 5 * 4 * 3),
    ({"preprocessing": replace(COLOURS, size=(3, 2))}, 4 * 6 * 5 * 3),
    ({"preprocessing": COLOURS, "augment": FLIPPED}, 4 * 8 * 7 * 3)],
    ids=["x/255", "padded, three channels", "of the wanted size", "to be resized", "augmented"])
def test_images_that_are_only_normalised_cross_as_bytes_and_are_the_cpus_to_the_bit(
        settings, bytes_an_image, cupy, monkeypatch):
    images = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3)).astype(np.uint8)
    images[0], images[1] = 0, 255
    given, sizes = Batches(images, np.arange(6), 4, **settings), copied(monkeypatch)
    for (x, _), (expected, _) in zip(arriving(sn.to_device(model(), "cuda"), given), given.epoch(0), strict=True):
        assert x.dtype == np.float32 and x.shape == expected.shape and x.get().tobytes() == expected.tobytes()
    assert sizes == [4 * bytes_an_image, 4 * 8, 2 * bytes_an_image, 2 * 8]


def test_batches_with_an_epoch_of_their_own_are_served_by_it(cupy):
    class Own(Batches):
        def epoch(self, k, *settings, **named):
            return ((images + 1, labels) for images, labels in super().epoch(k, *settings, **named))
    (images, _), = arriving(sn.to_device(model(), "cuda"), Own(np.zeros((2, 3, 3, 1), np.uint8), np.arange(2), 2))
    assert (images.get() == 1).all()


def test_memory_is_used_again(cupy):
    made = sn.to_device(model(), "cuda")
    addresses = [images.data.ptr for images, _ in arriving(made, batches(3 * LANES))]
    assert len(set(addresses)) == LANES + 1      # a lane has one more, for the last, smaller batch


def test_on_the_cpu_a_batch_is_the_array_itself():
    given = batches(2, "uint8")
    served = list(given.epoch(0))
    given.epoch = lambda k, start: iter(served)
    for (images, labels), (x, y) in zip(arriving(model(), given), served, strict=True):
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
