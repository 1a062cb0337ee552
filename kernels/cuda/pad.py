"""Padding an image: the reference's, in float32."""
from ..reference import pad
from .cast import cast
from .launch import FLOAT32


def pad2d(x, padding, mode):
    """x (N, H, W, C) -> y (N, top + H + bottom, left + W + right, C)."""
    return cast(pad.pad2d(cast(x, FLOAT32), padding, mode), x.dtype)


def pad2d_backward(dy, padding, mode):
    """A padding pixel is a copy, so its gradient is added to that of the pixel it copies; a zero has none."""
    return cast(pad.pad2d_backward(cast(dy, FLOAT32), padding, mode), dy.dtype)
