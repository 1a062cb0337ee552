"""Batches: every sample once an epoch, in an order that (seed, epoch) decides."""

import hashlib
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from scratchnet.data import Batches, Preprocessing


def numbered(n):
    """uint8 images (n, 2, 2, 1) and labels that both tell their number."""
    images = np.zeros((n, 2, 2, 1), np.uint8)
    images[:, 0, 0, 0] = np.arange(n)
    return images, np.arange(n)


def labels(batches, epoch, start=0):
    return [y.tolist() for _, y in batches.epoch(epoch, start)]


CUTS = [(10, 4, [4, 4, 2]), (8, 4, [4, 4]), (3, 5, [3]), (1, 1, [1])]


@pytest.mark.parametrize("n, batch_size, sizes", CUTS)
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_sample_is_served_once_an_epoch_and_the_last_batch_is_kept(n, batch_size, sizes, shuffle):
    batches = Batches(*numbered(n), batch_size, shuffle=shuffle)
    assert len(batches) == len(sizes)
    for epoch in range(3):
        served = list(batches.epoch(epoch))
        assert [len(y) for _, y in served] == sizes
        assert sorted(np.concatenate([y for _, y in served])) == list(range(n))
        for x, y in served:
            np.testing.assert_array_equal(np.rint(x[:, 0, 0, 0] * 255), y)


def test_without_shuffling_the_order_is_that_of_the_data():
    assert labels(Batches(*numbered(5), 2, shuffle=False), 3) == [[0, 1], [2, 3], [4]]


def test_the_order_depends_on_seed_and_epoch_and_on_nothing_else():
    batches = Batches(*numbered(50), 8, seed=5)
    first = labels(batches, 1)
    assert labels(batches, 0) != first  # another epoch
    assert labels(batches, 1) == first  # also after other epochs
    np.random.seed(3)
    assert labels(Batches(*numbered(50), 8, seed=5), 1) == first
    assert labels(Batches(*numbered(50), 8, seed=6), 1) != first
    assert sum(labels(Batches(*numbered(50), 7, seed=5), 1), []) == sum(first, [])  # the batch size only cuts


def test_the_order_is_the_same_in_another_process():
    script = ("import hashlib, numpy as np; from scratchnet.data import Batches; "
              "b = Batches(np.zeros((999, 1, 1, 1), np.uint8), np.arange(999), 10, seed=2**40); "
              "print(hashlib.sha256(b''.join(y.tobytes() for _, y in b.epoch(7))).hexdigest())")
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), "PYTHONHASHSEED": "5"}
    command = [sys.executable, "-c", script]
    said = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    batches = Batches(np.zeros((999, 1, 1, 1), np.uint8), np.arange(999), 10, seed=2**40)
    here = hashlib.sha256(b"".join(y.tobytes() for _, y in batches.epoch(7))).hexdigest()
    assert said.stdout.strip() == here


def test_an_epoch_can_be_entered_in_the_middle():
    batches = Batches(*numbered(23), 4)
    assert labels(batches, 2, start=3) == labels(batches, 2)[3:]
    assert labels(batches, 2, start=len(batches)) == []


def test_two_epochs_may_be_read_at_once_and_from_threads():
    batches = Batches(*numbered(200), 8)
    expected = [labels(batches, epoch) for epoch in range(6)]
    got = [None] * 6

    def read(epoch):
        got[epoch] = labels(batches, epoch)

    threads = [threading.Thread(target=read, args=(epoch,)) for epoch in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == expected


@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_what_is_served_is_new_contiguous_and_never_the_data_itself(dtype, shuffle):
    x, y = numbered(9)
    x = x.astype(dtype)
    kept = x.copy()
    batches = Batches(x, y, 4, shuffle=shuffle)
    first = list(batches.epoch(0))
    values = [image.copy() for image, _ in first]
    for images, chosen in batches.epoch(0):
        assert images.dtype == np.float32 and images.flags.c_contiguous and chosen.dtype == np.int64
        images[...], chosen[...] = -1, -1
    np.testing.assert_array_equal(x, kept)
    np.testing.assert_array_equal(y, np.arange(9))
    for (image, _), value in zip(first, values):
        np.testing.assert_array_equal(image, value)


def test_uint8_is_normalised_as_it_is_served_and_float32_is_served_as_it_is():
    x, y = np.random.default_rng(0).integers(0, 256, (6, 5, 4, 3)).astype(np.uint8), np.zeros(6, np.int64)
    preprocessing = Preprocessing((0.1, 0.2, 0.3), (0.5, 0.6, 0.7), ((1, 1), (2, 2)))
    batches = Batches(x, y, 6, shuffle=False, preprocessing=preprocessing)
    assert batches.x.dtype == np.uint8
    (served, _), = batches.epoch(0)
    np.testing.assert_array_equal(served, preprocessing(x))
    assert served.shape == (6, 7, 8, 3)
    (plain, _), = Batches(x, y, 6, shuffle=False).epoch(0)
    np.testing.assert_allclose(plain, x / 255, rtol=3e-7)  # two float32 roundings
    (same, _), = Batches(x.astype(np.float32), y, 6, shuffle=False).epoch(0)
    np.testing.assert_array_equal(same, x.astype(np.float32))


@pytest.mark.parametrize("dtype", [np.uint8, np.int32, np.uint16, ">i8"])
def test_labels_of_any_integer_type_become_int64(dtype):
    (_, served), = Batches(numbered(3)[0], np.array([2, 1, 0], dtype), 3, shuffle=False).epoch(0)
    assert served.dtype == np.int64 and served.tolist() == [2, 1, 0]


X, Y = np.zeros((4, 2, 2, 1), np.uint8), np.zeros(4, np.int64)
GREY = Preprocessing((0,), (1,))
REFUSED = {
    "float64 images": (dict(x=X.astype(float)), TypeError, "uint8 or float32, got float64"),
    "images without channels": (dict(x=X[..., 0]), ValueError, r"\(N, H, W, C\), got shape \(4, 2, 2\)"),
    "no images": (dict(x=X[:0], y=Y[:0]), ValueError, "at least one sample"),
    "float labels": (dict(y=Y.astype(float)), TypeError, "integer labels y, got float64"),
    "bool labels": (dict(y=Y == 0), TypeError, "got bool"),
    "one-hot labels": (dict(y=np.zeros((4, 10), int)), ValueError, r"of shape \(4,\), got \(4, 10\)"),
    "labels of other length": (dict(y=Y[:3]), ValueError, r"\(4,\), got \(3,\)"),
    "batch size 0": (dict(batch_size=0), ValueError, "batch_size to be an integer of at least 1, got 0"),
    "batch size 1.5": (dict(batch_size=1.5), ValueError, "got 1.5"),
    "negative seed": (dict(seed=-1), ValueError, "seed to be an integer of at least 0"),
    "float32 and preprocessing": (dict(x=X.astype("f4"), preprocessing=GREY), ValueError, "got float32 x"),
    "float32 and augmentation": (dict(x=X.astype("f4"), augment=lambda *a: None), ValueError, "got float32 x"),
    "negative workers": (dict(workers=-1), ValueError, "workers to be an integer of at least 0, got -1"),
    "other channels": (dict(x=X.reshape(4, 1, 2, 2), preprocessing=GREY), ValueError, "channels come last"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_served_is_refused_at_once(kind):
    change, error, message = REFUSED[kind]
    with pytest.raises(error, match=message):
        Batches(**{"x": X, "y": Y, "batch_size": 2, **change})


def test_an_epoch_that_is_no_number_is_refused_before_the_first_batch():
    with pytest.raises(ValueError, match="epoch to be an integer of at least 0, got -1"):
        Batches(X, Y, 2).epoch(-1)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("sample", [0, 1023, 1024, 2499])
def test_numbers_that_are_none_are_refused_with_the_first_sample_that_has_one(value, sample):
    x = np.zeros((2500, 2, 3, 1), np.float32)
    x[sample:, 1, 2, 0] = value
    with pytest.raises(ValueError, match=f"expected finite numbers in x, got NaN or infinity in sample {sample}; "):
        Batches(x, np.zeros(2500, np.int64), 10)
