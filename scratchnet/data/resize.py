"""Images brought to another size: covering it, as Pillow's BILINEAR does it, or as published networks had it."""

import functools
from typing import NamedTuple

import numpy as np

from scratchnet.data.idx import DataError

INTERPOLATIONS = ("bilinear", "bicubic")
LONGEST = 100       # times the shorter side: a line of pixels would become an image that fits into no memory


class Centre(NamedTuple):
    """The shorter side is resized to `resize` pixels, the longer one in proportion; then the centre is cut out.

    As torchvision's Resize(int) and CenterCrop do it with Pillow, to the same 8 bits: antialiased, the longer side
    ⌊resize · long/short⌋, an odd pixel by Python's round(), zeros around an image that is smaller than the centre.
    https://docs.pytorch.org/vision/stable/transforms.html
    """

    resize: int
    interpolation: str

    def of(self, image, size):
        """PIL image, 8 bits a channel -> PIL image of `size` (H, W). DataError for one that is a mere line."""
        from PIL import Image

        short, long = sorted(image.size)
        if long > LONGEST * short:
            raise DataError(f"expected an image at most {LONGEST} times as long as wide, got {image.width} x "
                            f"{image.height} pixels; cut it")
        longer = int(self.resize * long / short)
        width, height = (self.resize, longer) if image.width <= image.height else (longer, self.resize)
        image = image.resize((width, height), Image.Resampling[self.interpolation.upper()])
        left, top = self._start(width, size[1]), self._start(height, size[0])
        return image.crop((left, top, left + size[1], top + size[0]))       # Pillow puts zeros where there is no image

    def of_each(self, images, size):
        """uint8 or float32 from 0 to 255 (N, H, W, C) -> new uint8 (N, *size, C). Floats are rounded first."""
        from PIL import Image

        if images.dtype != np.uint8:
            images = np.clip(np.rint(images), 0, 255).astype(np.uint8)
        channels = images.shape[-1]
        parts = [slice(None)] if channels == 3 else range(channels)         # Pillow takes one channel, or three colours
        made = np.empty((len(images), *size, channels), np.uint8)
        for image, result in zip(images, made):
            for part in parts:
                result[..., part] = self.of(Image.fromarray(image[..., part]), size)
        return made

    @staticmethod
    def _start(side, wanted):
        """The first pixel of the centre; before the image where that is too small, an odd row of zeros after it."""
        return int(round((side - wanted) / 2)) if side >= wanted else -((wanted - side) // 2)


def cover(height, width, size):
    """The centred box (left, top, right, bottom) of an image whose shape is that of `size` (H, W).

    The largest there is: scaled to `size` it fills it, and what is cut off is cut evenly from both ends.
    """
    scale = min(height / size[0], width / size[1])              # pixels of the image for one of the result
    box_height, box_width = min(height, size[0] * scale), min(width, size[1] * scale)
    left, top = (width - box_width) / 2, (height - box_height) / 2
    return left, top, min(width, left + box_width), min(height, top + box_height)


@functools.lru_cache(maxsize=64)
def weights(length, first, last, count):
    """(count, length) float32: row i holds the share of each old pixel in new pixel i.

    New pixels divide first .. last evenly; each is a triangle as wide as two of them (two old ones where
    the image grows), as in Pillow, src/libImaging/Resample.c. Rows sum to 1.
    """
    step = (last - first) / count
    centres = first + (np.arange(count) + 0.5) * step
    distances = np.abs(np.arange(length) + 0.5 - centres[:, np.newaxis]) / max(step, 1.0)
    shares = np.maximum(0.0, 1.0 - distances)
    shares = (shares / shares.sum(axis=1, keepdims=True)).astype(np.float32)
    shares.setflags(write=False)  # it is handed out again
    return shares


def resize(images, size):
    """uint8 or float32 (N, H, W, C) -> new float32 (N, size[0], size[1], C), in the units of `images`.

    y = R x Cᵀ for every image and channel: one matrix product for the columns, one for the rows.
    """
    n, height, width, channels = images.shape
    left, top, right, bottom = cover(height, width, size)
    rows, columns = weights(height, top, bottom, size[0]), weights(width, left, right, size[1])
    x = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)  # (N, H, W, C) -> (N, C, H, W)
    # (N*C*H, OW) = (N*C*H, W) @ (W, OW)
    x = x.reshape(n * channels * height, width) @ columns.T
    # (N*C*H, OW) -> (N, C, H, OW) -> (N, H, OW, C) -> (N, H, OW*C)
    x = x.reshape(n, channels, height, size[1]).transpose(0, 2, 3, 1).reshape(n, height, size[1] * channels)
    # (N, OH, OW*C) = (OH, H) @ (N, H, OW*C)
    return (rows @ x).reshape(n, *size, channels)
