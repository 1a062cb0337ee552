"""Batches resized as Pillow resizes one image."""

import numpy as np
import pytest
from PIL import Image

from scratchnet.data.images import to_pixels
from scratchnet.data.preprocessing import Preprocessing
from scratchnet.data.resize import cover, resize, weights

SIZES = [((28, 28), (224, 224)), ((64, 48), (32, 32)), ((33, 97), (40, 20)), ((200, 301), (31, 64)), ((5, 7), (5, 9)),
         ((1, 1), (3, 2)), ((20, 30), (20, 20))]


@pytest.mark.parametrize("old, new", SIZES, ids=str)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_batch_becomes_what_pillow_makes_of_each_image(old, new, channels):
    images = np.random.default_rng(0).integers(0, 256, (2, *old, channels)).astype(np.uint8)
    got = resize(images, new)
    assert got.shape == (2, *new, channels) and got.dtype == np.float32 and got.flags.c_contiguous
    for image, result in zip(images, got):
        expected = to_pixels(Image.fromarray(image.squeeze(-1) if channels == 1 else image), new, channels)
        # Pillow rounds to integers after the columns and after the rows: half a unit each
        np.testing.assert_allclose(result, expected, atol=1.01)
    y = Preprocessing((0,) * channels, (1,) * channels, size=new)(images)
    np.testing.assert_allclose(y, got / 255, rtol=3e-7, atol=1e-7)  # two float32 roundings


def test_the_largest_box_in_the_middle_is_kept():
    assert cover(100, 200, (10, 10)) == (50, 0, 150, 100)
    assert cover(200, 100, (10, 20)) == (0, 75, 100, 125)
    assert cover(30, 40, (3, 4)) == (0, 0, 40, 30)


def test_a_plain_image_stays_plain_and_a_ramp_stays_a_ramp():
    np.testing.assert_allclose(resize(np.full((1, 50, 40, 3), 200, np.uint8), (8, 8)), 200, rtol=1e-6)
    ramp = np.tile(np.arange(64, dtype=np.float32)[:, np.newaxis], (1, 1, 64, 1)).reshape(1, 64, 64, 1)
    got = resize(ramp, (16, 16))[0, :, 0, 0] if ramp[0, 1, 0, 0] else resize(ramp, (16, 16))[0, 0, :, 0]
    np.testing.assert_allclose(got[1:-1], np.arange(16)[1:-1] * 4 + 1.5, rtol=1e-5)  # not at the ends


def test_weights_handed_out_cannot_be_changed():
    with pytest.raises(ValueError, match="read-only"):
        weights(10, 0, 10, 5)[0, 0] = 1
