"""Padding as a layer of its own, for what a convolution's zeros cannot say."""

from scratchnet.backend import ops
from scratchnet.layers.base import Layer
from scratchnet.layers.geometry import image_shape, padding_argument

MODES = ("zeros", "reflect", "replicate", "circular")


class Pad2D(Layer):
    """A frame of pixels around each image: zeros, or copies of the image's own, as `mode` says.

    padding: int, pair, or ((top, bottom), (left, right)). dx[p] sums dy over every place that pixel p was copied to.
    ValueError where "reflect" (needs padding < size) or "circular" (padding <= size) would run out of image.
    kernels/reference/pad.py: pad2d; kernels/cpu/pad.py.
    """

    def __init__(self, padding, mode="zeros"):
        if mode not in MODES:
            raise ValueError(f"Pad2D: mode must be one of {', '.join(MODES)}, got {mode!r}")
        self.padding, self.mode = padding_argument("Pad2D", padding, words=()), mode

    def output_shape(self, input_shape):
        height, width, channels = image_shape(self, input_shape)
        for size, sides in zip((height, width), self.padding):
            limit = {"reflect": size - 1, "circular": size}.get(self.mode)
            if limit is not None and max(sides) > limit:
                raise ValueError(f"{self.label()}: mode {self.mode!r} can pad {size} pixels by at most {limit}, "
                                 f"got {max(sides)}; use less padding or mode 'replicate'")
        (top, bottom), (left, right) = self.padding
        return height + top + bottom, width + left + right, channels

    def forward(self, x, training=True):
        def backward(dy, need_dx=True):
            return ops(dy).pad2d_backward(dy, self.padding, self.mode)
        return ops(x).pad2d(x, self.padding, self.mode), backward

    def describe(self):
        return f"Pad2D {self.padding}, {self.mode}"
