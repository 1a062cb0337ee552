"""Each augmentation against what it means, computed in another way."""

import numpy as np
import pytest

from scratchnet.data.augment import (ColorJitter, Cutout, Elastic, Mixup, RandomAffine, RandomCrop,
                                     RandomHorizontalFlip, RandomResizedCrop)
from scratchnet.data.draws import Draws
from scratchnet.data.mixup import beta
from scratchnet.data.warp import bilinear, bilinear_filled, inverse_map

MANY = 4000


def draws(n, seed=0):
    return Draws(seed, 0, np.arange(n), 0)


def noise(n, height, width, channels):
    return np.random.default_rng(0).uniform(0, 255, (n, height, width, channels)).astype(np.float32)


def moved(images, fill=0, **how):
    """`images` through inverse_map with these settings, the same for all."""
    n, height, width, _ = images.shape
    settings = {"angle": 0, "shear": 0, "scale_y": 1, "scale_x": 1, "shift_y": 0, "shift_x": 0} | how
    matrix, offset = inverse_map(*(np.full(n, float(value)) for value in settings.values()), height, width)
    y, x = np.mgrid[:height, :width].astype(np.float32)
    places = [(matrix[axis, 0].reshape(n, 1, 1) * y + matrix[axis, 1].reshape(n, 1, 1) * x
               + offset[axis].reshape(n, 1, 1)).astype(np.float32) for axis in (0, 1)]
    return bilinear_filled(images, *places, fill)


def test_half_the_images_are_flipped_and_a_flip_reverses_the_columns():
    images = noise(MANY, 3, 4, 1)
    flipped = RandomHorizontalFlip()(images, draws(MANY))
    reversed_ = (flipped == images[:, :, ::-1]).all(axis=(1, 2, 3))
    np.testing.assert_array_equal(flipped[~reversed_], images[~reversed_])
    assert abs(reversed_.mean() - 0.5) < 4 * 0.5 / np.sqrt(MANY)            # four standard errors
    assert (RandomHorizontalFlip(1.0)(images, draws(MANY)) == images[:, :, ::-1]).all()
    assert (RandomHorizontalFlip(0.0)(images, draws(MANY)) == images).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_a_random_crop_is_one_of_the_windows_of_the_padded_image_and_all_of_them_occur(channels):
    images = noise(400, 4, 5, channels)
    fill = np.arange(channels) + 300
    padded = np.stack([np.pad(images[..., c], ((0, 0), (2, 2), (2, 2)), constant_values=fill[c])
                       for c in range(channels)], axis=-1)
    found = set()
    for crop, whole in zip(RandomCrop(2, fill)(images, draws(400)), padded):
        places = [(i, j) for i in range(5) for j in range(5) if (whole[i:i + 4, j:j + 5] == crop).all()]
        assert len(places) == 1
        found.update(places)
    assert len(found) == 25


def test_a_shift_by_whole_pixels_is_exact_and_what_comes_in_is_filled():
    images = noise(2, 7, 9, 3)
    expected = np.full_like(images, 50)
    expected[:, 2:, :-3] = images[:, :-2, 3:]               # down by 2, left by 3
    np.testing.assert_array_equal(moved(images, 50, shift_y=2, shift_x=-3), expected)
    np.testing.assert_array_equal(moved(images), images)


def test_a_shift_by_half_a_pixel_is_the_mean_of_two_neighbours():
    images = noise(1, 5, 6, 1)
    shifted = moved(images, shift_x=0.5)
    np.testing.assert_allclose(shifted[:, :, 1:], (images[:, :, 1:] + images[:, :, :-1]) / 2, rtol=1e-6)
    np.testing.assert_allclose(shifted[:, :, 0], images[:, :, 0] / 2, rtol=1e-6)        # half of it is fill


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_a_rotation_by_90_degrees_is_counter_clockwise(turns):
    images = noise(2, 8, 8, 3)
    np.testing.assert_allclose(moved(images, angle=90 * turns), np.rot90(images, turns, axes=(1, 2)), atol=1e-3)


def test_a_scale_of_two_shows_the_middle_half():
    images = noise(1, 9, 9, 1)
    np.testing.assert_allclose(moved(images, scale_y=2, scale_x=2)[:, ::2, ::2], images[:, 2:7, 2:7], rtol=1e-5)
    squeezed = moved(images, scale_y=2, scale_x=0.5)
    np.testing.assert_allclose(squeezed[:, ::2, 3:6], images[:, 2:7, 2:7:2], rtol=1e-5)


def test_a_positive_shear_moves_the_top_to_the_right():
    images = noise(1, 5, 7, 1)
    sheared = moved(images, shear=45)                       # a row that lies one higher moves one further
    for row in range(5):
        shift = 2 - row
        expected = np.zeros(7, np.float32)
        expected[max(0, shift):7 + min(0, shift)] = images[0, row, max(0, -shift):7 - max(0, shift), 0]
        np.testing.assert_allclose(sheared[0, row, :, 0], expected, atol=1e-3)


def test_affine_keeps_its_promises_about_strength():
    """The images are their own coordinates, so what comes out tells where each pixel was read."""
    n, size = 500, 21
    grid = np.stack(np.mgrid[:size, :size], axis=-1).astype(np.float32)
    transform = RandomAffine(degrees=20, translate=0.1, scale=0.2, shear=0, fill=np.nan)
    read = transform(np.repeat(grid[np.newaxis], n, axis=0), draws(n)).astype(np.float64)
    centre = read[:, 10, 10]
    down, right = read[:, 12, 10] - centre, read[:, 10, 12] - centre        # two pixels away from it, (n, 2)
    angle, scale_y = np.degrees(np.arctan2(right[:, 0], down[:, 0])), 2 / np.hypot(down[:, 0], right[:, 0])
    scale_x = 2 / np.hypot(down[:, 1], right[:, 1])
    assert -20 < angle.min() < -19 and 19 < angle.max() < 20
    for scale in (scale_y, scale_x):
        assert 0.79 < scale.min() < 0.82 and 1.18 < scale.max() < 1.21
    assert abs(np.corrcoef(scale_y, scale_x)[0, 1]) < 0.2                   # each axis on its own: squeezed, too


def test_affine_shifts_by_a_share_of_each_side():
    n, height, width = 500, 20, 40
    grid = np.repeat(np.stack(np.mgrid[:height, :width], axis=-1)[np.newaxis], n, axis=0).astype(np.float32)
    read = RandomAffine(degrees=0, translate=0.1, scale=0)(grid, draws(n))
    shift = (read - grid)[:, height // 2, width // 2]
    for axis, most in ((0, 2), (1, 4)):
        assert -most < shift[:, axis].min() < -0.97 * most and 0.97 * most < shift[:, axis].max() < most


def test_an_elastic_distortion_is_as_strong_as_it_says_smooth_and_different_for_each_image():
    n, height, width = 60, 30, 40
    grid = np.repeat(np.stack(np.mgrid[:height, :width], axis=-1)[np.newaxis], n, axis=0).astype(np.float32)
    inside = slice(6, -6)
    away = (Elastic(0.03)(grid, draws(n)) - grid)[:, inside, inside].astype(np.float64)
    strength = np.sqrt((away ** 2).mean(axis=(0, 1, 2)))
    np.testing.assert_allclose(strength, [0.03 * height, 0.03 * width], rtol=0.1)
    steps = np.abs(np.diff(away, axis=1)).max(), np.abs(np.diff(away, axis=2)).max()
    assert max(steps) < 1.2                                 # no pixel far from its neighbour's
    alike = np.corrcoef(away[..., 0].reshape(n, -1))[np.triu_indices(n, 1)]      # 0.4 each, for so few nodes
    assert abs(alike.mean()) < 4 * 0.4 / np.sqrt(len(alike)) and alike.max() < 0.99
    np.testing.assert_array_equal(Elastic(0.0)(grid, draws(n)), grid)


def test_bilinear_reads_as_the_formula_says_and_stays_inside():
    images = noise(3, 6, 5, 2).astype(np.float64)
    rng = np.random.default_rng(1)
    y, x = rng.uniform(-2, 8, (3, 4, 7)).astype(np.float32), rng.uniform(-2, 7, (3, 4, 7)).astype(np.float32)
    read = bilinear(images.astype(np.float32), y, x)
    for n, i, j in np.ndindex(3, 4, 7):
        row, column = min(max(float(y[n, i, j]), 0), 5), min(max(float(x[n, i, j]), 0), 4)
        expected = sum(images[n, r, c] * max(0, 1 - abs(row - r)) * max(0, 1 - abs(column - c))
                       for r in range(6) for c in range(5))
        np.testing.assert_allclose(read[n, i, j], expected, rtol=1e-5, atol=1e-4)


def test_images_of_one_row_or_pixel_can_be_warped():
    for shape in ((2, 1, 1, 1), (2, 1, 4, 3), (2, 5, 1, 1)):
        flat = np.full(shape, 9, np.float32)
        for transform in (RandomAffine(fill=9.0), Elastic(fill=9.0), RandomResizedCrop()):
            np.testing.assert_allclose(transform(flat, draws(2)), 9, rtol=1e-6)


def test_a_resized_crop_shows_a_part_of_the_promised_area_and_shape():
    n, size = 600, 32
    grid = np.repeat(np.stack(np.mgrid[:size, :size], axis=-1)[np.newaxis], n, axis=0).astype(np.float32)
    read = RandomResizedCrop(0.25)(grid, draws(n)).astype(np.float64)
    assert read.shape == (n, 28, 28, 2)
    step_y, step_x = (np.median(np.diff(read[..., axis], axis=axis + 1), axis=(1, 2)) for axis in (0, 1))
    area, aspect = step_y * step_x * 28 * 28 / size ** 2, step_x / step_y
    assert 0.2499 < area.min() < 0.27 and 0.95 < area.max() < 1.0001
    assert 0.58 < area.mean() < 0.64                        # 0.625, less where a side would have been too long
    assert 0.7499 < aspect.min() < 0.77 and 1.3 < aspect.max() < 1.3334
    assert read.min() == 0 and read.max() == 31             # every edge of the image is seen by somebody
    inner = read[area < 0.8]
    assert (np.diff(inner[:, 1:-1, 0, 0], axis=1) > 0).all()    # nothing is read from outside


def test_the_whole_image_as_a_resized_crop_is_its_smaller_self():
    """A ramp stays one: pixel i of 28 has its centre at (i + 0.5)·32/28 - 0.5 of 32."""
    ramp = np.broadcast_to(np.arange(32, dtype=np.float32)[:, np.newaxis], (1, 32, 32))[..., np.newaxis]
    crop = RandomResizedCrop(1.0)
    read = crop(np.repeat(ramp, 50, axis=0), draws(50))
    squarest = np.argmin(np.abs(np.diff(read[:, :, 0, 0], axis=1)[:, 13] - 32 / 28))
    np.testing.assert_allclose(read[squarest, :, 0, 0], (np.arange(28) + 0.5) * 32 / 28 - 0.5, atol=0.05)


def test_colour_jitter_multiplies_what_it_says():
    """The factors, read off the result of images of which each shows one of them."""
    n = 2000
    grey = np.full((n, 2, 2, 1), 100, np.float32)
    factors = ColorJitter(0.4)(grey, draws(n))[:, 0, 0, 0] / 100        # an even image has no contrast
    assert 0.6 < factors.min() < 0.61 and 1.39 < factors.max() < 1.4
    two = np.concatenate([grey - 20, grey + 20], axis=2)
    changed = ColorJitter(0.4)(two, draws(n))[:, 0].astype(np.float64)
    np.testing.assert_allclose(changed.mean(axis=(1, 2)), 100 * factors, rtol=1e-5)
    contrast = (changed[:, -1, 0] - changed[:, 0, 0]) / (40 * factors)
    assert 0.6 < contrast.min() < 0.61 and 1.39 < contrast.max() < 1.4
    colour = np.broadcast_to(np.float32([90, 100, 110]), (n, 2, 2, 3))
    changed = ColorJitter(0.4)(colour, draws(n))[:, 0, 0].astype(np.float64)
    saturation = (changed[:, 2] - changed[:, 0]) / 20 / factors / contrast
    assert 0.6 < saturation.min() < 0.61 and 1.39 < saturation.max() < 1.4
    # Saturation keeps the grey.
    np.testing.assert_allclose(changed @ [0.299, 0.587, 0.114], 98.15 * factors, rtol=1e-4)


def test_cutout_fills_one_square_cut_at_the_edges_with_its_centre_anywhere():
    n, height, width, side = 1000, 9, 7, 4
    hidden = Cutout(side, (1, 2, 3))(np.zeros((n, height, width, 3), np.float32), draws(n))
    np.testing.assert_array_equal(hidden / [1, 2, 3], np.repeat(hidden[..., :1], 3, axis=-1))
    rows, columns = hidden[..., 0].any(axis=2), hidden[..., 0].any(axis=1)      # (n, H), (n, W)
    np.testing.assert_array_equal(hidden[..., 0], rows[:, :, np.newaxis] & columns[:, np.newaxis])
    for covered, size in ((rows, height), (columns, width)):
        # centre p covers p - 2 .. p + 1: of each of `size` centres, the runs that are left inside
        expected = {(max(0, p - 2), min(size, p + 2)) for p in range(size)}
        assert {(row.argmax(), row.argmax() + row.sum()) for row in covered} == expected


@pytest.mark.parametrize("alpha", [0.05, 0.2, 1.0, 2.0])
def test_the_shares_of_mixup_have_the_moments_of_a_beta_distribution(alpha):
    share = beta(alpha, draws(MANY))
    assert ((0 <= share) & (share <= 1)).all()
    # Beta(a, a): mean 1/2, variance 1/(4 (2a + 1)); the fourth central moment gives the variance's own error.
    variance = 1 / (4 * (2 * alpha + 1))
    assert abs(share.mean() - 0.5) < 4 * np.sqrt(variance / MANY)
    squares = (share - 0.5) ** 2
    assert abs(squares.mean() - variance) < 4 * squares.std() / np.sqrt(MANY)


def test_mixup_blends_images_and_labels_with_the_next_sample():
    images, labels = noise(4, 2, 2, 3), np.array([2, 0, 1, 2])
    share = beta(0.5, draws(4))
    mixed, rows = Mixup(0.5, classes=3)(images, labels, draws(4))
    assert mixed.dtype == rows.dtype == np.float32 and rows.shape == (4, 3)
    for i, partner in enumerate([1, 2, 3, 0]):
        expected = share[i] * np.eye(3)[labels[i]] + (1 - share[i]) * np.eye(3)[labels[partner]]
        np.testing.assert_allclose(rows[i], expected, atol=1e-6)
        np.testing.assert_allclose(mixed[i], share[i] * images[i] + (1 - share[i]) * images[partner], rtol=1e-5)
    np.testing.assert_allclose(rows.sum(axis=1), 1, rtol=1e-6)


def test_the_share_of_mixup_is_the_samples_own():
    alone = [beta(0.2, Draws(0, 0, [sample], 1))[0] for sample in range(30)]
    np.testing.assert_array_equal(beta(0.2, Draws(0, 0, np.arange(30), 1)), alone)
    assert len(set(alone)) == 30
