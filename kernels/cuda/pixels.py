"""The last part of making a batch, on images that came as bytes. Kernels: pixels.cu."""
import numpy

from .launch import array, each, empty


def normalised(x, scale, shift, padding):
    """y = x · scale + shift for each channel, x zero-padded by ((top, bottom), (left, right)) first.

    x (N, H, W, C) uint8, scale and shift (C,) -> y (N, top + H + bottom, left + W + right, C) float32."""
    x = array("normalised", "x", x, (None,) * 4, numpy.uint8)
    (N, H, W, C), ((top, bottom), (left, right)) = x.shape, padding
    y = empty((N, top + H + bottom, left + W + right, C))
    scale, shift = (array("normalised", name, value, (C,)) for name, value in (("scale", scale), ("shift", shift)))
    each("pixels", "normalised", y.size, x=x, scale=scale, shift=shift, y=y, H=H, W=W, C=C, OH=y.shape[1],
         OW=y.shape[2], top=top, left=left)
    return y
