"""mnist_style: MNIST's own digits, put on all kinds of pages, come back as they were."""

import numpy as np
import pytest
from PIL import Image, ImageFilter

from scratchnet import data
from scratchnet.data.digits import mnist_style

TIMES = 7       # the digits on pages are that much larger than MNIST's


@pytest.fixture(scope="module")
def originals():
    """One digit of each class, (10, 28, 28, 1)."""
    digits = data.load("mnist-sample").test
    return np.stack([digits.images[digits.labels == digit][3] for digit in range(10)])


def on_page(original, height=360, width=480, top=90, left=200):
    """float (H, W), 1 where there is ink: the digit enlarged, smooth, somewhere on the page."""
    large = Image.fromarray(original[..., 0]).resize((28 * TIMES, 28 * TIMES), Image.Resampling.BICUBIC)
    ink = np.zeros((height, width))
    ink[top:top + 28 * TIMES, left:left + 28 * TIMES] = np.asarray(large) / 255
    return ink


def pixels(values):
    """(H, W) or (H, W, C) of any range -> uint8 (H, W, C)."""
    values = np.clip(np.round(values), 0, 255).astype(np.uint8)
    return values if values.ndim == 3 else values[..., np.newaxis]


def light(shape, least):
    """Light that comes from one corner, 1 there, and `least` in the opposite one."""
    y, x = (np.linspace(0, 1, size) for size in shape)
    return least + (1 - least) * np.add.outer(y, x) / 2


def with_colour(ink, paper, pen):
    return pixels(np.array(paper) * (1 - ink[..., np.newaxis]) + np.array(pen) * ink[..., np.newaxis])


def with_alpha(ink, grey, hidden=0):
    """The drawing in the alpha channel alone; `hidden` is the colour where nothing shows."""
    colour = np.where(ink > 0, grey, hidden)[..., np.newaxis].repeat(3, axis=-1)
    return pixels(np.concatenate([colour, 255 * ink[..., np.newaxis]], axis=-1))


def with_specks(ink):
    page = 230 - 200 * ink
    for row, column in ((20, 30), (340, 100), (50, 440), (300, 460), (8, 200)):
        page[row:row + 6, column:column + 6] = 20
    return pixels(page)


def with_table_at_the_edge(ink):
    page = 230 - 200 * ink
    page[:, :25], page[-15:] = 40, 60
    return pixels(page)


def as_a_sheet_on_a_table(ink):
    table = np.full((ink.shape[0] + 150, ink.shape[1] + 200), 50.0)
    table[60:60 + ink.shape[0], 120:120 + ink.shape[1]] = (220 - 180 * ink) * light(ink.shape, 0.7)
    return pixels(table)


def blurred_and_noisy(ink):
    page = Image.fromarray(pixels(210 - 150 * ink)[..., 0]).filter(ImageFilter.GaussianBlur(2))
    return pixels(np.asarray(page) + np.random.default_rng(0).normal(0, 8, ink.shape))


PAGES = {
    "dark on light": lambda ink: pixels(255 - 255 * ink),
    "light on dark": lambda ink: pixels(20 + 220 * ink),
    "faint": lambda ink: pixels(200 - 40 * ink),
    "blue ink on yellow paper": lambda ink: with_colour(ink, (250, 240, 170), (30, 40, 160)),
    "chalk on green": lambda ink: with_colour(ink, (30, 70, 50), (230, 235, 220)),
    "grey and alpha": lambda ink: pixels(np.stack([0 * ink, 255 * ink], axis=-1)),
    "black, transparent black around it": lambda ink: with_alpha(ink, 0),
    "black, transparent white around it": lambda ink: with_alpha(ink, 0, 255),
    "white, transparent black around it": lambda ink: with_alpha(ink, 255),
    "white, transparent white around it": lambda ink: with_alpha(ink, 255, 255),
    "opaque, with an alpha channel": lambda ink: pixels(np.stack([255 - 255 * ink] * 3 + [0 * ink + 255], axis=-1)),
    "lit from one corner": lambda ink: pixels(240 * light(ink.shape, 0.4) * (1 - 0.7 * ink)),
    "light on dark, lit from one corner": lambda ink: pixels((60 + 150 * ink) * light(ink.shape, 0.4)),
    "blurred and noisy": blurred_and_noisy,
    "specks": with_specks,
    "a table at the edge": with_table_at_the_edge,
    "a sheet on a table": as_a_sheet_on_a_table,
}


def likeness(image, original):
    """The correlation of the pixels, for the best of the shifts by at most one: rounding decides that one."""
    return max(np.corrcoef(np.roll(image, (down, right), (0, 1)).ravel(), original.ravel())[0, 1]
               for down in (-1, 0, 1) for right in (-1, 0, 1))


@pytest.mark.parametrize("page", PAGES)
def test_a_digit_on_a_page_becomes_what_it_was(page, originals):
    found = [likeness(mnist_style(PAGES[page](on_page(original))), original) for original in originals[::2]]
    # A pixel's shift by half of one leaves 0.9 of the likeness of strokes three pixels wide.
    assert min(found) > 0.85 and np.mean(found) > 0.93, np.round(found, 2)


@pytest.mark.parametrize("top, left", [(0, 0), (0, 280), (160, 0), (164, 284), (82, 142)])
def test_it_does_not_matter_where_the_digit_is(top, left, originals):
    for original in originals[::3]:
        assert likeness(mnist_style(pixels(220 - 180 * on_page(original, top=top, left=left))), original) > 0.85


@pytest.mark.parametrize("paper", [0, 255])
def test_a_digit_cut_out_without_a_margin_is_read_as_well(paper, originals):
    """A third to a half of it is ink."""
    for original in originals:
        large = on_page(original, 28 * TIMES, 28 * TIMES, 0, 0)
        rows, columns = (np.flatnonzero((large > 0.05).any(axis=axis)) for axis in (1, 0))
        cut = large[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
        assert likeness(mnist_style(pixels(np.abs(paper - 255 * cut))), original) > 0.85


def test_mnists_own_images_stay_as_they_are():
    images = data.load("mnist-sample").test.images[:100]
    again = np.stack([mnist_style(image) for image in images]).astype(int)
    differences = np.abs(again - images).mean(axis=(1, 2, 3))
    # Those that differ by more are one pixel beside, where MNIST rounded the other way, or had dirt in them.
    assert (differences < 1).mean() > 0.9
    assert np.quantile([likeness(a, b) for a, b in zip(again, images)], 0.03) > 0.99


def test_a_digit_fits_20_by_20_its_mass_is_in_the_middle_and_its_ink_is_255(originals):
    for original in originals:
        image = mnist_style(pixels(180 - 90 * on_page(original)))
        assert image.shape == (28, 28, 1) and image.dtype == np.uint8 and image.max() == 255 and image.min() == 0
        ink = image[..., 0].astype(float)
        rows, columns = (np.flatnonzero(ink.any(axis=axis)) for axis in (1, 0))
        assert max(np.ptp(rows), np.ptp(columns)) + 1 == 20
        for axis in (0, 1):
            assert abs(ink.sum(axis=1 - axis) @ np.arange(28) / ink.sum() - 14) <= 0.5


def test_proportions_are_kept_and_a_fine_pen_is_made_as_wide_as_mnists():
    page = np.full((300, 300, 1), 255, np.uint8)
    page[60:240, 149:151] = 0                               # 180 high, 2 wide: a fifth of a pixel in MNIST's size
    ink = mnist_style(page)[..., 0]
    assert np.ptp(np.flatnonzero(ink.any(axis=1))) + 1 == 20
    widths = ink[8:20].astype(float).sum(axis=1) / 255
    assert (1.8 < widths).all() and (widths < 3.2).all()
    page[60:240, 60:240] = 0
    page[62:238, 62:238] = 255                              # an outline, as wide as that line
    assert (mnist_style(page)[14, 4:14].astype(float).sum() / 255) > 1.3
    page = np.full((300, 300, 1), 255, np.uint8)
    page[60:240, 120:180] = 0                               # three times as high as wide
    ink = mnist_style(page)[..., 0] > 127
    assert np.ptp(np.flatnonzero(ink.any(axis=1))) + 1 == 20 and np.ptp(np.flatnonzero(ink.any(axis=0))) + 1 in (6, 7)


def test_a_digit_in_two_pieces_keeps_both():
    page = np.full((200, 200, 1), 240, np.uint8)
    page[40:160, 60:75], page[40:100, 120:135] = 20, 20
    ink = mnist_style(page)[..., 0] > 127
    columns = np.flatnonzero(ink.any(axis=0))
    assert len(columns) < np.ptp(columns) + 1               # paper between them


def even(height, width, channels, value):
    return np.full((height, width, channels), value, np.uint8)


SHADED = pixels(200 * light((240, 320), 0.4))
BLANK = {
    "white": even(100, 80, 3, 255), "black": even(28, 28, 1, 0), "nearly black": even(28, 28, 1, 1),
    "one pixel": even(1, 1, 1, 128),
    "transparent": even(40, 40, 4, 0), "one row": even(1, 50, 3, 90), "unevenly lit": SHADED,
    "noise": pixels(np.random.default_rng(0).normal(128, 10, (200, 200, 3))),
    "noise, unevenly lit": pixels(SHADED + np.random.default_rng(0).normal(0, 4, SHADED.shape)),
}


@pytest.mark.parametrize("kind", BLANK)
def test_a_page_without_a_digit_is_refused(kind):
    with pytest.raises(ValueError, match="expected a digit that stands out from its background, got an even image"):
        mnist_style(BLANK[kind])


def test_whatever_the_pixels_are_the_answer_is_an_image_or_a_value_error():
    rng = np.random.default_rng(0)
    answers = 0
    for _ in range(80):
        height, width = rng.integers(1, [60, 90] if rng.random() < 0.5 else [5, 400])
        image = rng.integers(0, 256, (height, width, rng.integers(1, 5)))
        image = np.where(rng.random((height, width, 1)) < rng.choice([0.02, 0.3, 1]), image, rng.integers(256))
        before = image = image.astype(np.uint8)
        try:
            digit = mnist_style(image)
        except ValueError as error:
            assert "stands out" in str(error)
            continue
        answers += 1
        assert digit.shape == (28, 28, 1) and digit.dtype == np.uint8 and digit.max() == 255
        np.testing.assert_array_equal(image, before)
    assert answers > 15
