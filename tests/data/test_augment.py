"""Augmentation as a whole: what a text means, and that every draw belongs to its sample alone."""

import numpy as np
import pytest

from scratchnet.data import augment, warp
from scratchnet.data.draws import Draws

IMAGES = {channels: np.random.default_rng(channels).integers(0, 256, (40, 12, 10, channels)).astype(np.uint8)
          for channels in (1, 3)}
LABELS = np.arange(40) % 5
SAMPLES = np.arange(40) * 7
ALONE = [name for name in augment.NAMES if name != "mixup"] + ["crop,flip,affine,elastic,color,cutout"]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("text", ALONE)
def test_a_sample_is_changed_in_the_same_way_in_every_batch(text, channels):
    images = IMAGES[channels]
    whole, _ = augment.parse(text, 5, 0, 3)(images, LABELS, SAMPLES, 2)
    order = np.random.default_rng(1).permutation(40)
    for size in (1, 3, 16):
        for first in range(0, 40, size):
            chosen = order[first:first + size]
            part, _ = augment.parse(text, 5, 0, 3)(images[chosen], LABELS[chosen], SAMPLES[chosen], 2)
            np.testing.assert_array_equal(part, whole[chosen])


@pytest.mark.parametrize("text", [*augment.NAMES])
def test_another_epoch_seed_or_sample_is_another_draw(text):
    images = np.repeat(IMAGES[3][:1], 40, axis=0)       # forty times the same one
    labels = np.zeros(40, np.int64)

    def draw(seed=3, epoch=2, samples=SAMPLES, text=text):
        changed, rows = augment.parse(text, 5, 0, seed)(images, labels, samples, epoch)
        return np.concatenate([changed.reshape(40, -1), rows.reshape(40, -1)], axis=1)
    if text == "mixup":                                 # a blend with itself would be no change at all
        images, labels = np.concatenate([images[:20], 255 - images[:20]])[np.arange(40) * 20 % 39], np.arange(40) % 2
    first = draw()
    assert len(np.unique(first, axis=0)) > 1
    for other in (draw(seed=4), draw(seed=3 + 2 ** 32), draw(epoch=3), draw(samples=SAMPLES + 1)):
        assert not np.array_equal(first, other)
    np.testing.assert_array_equal(first, draw())


@pytest.mark.parametrize("name", ["affine", "elastic", "resized-crop"])
def test_how_many_pixels_are_read_together_changes_nothing(name, monkeypatch):
    whole, _ = augment.parse(name, 5, 0, 3)(IMAGES[3], LABELS, SAMPLES, 2)
    monkeypatch.setattr(warp, "AT_ONCE", 300)           # two images and a half
    part, _ = augment.parse(name, 5, 0, 3)(IMAGES[3], LABELS, SAMPLES, 2)
    np.testing.assert_array_equal(part, whole)


def test_a_transform_draws_by_its_place():
    """Two flips that drew alike would undo each other."""
    twice = augment.Augmentation("", [augment.RandomHorizontalFlip(), augment.RandomHorizontalFlip()])
    changed, _ = twice(IMAGES[3], LABELS, SAMPLES, 0)
    flipped = [not np.array_equal(a, b) for a, b in zip(changed, IMAGES[3])]
    assert 8 < sum(flipped) < 32


def test_two_transforms_of_one_text_draw_differently():
    draws = [Draws(0, 0, SAMPLES, place).uniform(1) for place in (0, 1)]
    assert abs(np.corrcoef(draws[0][0], draws[1][0])[0, 1]) < 0.5


def test_the_draws_are_pinned():
    """Never to change: a run would not resume to the same bits. Computed by the paper's recurrence, below."""
    drawn = Draws(2 ** 33 + 5, 3, np.array([0, 2 ** 32 - 1]), 2).uniform(5, -1, 1)
    np.testing.assert_array_equal(drawn, Draws(2 ** 33 + 5, 3, [0, 2 ** 32 - 1], 2).uniform(8, -1, 1)[:5])
    np.testing.assert_array_equal(drawn[4:], Draws(2 ** 33 + 5, 3, [0, 2 ** 32 - 1], 2).uniform(1, -1, 1, start=4))
    np.testing.assert_allclose(drawn, PINNED, rtol=0, atol=1e-12)


def philox(counter, key):
    """Salmon et al. 2011, sec. 3.3, for one block, in Python's own integers."""
    c, k = list(counter), list(key)
    for _ in range(10):
        a, b = c[0] * 0xD2511F53, c[2] * 0xCD9E8D57
        c = [b >> 32 ^ c[1] ^ k[0], b % 2 ** 32, a >> 32 ^ c[3] ^ k[1], a % 2 ** 32]
        k = [(k[0] + 0x9E3779B9) % 2 ** 32, (k[1] + 0xBB67AE85) % 2 ** 32]
    return c


PINNED = [[2 * (word + 0.5) / 2 ** 32 - 1 for word in words] for words in zip(*(
    (philox((sample, 0, 3, 2), (5 ^ 0x61756763, 2)) + philox((sample, 1, 3, 2), (5 ^ 0x61756763, 2)))[:5]
    for sample in (0, 2 ** 32 - 1)))]


def test_draws_are_even():
    drawn = Draws(1, 1, np.arange(5000), 0).uniform(8, 10, 12)
    assert 10 < drawn.min() < 10.01 and 11.99 < drawn.max() < 12
    np.testing.assert_allclose(drawn.mean(axis=1), 11, atol=4 * 2 / np.sqrt(12 * 5000))     # four standard errors
    assert abs(np.corrcoef(drawn) - np.eye(8)).max() < 4 / np.sqrt(5000)


def test_what_comes_back_is_new_float32_in_the_range_of_pixels():
    images = IMAGES[3].copy()
    for text in (*ALONE, "affine,cutout=3,mixup=0.4"):
        changed, _ = augment.parse(text, 5, (10, 20, 255), 0)(images, LABELS, SAMPLES, 0)
        assert changed.dtype == np.float32 and changed.min() >= 0
        assert changed.max() <= 255 * (1 + 1e-6)        # three float32 roundings of a blend of 255 and 255
        assert not np.shares_memory(changed, images)
    np.testing.assert_array_equal(images, IMAGES[3])


def test_labels_stay_as_they_are_without_mixup():
    _, labels = augment.parse("affine,flip", 5, 0, 0)(IMAGES[1], LABELS, SAMPLES, 0)
    np.testing.assert_array_equal(labels, LABELS)
    assert labels.dtype == np.int64


def test_a_text_says_what_is_done_and_how_strongly():
    made = augment.parse("crop=2, flip ,affine=5,mixup=0.4,cutout=3", classes=5, fill=7, seed=9)
    assert [type(transform).__name__ for transform in made.transforms] == \
        ["RandomCrop", "RandomHorizontalFlip", "RandomAffine", "Cutout"]
    crop, flip, affine, cutout = made.transforms
    assert (crop.padding, crop.fill, flip.probability, affine.degrees, affine.fill, cutout.side, cutout.fill) == \
        (2, 7, 0.5, 5, 7, 3, 7)
    assert (made.mixup.alpha, made.mixup.classes, made.seed) == (0.4, 5, 9)
    assert repr(made) == "crop=2, flip ,affine=5,mixup=0.4,cutout=3"


def test_every_name_can_be_asked_for_alone_and_is_described():
    for name, words in augment.NAMES.items():
        assert words and "{" not in words
        augment.parse(name, 5, 0, 0)(IMAGES[1], LABELS, SAMPLES, 0)


def test_only_a_resized_crop_wants_larger_images_and_gives_back_the_size_of_the_input():
    assert augment.parse("affine,crop", 5).source_scale == 1
    made = augment.parse("flip,resized-crop", 5)
    for side in (5, 28, 32, 96, 224, 299):
        stored = round(side * made.source_scale)
        changed, _ = made(np.zeros((1, stored, stored, 1), np.uint8), np.zeros(1, np.int64), [0], 0)
        assert changed.shape == (1, side, side, 1)


REFUSED = {
    "colour": "unknown 'colour' in 'colour'; did you mean color",
    "affine,cutuot=3": "did you mean cutout",
    "": "unknown ''",
    "flip,,crop": "unknown ''",
    "flip=1.5": "a number from 0 to 1 for flip, got '1.5'; flip=0.5 is usual",
    "crop=0": "a whole number from 1 to 1024 for crop, got '0'",
    "crop=2.5": "a whole number from 1 to 1024 for crop, got '2.5'",
    "mixup=0": "a number from 0.01 to 2 for mixup, got '0'",
    "affine=nan": "a number from 0 to 180 for affine, got 'nan'",
    "cutout=": "a whole number from 1 to 1024 for cutout, got ''",
    "flip,crop,flip=0.1": "flip twice",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_text_that_means_nothing_is_refused_with_what_would(text):
    with pytest.raises(ValueError, match="^augment: .*" + REFUSED[text]):
        augment.parse(text, 5)
