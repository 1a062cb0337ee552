"""Splits, the validation split and the preprocessing."""

import json

import numpy as np
import pytest

from scratchnet.data import Arrays, Preprocessing, Splits, split_validation
from scratchnet.data.permutation import permutation
from scratchnet.data.splits import checksum


def arrays(n, shape=(2, 2, 1)):
    """Images that carry their number, so that every one can be told."""
    images = np.zeros((n, *shape), np.uint8)
    images[:, 0, 0, 0], images[:, 1, 1, 0] = np.arange(n) % 256, np.arange(n) // 256
    return Arrays(images, np.arange(n, dtype=np.int64))


def splits_of(shape, mean=(0.1307,), std=(0.3081,)):
    part = Arrays(np.zeros((3, *shape), np.uint8), np.zeros(3, np.int64))
    return Splits("tiny", part, part, ["a"], "", "made here", [], mean, std)


def test_a_permutation_is_the_same_on_every_machine():
    # Written down once; NumPy promises that raw words never change.
    assert permutation(10, 0, 0).tolist() == [0, 8, 9, 3, 7, 5, 1, 2, 6, 4]
    assert permutation(8, 3, 1).tolist() == [5, 6, 3, 7, 0, 1, 2, 4]
    assert sorted(permutation(1000, 7)) == list(range(1000))


def test_the_validation_split_is_a_twelfth_and_nothing_is_lost():
    train, validation = split_validation(arrays(60000), 1 / 12)
    assert (len(train), len(validation)) == (55000, 5000)
    assert sorted([*train.labels, *validation.labels]) == list(range(60000))
    for part in (train, validation):  # images went with their labels
        numbers = part.images[:, 0, 0, 0] + 256 * part.images[:, 1, 1, 0].astype(int)
        np.testing.assert_array_equal(numbers, part.labels)


def test_the_validation_split_is_the_same_on_every_machine_and_for_every_seed():
    np.random.seed(1)
    train, validation = split_validation(arrays(24), 1 / 4)
    assert validation.labels.tolist() == [2, 8, 13, 16, 18, 19]  # written down once
    assert (np.diff(train.labels) > 0).all()


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 1.5, 0.01])
def test_a_validation_split_that_would_be_empty_is_an_error(fraction):
    with pytest.raises(ValueError, match=f"got {fraction} of 20 samples"):
        split_validation(arrays(20), fraction)


def test_the_checksum_sees_every_value_and_the_shape():
    first, second = arrays(20), arrays(10)
    same = checksum(first, second)
    assert same == checksum(arrays(20), arrays(10)) and len(same) == 64
    labels = first.labels.copy()
    labels[3] += 1
    assert checksum(Arrays(first.images, labels), second) != same
    images = second.images.copy()
    images[-1, -1, -1, -1] += 1
    assert checksum(first, Arrays(images, second.labels)) != same
    assert checksum(Arrays(first.images.reshape(20, 4, 1, 1), first.labels), second) != same


def test_arrays_of_the_wrong_kind_are_refused():
    images, labels = np.zeros((3, 2, 2, 1), np.uint8), np.zeros(3, np.int64)
    with pytest.raises(ValueError, match="expected uint8 images .*got float64"):
        Arrays(images / 1.0, labels)
    with pytest.raises(ValueError, match=r"got uint8 \(3, 2, 2\)"):
        Arrays(images[..., 0], labels)
    with pytest.raises(ValueError, match=r"expected int64 labels \(3,\)"):
        Arrays(images, labels[:2])
    with pytest.raises(ValueError, match="got uint8"):
        Arrays(images, labels.astype(np.uint8))


def test_statistics_that_are_not_given_are_measured():
    images = np.random.default_rng(0).integers(0, 256, (50, 6, 5, 3)).astype(np.uint8)
    images[..., 2] //= 4
    part = Arrays(images, np.zeros(50, np.int64))
    mean, std = Splits("three", part, part, ["a"], "", "").statistics()
    np.testing.assert_allclose(mean, (images / 255).mean((0, 1, 2)), rtol=1e-12)
    np.testing.assert_allclose(std, (images / 255).std((0, 1, 2)), rtol=1e-12)


@pytest.mark.parametrize("channels", [1, 3])
def test_preprocessing_pads_with_black_and_then_normalises(channels):
    images = np.random.default_rng(0).integers(0, 256, (4, 5, 6, channels)).astype(np.uint8)
    before = images.copy()
    mean, std = (0.1, 0.5, 0.9)[:channels], (0.3, 0.2, 0.1)[:channels]
    padding = ((1, 2), (3, 0))
    y = Preprocessing(mean, std, padding)(images)
    black = np.pad(images, ((0, 0), *padding, (0, 0)))
    # float32: two roundings of values up to 10, so 4 units of 1e-6 are far more than enough
    np.testing.assert_allclose(y, (black / 255 - mean) / std, atol=4e-6)
    assert y.dtype == np.float32 and y.flags.c_contiguous
    np.testing.assert_array_equal(images, before)


def test_images_are_padded_to_the_model_the_odd_row_below():
    assert Preprocessing.for_input(splits_of((28, 28, 1)), (32, 32, 1)).padding == ((2, 2), (2, 2))
    assert Preprocessing.for_input(splits_of((28, 28, 1)), (33, 28, 1)).padding == ((2, 3), (0, 0))
    preprocessing = Preprocessing.for_input(splits_of((28, 28, 1)), (32, 32, 1))
    assert preprocessing.mean == (0.1307,) and preprocessing.std == (0.3081,)
    assert preprocessing(np.zeros((1, 28, 28, 1), np.uint8)).shape == (1, 32, 32, 1)


@pytest.mark.parametrize("shape, resized", [
    ((24, 24), False), ((23, 32), True), ((32, 33), True), ((32, 32), False), ((33, 20), True)])
def test_images_larger_or_much_smaller_than_the_model_takes_are_resized_others_padded(shape, resized):
    preprocessing = Preprocessing.for_input(splits_of((*shape, 1)), (32, 32, 1))
    assert preprocessing.size == ((32, 32) if resized else None)
    assert preprocessing(np.zeros((2, *shape, 1), np.uint8)).shape == (2, 32, 32, 1)


def test_preprocessing_takes_what_augmentation_returns():
    images = np.random.default_rng(0).integers(0, 256, (4, 5, 6, 3)).astype(np.uint8)
    preprocessing = Preprocessing((0.1, 0.2, 0.3), (0.5, 0.6, 0.7), ((1, 1), (2, 2)))
    floats = images.astype(np.float32)
    np.testing.assert_array_equal(preprocessing(floats), preprocessing(images))
    np.testing.assert_array_equal(floats, images)  # not written into


def test_images_that_do_not_fit_the_model_are_refused():
    with pytest.raises(ValueError, match=r"expects 32x32x3 images, got 28x28x1; .*input_shape=\(32, 32, 1\)"):
        Preprocessing.for_input(splits_of((28, 28, 1)), (32, 32, 3))
    with pytest.raises(ValueError, match="expected uint8 images .*got float64"):
        Preprocessing((0,), (1,))(np.zeros((1, 2, 2, 1)))
    with pytest.raises(ValueError, match="channels come last"):
        Preprocessing((0,), (1,))(np.zeros((1, 1, 2, 2), np.uint8))


def test_preprocessing_survives_json():
    preprocessing = Preprocessing((0.1, 0.2, 0.3), (0.5, 0.5, 1), ((1, 2), (0, 3)), (20, 30))
    assert Preprocessing.from_dict(json.loads(json.dumps(preprocessing.to_dict()))) == preprocessing


    published = Preprocessing((0.5,), (0.5,), size=(20, 30), resize=40, interpolation="bicubic")
    assert Preprocessing.from_dict(json.loads(json.dumps(published.to_dict()))) == published != preprocessing


def test_preprocessing_of_a_checkpoint_from_before_there_was_a_size_or_a_resize_is_read():
    assert Preprocessing.from_dict(GOOD) == Preprocessing((0.5,), (0.5,), size=None)
    assert Preprocessing.from_dict({**GOOD, "size": [4, 5]}).centre is None


GOOD = {"mean": [0.5], "std": [0.5], "padding": [[0, 0], [0, 0]]}


@pytest.mark.parametrize("values", [
    [], {}, {**GOOD, "more": 1}, {**GOOD, "std": [0]}, {**GOOD, "std": [-1]},
    {**GOOD, "mean": [float("nan")]}, {**GOOD, "mean": []}, {**GOOD, "mean": [0.5, 0.5]},
    {**GOOD, "mean": 0.5}, {**GOOD, "mean": ["a"]},
    {**GOOD, "padding": [[0, -1], [0, 0]]}, {**GOOD, "padding": [[0, 1.5], [0, 0]]}, {**GOOD, "padding": 2},
    {**GOOD, "padding": [[0, 0]]}, {**GOOD, "padding": [0, 0]},
    {**GOOD, "resize": 40}, {**GOOD, "size": [32, 32], "resize": 0}, {**GOOD, "size": [32, 32], "resize": 40.0},
    {**GOOD, "size": [32, 32], "resize": [40, 40]}, {**GOOD, "size": [32, 32], "interpolation": "bicubic"},
    {**GOOD, "size": [32, 32], "resize": 40, "interpolation": "lanczos"},
    {**GOOD, "size": [32, 32], "resize": 40, "interpolation": None},
    {**GOOD, "size": 32}, {**GOOD, "size": [32]}, {**GOOD, "size": [32, 0]}, {**GOOD, "size": [32, 1.5]},
], ids=str)
def test_preprocessing_that_cannot_be_meant_is_refused(values):
    with pytest.raises(ValueError, match="Preprocessing: expected|could not convert"):
        Preprocessing.from_dict(values)
