"""Batches of images brought to another size, as Pillow's BILINEAR does it: antialiased, covering, centred."""

import functools

import numpy as np


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
