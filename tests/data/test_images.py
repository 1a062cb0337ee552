"""One image as pixels: whatever it was stored as, it looks as an image viewer shows it."""

import io
import struct
import zlib

import numpy as np
import pytest
from PIL import Image

from scratchnet.data import DataError
from scratchnet.data.images import open_image, read_header, read_pixels, to_pixels

RNG = np.random.default_rng(0)
SMOOTH = np.asarray(Image.fromarray(RNG.integers(0, 256, (6, 8, 3)).astype(np.uint8)).resize((64, 48)))  # (48, 64, 3)
RGB = Image.fromarray(SMOOTH)
GREY = RGB.convert("L")


def stored(image, kind="PNG", **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "GIF", "JPEG"])
def test_each_allowed_format_gives_its_pixels(kind):
    content = stored(RGB, kind, **({"lossless": True} if kind == "WEBP" else {}))
    got = read_pixels(content, "x")
    assert got.dtype == np.uint8 and got.shape == (48, 64, 3) and got.flags.c_contiguous and got.flags.writeable
    # a GIF has 256 colours and a JPEG loses some
    np.testing.assert_allclose(got, SMOOTH, atol={"GIF": 60, "JPEG": 60}.get(kind, 0))
    assert read_header(content, "x") == (48, 64, False)


def test_grey_and_colour_become_each_other():
    np.testing.assert_array_equal(read_pixels(stored(GREY), "x", channels=1)[..., 0], np.asarray(GREY))
    np.testing.assert_array_equal(read_pixels(stored(GREY), "x", channels=3), np.asarray(GREY)[..., np.newaxis]
                                  .repeat(3, 2))
    got = read_pixels(stored(RGB), "x", channels=1)
    # Rec. 601, rounded to integers
    np.testing.assert_allclose(got[..., 0], SMOOTH @ [0.299, 0.587, 0.114], atol=0.51)


def test_a_palette_is_looked_up_and_black_and_white_are_0_and_255():
    palette = Image.fromarray(np.array([[0, 1], [2, 1]], np.uint8), "L").convert("P")
    palette.putpalette([10, 20, 30, 200, 100, 0, 7, 8, 9])
    expected = [[[10, 20, 30], [200, 100, 0]], [[7, 8, 9], [200, 100, 0]]]
    np.testing.assert_array_equal(read_pixels(stored(palette), "x"), expected)
    assert not read_header(stored(palette), "x").grey
    palette.putpalette([1, 1, 1, 2, 2, 2, 3, 3, 3])
    assert read_header(stored(palette), "x").grey
    bits = Image.fromarray(np.array([[True, False]]))
    np.testing.assert_array_equal(read_pixels(stored(bits), "x", channels=1)[..., 0], [[255, 0]])


def test_what_is_transparent_is_white():
    pixels = np.array([[[255, 0, 0, 255], [0, 0, 0, 0], [0, 0, 255, 51]]], np.uint8)
    expected = [[[255, 0, 0], [255, 255, 255], [204, 204, 255]]]  # 51/255 is a fifth of it
    np.testing.assert_array_equal(read_pixels(stored(Image.fromarray(pixels)), "x"), expected)
    grey = Image.fromarray(np.array([[[0, 255], [0, 0], [0, 51]]], np.uint8), "LA")
    np.testing.assert_array_equal(read_pixels(stored(grey), "x", channels=1)[..., 0], [[0, 255, 204]])
    assert read_header(stored(grey), "x").grey
    palette = Image.fromarray(np.array([[0, 1]], np.uint8)).convert("P")
    palette.putpalette([10, 20, 30, 40, 50, 60])
    np.testing.assert_array_equal(read_pixels(stored(palette, transparency=1), "x"), [[[10, 20, 30], [255] * 3]])
    np.testing.assert_array_equal(read_pixels(stored(palette, "GIF", transparency=1), "x"),
                                  [[[10, 20, 30], [255] * 3]])


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_16_bits_are_scaled_and_not_cut(kind):
    values = np.array([[0, 256, 257 * 100, 257 * 100 + 128, 65535]], np.uint16)
    content = stored(Image.fromarray(values), kind)
    # v · 255/65535 = v/257, rounded
    np.testing.assert_array_equal(read_pixels(content, "x", channels=1)[..., 0], [[0, 1, 100, 100, 255]])
    assert read_header(content, "x").grey
    np.testing.assert_array_equal(to_pixels(Image.fromarray(values.astype(np.int32)), channels=1)[..., 0],
                                  [[0, 1, 100, 100, 255]])


@pytest.mark.parametrize("values", [np.array([[0.5]], np.float32), np.array([[-1]], np.int32),
                                    np.array([[70000]], np.int32)], ids=["float", "negative", "more than 16 bits"])
def test_32_bits_of_unknown_range_are_refused(values):
    with pytest.raises(DataError, match="^x: expected 8 or 16 bits a channel, got .* 32 bits; store it"):
        read_pixels(stored(Image.fromarray(values), "TIFF"), "x")


def test_cmyk_has_its_colours():
    red = Image.new("CMYK", (16, 16), (0, 255, 255, 0))
    # a JPEG loses a little, an ink more or less
    np.testing.assert_allclose(read_pixels(stored(red, "JPEG"), "x"), np.tile([255, 0, 0], (16, 16, 1)), atol=8)
    np.testing.assert_array_equal(read_pixels(stored(red, "TIFF"), "x"), np.tile([255, 0, 0], (16, 16, 1)))


# What a viewer does for each value of the EXIF tag, on arrays (CIPA DC-008, 4.6.4).
TURNS = {1: lambda x: x, 2: lambda x: x[:, ::-1], 3: lambda x: x[::-1, ::-1], 4: lambda x: x[::-1],
         5: lambda x: x.swapaxes(0, 1), 6: lambda x: x[::-1].swapaxes(0, 1),
         7: lambda x: x[::-1, ::-1].swapaxes(0, 1), 8: lambda x: x[:, ::-1].swapaxes(0, 1)}


@pytest.mark.parametrize("orientation", TURNS)
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP"])
def test_a_photograph_that_was_turned_is_upright(orientation, kind):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"WEBP": {"lossless": True}, "JPEG": {"quality": 95}}.get(kind, {})
    content = stored(RGB, kind, exif=exif, **options)
    expected = TURNS[orientation](SMOOTH)
    np.testing.assert_allclose(read_pixels(content, "x"), expected, atol=40 if kind == "JPEG" else 0)
    assert read_header(content, "x")[:2] == expected.shape[:2]
    # also with a size: turned, then cut
    small = read_pixels(content, "x", (20, 10))
    expected = to_pixels(Image.fromarray(expected), (20, 10))
    np.testing.assert_allclose(small, expected, atol=12 if kind == "JPEG" else 1)


def test_a_damaged_exif_is_no_reason_to_refuse_the_image():
    content = stored(RGB, "JPEG", exif=b"Exif\0\0II*\0\xff\xff\xff\xffrubbish")
    assert read_pixels(content, "x").shape == (48, 64, 3)


def test_the_middle_is_kept_and_the_aspect_too():
    wide = np.zeros((10, 30, 3), np.uint8)
    wide[:, 10:20] = 200
    np.testing.assert_array_equal(to_pixels(Image.fromarray(wide), (10, 10)), 200)
    np.testing.assert_array_equal(to_pixels(Image.fromarray(wide.swapaxes(0, 1)), (10, 10)), 200)
    assert to_pixels(Image.fromarray(wide), (5, 15)).shape == (5, 15, 3)


def test_stripes_finer_than_a_pixel_become_grey_and_no_pattern():
    stripes = np.zeros((64, 640, 1), np.uint8)
    stripes[:, ::2] = 255
    got = to_pixels(Image.fromarray(stripes[..., 0]), (8, 80), channels=1)
    np.testing.assert_allclose(got, 127.5, atol=8)  # antialiased; taking some of the pixels gives 0 or 255


def test_a_large_jpeg_is_decoded_smaller_and_looks_the_same():
    large = RGB.resize((1600, 1200), Image.Resampling.BICUBIC)
    content = stored(large, "JPEG", quality=95)
    assert open_image(content, "x", (100, 100)).size == (400, 300)      # a quarter: still more than twice 100
    assert open_image(content, "x", (301, 301)).size == (1600, 1200)    # more than a quarter: as it is
    assert open_image(content, "x").size == (1600, 1200)
    full = to_pixels(open_image(content, "x"), (100, 100))
    np.testing.assert_allclose(read_pixels(content, "x", (100, 100)), full, atol=4)


def test_only_the_first_picture_of_an_animation_is_taken():
    content = stored(RGB, "GIF", save_all=True, append_images=[Image.new("RGB", (64, 48))])
    assert read_pixels(content, "x").max() > 100


@pytest.mark.parametrize("kind", ["PNG", "BMP", "TIFF", "WEBP", "GIF", "JPEG"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_truncated_image_is_named(tmp_path, kind, share):
    content = stored(Image.fromarray(RNG.integers(0, 256, (50, 50, 3)).astype(np.uint8)), kind)
    (tmp_path / "cut.img").write_bytes(content[:int(len(content) * share)])
    with pytest.raises(DataError, match=r"cut\.img: expected .*(damaged|cut short).*; "):
        read_pixels(tmp_path / "cut.img", tmp_path / "cut.img")
    with pytest.raises(DataError, match="^cut: expected"):
        open_image(content[:int(len(content) * share)], "cut")


REFUSED = {
    "empty": (b"", "got another kind of file"),
    "a text": (b"hello", "got another kind of file"),
    "another format": (stored(RGB, "PPM"), "got another kind of file"),
    "an image with a program's loader": (stored(RGB, "EPS"), "got another kind of file"),
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_is_no_image_of_an_allowed_kind_is_refused(kind):
    content, message = REFUSED[kind]
    for read in (read_pixels, open_image, read_header):
        with pytest.raises(DataError, match=f"^x: expected an image .*{message}.*; "):
            read(content, "x")


def test_an_image_bomb_is_refused_before_it_is_unpacked(monkeypatch):
    bomb = stored(Image.new("1", (12000, 12000)))
    assert len(bomb) < 30_000
    monkeypatch.setattr(Image.Image, "load", lambda self: pytest.fail("unpacked"))
    for read in (read_pixels, open_image, read_header):
        with pytest.raises(DataError, match="^x: expected an image of at most 89,478,485 pixels, got more; make it"):
            read(bomb, "x")


def test_a_larger_bomb_is_refused_too():
    header = stored(Image.new("1", (1, 1)))
    # the size in the IHDR chunk, and its checksum, made new
    chunk = b"IHDR" + struct.pack(">2I", 60000, 60000) + header[24:29]
    with pytest.raises(DataError, match="^x: expected an image of at most"):
        read_pixels(header[:12] + chunk + struct.pack(">I", zlib.crc32(chunk)) + header[33:], "x")


def test_a_file_that_cannot_be_read_is_named(tmp_path):
    with pytest.raises(DataError, match="nowhere.png: expected an image file, got none"):
        read_pixels(tmp_path / "nowhere.png", tmp_path / "nowhere.png")
    with pytest.raises(DataError, match="got no plain file"):
        open_image(tmp_path, "x")
