"""The centre of a resized image, to the pixel: torchvision's Resize(int) and CenterCrop, written with Pillow."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps

from scratchnet.data import Arrays, Batches, DataError, ImageFiles, Preprocessing, augment
from scratchnet.data.image_files import Files
from scratchnet.data.images import read_pixels, to_pixels
from scratchnet.data.resize import Centre

FILTERS = {"bilinear": Image.BILINEAR, "bicubic": Image.BICUBIC}
SIZES = {"landscape": (500, 375), "portrait": (211, 380), "square": (256, 256), "odd": (317, 233), "small": (30, 41),
         "short": (300, 20), "one row": (60, 1)}        # (W, H)
CENTRES = {"usual": (256, (224, 224)), "odd": (67, (50, 61)), "larger than the image": (40, (63, 64)),
           "wider than the image": (40, (31, 90)), "whole": (64, (64, 64))}


def published(image, resize, size, interpolation):
    """Resize(resize) and CenterCrop(size) as torchvision's documentation has them."""
    width, height = image.size
    if width <= height:
        width, height = resize, int(resize * height / width)
    else:
        width, height = int(resize * width / height), resize
    image = image.resize((width, height), FILTERS[interpolation])
    high, wide = size
    if wide > width or high > height:
        left, top = max((wide - width) // 2, 0), max((high - height) // 2, 0)
        right, bottom = max((wide - width + 1) // 2, 0), max((high - height + 1) // 2, 0)
        image = ImageOps.expand(image, (left, top, right, bottom), fill=0)
    top, left = int(round((image.height - high) / 2.0)), int(round((image.width - wide) / 2.0))
    return np.asarray(image)[top:top + high, left:left + wide]


def picture(size, mode="RGB", seed=0):
    shape = (size[1], size[0], 3) if mode == "RGB" else size[::-1]
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8))


@pytest.mark.parametrize("interpolation", FILTERS)
@pytest.mark.parametrize("mode", ["L", "RGB"])
@pytest.mark.parametrize("shape", SIZES)
@pytest.mark.parametrize("centre", CENTRES)
def test_files_and_arrays_become_to_the_pixel_what_published_networks_were_given(centre, shape, mode, interpolation):
    (resize, size), image = CENTRES[centre], picture(SIZES[shape], mode)
    channels = len(image.getbands())
    expected = published(image, resize, size, interpolation).reshape(*size, channels)
    file = io.BytesIO()
    image.save(file, "PNG")
    made = read_pixels(file.getvalue(), "a.png", size, channels, Centre(resize, interpolation))
    np.testing.assert_array_equal(made, expected, strict=True)
    preprocessing = Preprocessing((0.2,) * channels, (0.3,) * channels, size=size, resize=resize,
                                  interpolation=interpolation)
    pixels = np.asarray(image).reshape(1, *image.size[::-1], channels)
    if pixels.shape[1:3] != size:
        # two float32 roundings of numbers up to 3
        np.testing.assert_allclose(preprocessing(pixels)[0], (expected / 255 - 0.2) / 0.3, atol=1e-6)
        np.testing.assert_array_equal(preprocessing(pixels + np.float32(0.3)), preprocessing(pixels))
    np.testing.assert_array_equal(preprocessing(made[np.newaxis]), Preprocessing(
        preprocessing.mean, preprocessing.std)(expected[np.newaxis]))       # what has the size already stays


def test_a_jpeg_is_decoded_in_full_as_it_was_for_published_networks():
    file = io.BytesIO()
    picture((1200, 900)).resize((120, 90)).resize((1200, 900)).save(file, "JPEG", quality=95)
    image = Image.open(file)
    centre = Centre(72, "bilinear")
    made = read_pixels(file.getvalue(), "a.jpg", (64, 64), 3, centre)
    np.testing.assert_array_equal(made, published(image, 72, (64, 64), "bilinear"))
    smaller = read_pixels(file.getvalue(), "a.jpg", (64, 64))           # covering: decoded at a half or less
    assert (smaller != to_pixels(Image.open(file), (64, 64))).any()


def test_values_between_those_of_8_bits_are_rounded_and_those_outside_cut():
    preprocessing = Preprocessing((0,), (1 / 255,), size=(2, 2), resize=2)
    made = preprocessing(np.full((1, 3, 3, 1), 77.6, np.float32))
    np.testing.assert_allclose(made, 78, rtol=1e-6)
    np.testing.assert_allclose(preprocessing(np.full((1, 3, 3, 1), -9, np.float32)), 0)
    np.testing.assert_allclose(preprocessing(np.full((1, 3, 3, 1), 300, np.float32)), 255, rtol=1e-6)


def test_a_line_of_pixels_that_would_fit_into_no_memory_is_refused_with_its_name():
    file = io.BytesIO()
    Image.new("L", (20_000, 2)).save(file, "PNG")
    with pytest.raises(DataError, match=r"^line\.png: expected an image at most 100 times as long as wide, got 20000"):
        read_pixels(file.getvalue(), "line.png", (224, 224), 1, Centre(256, "bilinear"))


class Source:
    def __init__(self, content):
        self.content = content

    def read(self, limit=None):
        return self.content


def test_image_files_are_kept_apart_by_how_they_were_made():
    made = []
    for seed in range(3):
        file = io.BytesIO()
        picture((50, 40), seed=seed).save(file, "PNG")
        made.append(Source(file.getvalue()))
    files = ImageFiles(Files(made, ["a", "b", "c"]), np.arange(3), 3)
    arrays = Arrays(files, np.arange(3))
    covering, cut = arrays.sized(20, 20), arrays.sized(20, 20, 3, Centre(30, "bicubic"))
    first, second = covering.images.take([0, 1, 2]), cut.images.take([0, 1, 2])
    assert (first != second).any(axis=(1, 2, 3)).all()
    np.testing.assert_array_equal(arrays.sized(20, 20).images.take([0, 1, 2]), first)
    assert len(files.files.kept) == 2 and cut.images.select([1]).kept is cut.images.kept
    for image, source in zip(cut.take([2, 0]).images.take([1, 0]), made[:1] + made[2:]):
        expected = published(Image.open(io.BytesIO(source.content)), 30, (20, 20), "bicubic")
        np.testing.assert_array_equal(image, expected)


def test_images_that_augmentation_has_cropped_cover_the_size_and_are_not_cut_again():
    x = np.random.default_rng(0).integers(0, 256, (4, 30, 40, 3)).astype(np.uint8)
    preprocessing = Preprocessing((0,) * 3, (1,) * 3, size=(16, 16), resize=24, interpolation="bicubic")
    crop = augment.parse("resized-crop=1", 2)
    batches = Batches(x, np.arange(4), 4, shuffle=False, preprocessing=preprocessing, augment=crop, workers=0)
    (served, _), = batches.epoch(0)
    cropped, _ = crop(x, np.arange(4), np.arange(4), 0)
    np.testing.assert_array_equal(served, Preprocessing((0,) * 3, (1,) * 3, size=(16, 16))(cropped))
    assert batches.image_shape == (16, 16, 3)
