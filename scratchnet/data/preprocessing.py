"""From stored pixels to what a model takes: resizing, zero padding, the same normalisation for every image."""

import math
from dataclasses import dataclass, replace

import numpy as np

from scratchnet.data.resize import INTERPOLATIONS, Centre, resize

NO_PADDING = ((0, 0), (0, 0))
LEAST_SHARE = 3 / 4     # of the model's height and width: images that have it are padded, others are resized


def is_padded(size, wanted):
    """Whether images of this size (H, W) are padded to the one wanted; all others are resized."""
    return all(LEAST_SHARE * most <= side <= most for side, most in zip(size, wanted))


@dataclass(frozen=True)
class Preprocessing:
    """y = (x/255 - mean)/std for each channel, x zero-padded by ((top, bottom), (left, right)) first.

    `mean` and `std` have one number for each channel. `size` (H, W): images of another size are brought to
    it before anything else: covering it, what is too much cut evenly; or, with `resize` and `interpolation`
    ("bilinear" or "bicubic"), as published networks had it: see Centre. Raises ValueError for what cannot be meant.
    """

    mean: tuple
    std: tuple
    padding: tuple = NO_PADDING
    size: tuple = None
    resize: int = None
    interpolation: str = "bilinear"

    def __post_init__(self):
        mean, std = tuple(map(float, self.mean)), tuple(map(float, self.std))
        padding = tuple(tuple(pair) for pair in self.padding)
        if not mean or len(mean) != len(std):
            raise ValueError(f"Preprocessing: expected one mean and one std a channel, got {mean} and {std}; "
                             "give as many of each as images have channels")
        if not all(math.isfinite(v) for v in mean + std) or min(std) <= 0:
            raise ValueError(f"Preprocessing: expected finite numbers and std > 0, got mean {mean} and std "
                             f"{std}; give 1 for a channel that never changes")
        sides = [side for pair in padding for side in pair]
        if [len(pair) for pair in padding] != [2, 2] or not all(type(s) is int and s >= 0 for s in sides):
            raise ValueError("Preprocessing: expected padding ((top, bottom), (left, right)), integers >= 0, "
                             f"got {self.padding!r}")
        size = None if self.size is None else tuple(self.size)
        if size is not None and (len(size) != 2 or not all(type(s) is int and s > 0 for s in size)):
            raise ValueError(f"Preprocessing: expected size (H, W), integers > 0, or None, got {self.size!r}")
        if self.resize is not None and (type(self.resize) is not int or self.resize < 1 or size is None):
            raise ValueError("Preprocessing: expected resize, the pixels of the shorter side, to be an integer > 0 "
                             f"beside a size to cut out, or None, got {self.resize!r} and size {self.size!r}")
        if self.interpolation not in (INTERPOLATIONS if self.resize else INTERPOLATIONS[:1]):
            raise ValueError(f"Preprocessing: expected interpolation to be one of {', '.join(INTERPOLATIONS)}, and the "
                             f"first one without resize, got {self.interpolation!r} and resize {self.resize!r}")
        for field, value in (("mean", mean), ("std", std), ("padding", padding), ("size", size)):
            object.__setattr__(self, field, value)

    @classmethod
    def for_input(cls, splits, input_shape):
        """For a model with this input (H, W, C).

        Images a little smaller are padded evenly, an odd row goes below; all others are resized. ValueError
        for other channels.
        """
        height, width, channels = splits.image_shape
        wanted_height, wanted_width, wanted_channels = input_shape
        if channels != wanted_channels:
            raise ValueError(f"{splits.name}: the model expects {_shape(input_shape)} images, got "
                             f"{_shape(splits.image_shape)}; create the model with input_shape="
                             f"({wanted_height}, {wanted_width}, {channels})")
        mean, std = splits.statistics()
        if not is_padded((height, width), (wanted_height, wanted_width)):
            return cls(mean, std, size=(wanted_height, wanted_width))
        spare = (wanted_height - height, wanted_width - width)
        return cls(mean, std, tuple((n // 2, n - n // 2) for n in spare))

    def __call__(self, images):
        """uint8, or float32 in units of 0 to 255, (N, H, W, C) -> a new contiguous float32
        (N, top + H + bottom, left + W + right, C), where H and W are those of `size` if there is one.

        Images that have this size are taken as they are, for image files come with it (see ImageFiles).
        """
        if images.dtype not in (np.uint8, np.float32) or images.ndim != 4 or images.shape[-1] != len(self.mean):
            raise ValueError(f"Preprocessing: expected uint8 images (N, H, W, {len(self.mean)}), or float32 from "
                             f"0 to 255, got {images.dtype} {images.shape}; the channels come last")
        if self.size is not None and images.shape[1:3] != self.size:
            images = self.centre.of_each(images, self.size) if self.centre else resize(images, self.size)
        (top, bottom), (left, right) = self.padding
        n, height, width, channels = images.shape
        padded = np.zeros((n, top + height + bottom, left + width + right, channels), images.dtype)
        padded[:, top:top + height, left:left + width] = images
        y = padded.astype(np.float32, copy=False)
        # One channel has a number for scale and shift, several have an image of them, for NumPy is slow along an axis
        # as short as the channels.
        scale, shift = self.scale_and_shift
        pixels = padded.shape[1] * padded.shape[2]
        repeat = 1 if channels == 1 else pixels
        flat = y.reshape(n, pixels * channels)  # (N, H, W, C) -> (N, H*W*C), the same memory
        flat *= np.tile(scale, repeat)
        flat += np.tile(shift, repeat)
        return y

    @property
    def scale_and_shift(self):
        """float32 (C,) both: (x/255 - mean)/std = x · 1/(255 std) - mean/std, one multiplication and one addition."""
        mean, std = np.array(self.mean), np.array(self.std)
        return (1 / (255 * std)).astype(np.float32), (-mean / std).astype(np.float32)

    @property
    def centre(self):
        """How images are brought to `size`: a Centre, or None where they cover it."""
        return None if self.resize is None else Centre(self.resize, self.interpolation)

    def covering(self, size):
        """The same for images that are cropped already: they are to cover `size`, if this one has none of its own."""
        return replace(self, size=self.size or tuple(size), resize=None, interpolation=INTERPOLATIONS[0])

    def stored(self, input_shape):
        """(H, W) that images are brought to before padding, for a model with this input (H, W, C)."""
        (top, bottom), (left, right) = self.padding
        return self.size or (input_shape[0] - top - bottom, input_shape[1] - left - right)

    def to_dict(self):
        """Plain lists, for JSON."""
        padding = [list(pair) for pair in self.padding]
        size = None if self.size is None else list(self.size)
        return {"mean": list(self.mean), "std": list(self.std), "padding": padding, "size": size,
                "resize": self.resize, "interpolation": self.interpolation}

    @classmethod
    def from_dict(cls, values):
        """The inverse of `to_dict`; raises ValueError for anything else. Older files have neither size nor resize."""
        needed, newer = {"mean", "std", "padding"}, {"size", "resize", "interpolation"}
        if not isinstance(values, dict) or not needed <= set(values) <= needed | newer:
            raise ValueError(f"Preprocessing: expected a dict of {', '.join(sorted(needed | newer))}, got {values!r}")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"Preprocessing: expected lists of numbers, got {values!r} ({error})") from None


def _shape(shape):
    return "x".join(map(str, shape))
