"""One image file as pixels: the right way up, 8 bits, grey or RGB, whatever it was stored as."""

import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from scratchnet.data.idx import DataError
from scratchnet.data.resize import cover

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF")
MOST_BYTES = 1 << 28        # of a file: what the largest image that is allowed takes uncompressed, three channels
MOST_PIXELS = 89_478_485    # Pillow warns of more: a quarter of a GiB at three bytes a pixel
GREY = ("1", "L", "LA", "La", "I", "I;16", "I;16L", "I;16B", "I;16N")
WIDE = ("I", "I;16", "I;16L", "I;16B", "I;16N")
ORIENTATION = 0x0112        # the EXIF tag (CIPA DC-008, 4.6.4); 1 is upright, these undo the others:
UPRIGHT = {2: Image.Transpose.FLIP_LEFT_RIGHT, 3: Image.Transpose.ROTATE_180, 4: Image.Transpose.FLIP_TOP_BOTTOM,
           5: Image.Transpose.TRANSPOSE, 6: Image.Transpose.ROTATE_270, 7: Image.Transpose.TRANSVERSE,
           8: Image.Transpose.ROTATE_90}


class Header(NamedTuple):
    """What an image file says of itself: size as it is shown, and whether it has no colours."""

    height: int
    width: int
    grey: bool


def read_pixels(source, name, size=None, channels=3, centre=None):
    """The pixels uint8 (H, W, C) of a path, bytes or open file, called `name` in errors (DataError)."""
    try:
        return to_pixels(open_image(source, name, None if centre else size), size, channels, centre)
    except Exception as error:  # what a conversion says of an odd kind of image
        raise _named(error, name) from None


def read_header(source, name):
    """The Header, without decoding the pixels. Raises DataError."""
    try:
        with _open(source) as image:
            height, width = image.size[::-1]
            if image.format != "TIFF" and _orientation(image) in (5, 6, 7, 8):      # Pillow turns TIFF itself
                height, width = width, height
            return Header(height, width, image.mode in GREY or _grey_palette(image))
    except Exception as error:
        raise _named(error, name) from None


def open_image(source, name, size=None):
    """The PIL image of a path, bytes or open file, decoded, so that what is missing in it is known.

    size (H, W) is what `to_pixels` will be asked for: a JPEG more than four times as large is decoded at a half,
    a quarter or an eighth (still at least twice as large), which is much faster and changes it by less than its
    own compression does. Raises DataError with `name` for a file that cannot be read, is no image of an allowed
    kind, is cut short, damaged, or too large.
    """
    try:
        image = _open(source)
        if size is not None and image.format in ("JPEG", "MPO"):
            _decode_smaller(image, size)
        image.load()
        return image
    except Exception as error:  # Pillow's readers raise whatever the bytes of a file lead them into
        raise _named(error, name) from None


def to_pixels(image, size=None, channels=3, centre=None):
    """A PIL image -> uint8 (H, W, channels): upright, 16 bits scaled to 8. channels: 1 (grey) or 3 (RGB), with alpha
    over white; 4 keeps the alpha.

    size (H, W): scaled so that it covers it, and cut evenly at both ends (Pillow's BILINEAR, antialiased), or as the
    Centre says. Raises DataError for 32-bit values, of which nobody knows the range.
    """
    turn = UPRIGHT.get(_orientation(image))
    keeps_alpha = channels == 4 and image.mode not in (*WIDE, "F")
    image = (image if keeps_alpha else _eight_bits(image)).convert({1: "L", 3: "RGB", 4: "RGBA"}[channels])
    if turn is not None:
        image = image.transpose(turn)
    if centre is not None:
        image = centre.of(image, size)
    elif size is not None and image.size != (size[1], size[0]):
        box = cover(image.height, image.width, size)
        image = image.resize((size[1], size[0]), Image.Resampling.BILINEAR, box=box)
    return np.array(image).reshape(image.height, image.width, channels)  # (H, W) -> (H, W, 1)


def _open(source):
    """The image with its header read: of an allowed kind, neither the file nor what it unpacks to too large."""
    if isinstance(source, (bytes, bytearray)):
        content = source
    elif hasattr(source, "read"):
        content = source.read(MOST_BYTES + 1)
    elif not Path(source).is_file():  # opening a pipe or a device could wait for ever
        raise DataError("expected an image file, got " + ("no plain file" if Path(source).exists() else "none"))
    else:
        with open(source, "rb") as file:
            content = file.read(MOST_BYTES + 1)
    if len(content) > MOST_BYTES:
        raise DataError(f"expected an image file of at most {MOST_BYTES:,} bytes, got more; store it smaller")
    image = Image.open(io.BytesIO(content), formats=FORMATS)
    if image.width * image.height > MOST_PIXELS:
        raise Image.DecompressionBombError
    return image


def _decode_smaller(image, size):
    height, width = image.size[::-1]
    if _orientation(image) in (5, 6, 7, 8):
        size = size[::-1]
    share = max(size[0] / height, size[1] / width)      # of the image that covers `size`
    image.draft(None, (int(2 * share * width) + 1, int(2 * share * height) + 1))    # no smaller than this


def _orientation(image):
    try:
        return image.getexif().get(ORIENTATION, 1)
    except Exception:  # the description is damaged: that says nothing of the image
        return 1


def _eight_bits(image):
    """L, RGB or what Pillow converts to them as it should be."""
    if image.mode == "F" or image.mode == "I" and not 0 <= image.getextrema()[0] <= image.getextrema()[1] < 65536:
        raise DataError(f"expected 8 or 16 bits a channel, got {image.mode!r}, 32 bits; store it as 8-bit PNG")
    if image.mode in WIDE:
        values = np.asarray(image).astype(np.uint32)
        return Image.fromarray(((values * 255 + 32767) // 65535).astype(np.uint8))  # rounded v · 255/65535
    if image.mode in ("LA", "La", "PA", "RGBA", "RGBa") or "transparency" in image.info:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        return white.convert("RGB")
    return image.convert("RGB") if image.mode == "P" else image


def _grey_palette(image):
    if image.mode not in ("P", "PA"):
        return False
    colours = np.array(image.getpalette() or [0, 0, 1]).reshape(-1, 3)
    return bool((colours == colours[:, :1]).all())


def _named(error, name):
    """DataError with the name of the file, whatever was raised."""
    words = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, DataError):
        return error if words.startswith(f"{name}: ") else DataError(f"{name}: {words}")
    if isinstance(error, (Image.DecompressionBombError, Image.DecompressionBombWarning)):
        return DataError(f"{name}: expected an image of at most {MOST_PIXELS:,} pixels, got more; make it smaller")
    if isinstance(error, Image.UnidentifiedImageError):
        return DataError(f"{name}: expected an image ({', '.join(FORMATS)}), got another kind of file or a damaged "
                         "one; remove it or put the right one there")
    if isinstance(error, OSError) and error.errno is not None:
        return DataError(f"{name}: expected a file that can be read, got {error.strerror}; check its permissions")
    return DataError(f"{name}: expected a whole image, got one that is damaged or cut short ({words}); replace it")
