"""From stored pixels to what a model takes: zero padding, then the same normalisation for every image."""

import math
from dataclasses import dataclass

import numpy as np

NO_PADDING = ((0, 0), (0, 0))


@dataclass(frozen=True)
class Preprocessing:
    """y = (x/255 - mean)/std for each channel, x zero-padded by ((top, bottom), (left, right)) first.

    `mean` and `std` have one number for each channel. Raises ValueError for numbers that cannot be meant.
    """

    mean: tuple
    std: tuple
    padding: tuple = NO_PADDING

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
        for field, value in (("mean", mean), ("std", std), ("padding", padding)):
            object.__setattr__(self, field, value)

    @classmethod
    def for_input(cls, splits, input_shape):
        """For a model with this input (H, W, C): images are padded evenly, an odd row goes below."""
        height, width, channels = splits.image_shape
        wanted_height, wanted_width, wanted_channels = input_shape
        images, wanted = f"{height}x{width}x{channels}", f"{wanted_height}x{wanted_width}x{wanted_channels}"
        if channels != wanted_channels:
            raise ValueError(f"{splits.name}: the model expects {wanted} images, got {images}; create the "
                             f"model with input_shape=({wanted_height}, {wanted_width}, {channels})")
        if height > wanted_height or width > wanted_width:
            raise ValueError(f"{splits.name}: the model expects {wanted} images, got {images}, which are "
                             f"padded but never cut; create the model with at least {height}x{width}")
        spare = (wanted_height - height, wanted_width - width)
        mean, std = splits.statistics()
        return cls(mean, std, tuple((n // 2, n - n // 2) for n in spare))

    def __call__(self, images):
        """uint8 (N, H, W, C) -> a new contiguous float32 (N, top + H + bottom, left + W + right, C)."""
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != len(self.mean):
            raise ValueError(f"Preprocessing: expected uint8 images (N, H, W, {len(self.mean)}), got "
                             f"{images.dtype} {images.shape}; the channels come last")
        (top, bottom), (left, right) = self.padding
        n, height, width, channels = images.shape
        padded = np.zeros((n, top + height + bottom, left + width + right, channels), np.uint8)
        padded[:, top:top + height, left:left + width] = images
        y = padded.astype(np.float32)
        # One multiplication and one addition: (x/255 - mean)/std = x · 1/(255 std) - mean/std. One channel has a
        # number for each, several have an image of them, for NumPy is slow along an axis as short as the channels.
        mean, std = np.array(self.mean), np.array(self.std)
        pixels = padded.shape[1] * padded.shape[2]
        repeat = 1 if channels == 1 else pixels
        flat = y.reshape(n, pixels * channels)  # (N, H, W, C) -> (N, H*W*C), the same memory
        flat *= np.tile((1 / (255 * std)).astype(np.float32), repeat)
        flat += np.tile((-mean / std).astype(np.float32), repeat)
        return y

    def to_dict(self):
        """Plain lists, for JSON."""
        padding = [list(pair) for pair in self.padding]
        return {"mean": list(self.mean), "std": list(self.std), "padding": padding}

    @classmethod
    def from_dict(cls, values):
        """The inverse of `to_dict`; raises ValueError for anything else."""
        if not isinstance(values, dict) or set(values) != {"mean", "std", "padding"}:
            raise ValueError(f"Preprocessing: expected a dict of mean, std and padding, got {values!r}")
        try:
            return cls(**values)
        except TypeError as error:
            raise ValueError(f"Preprocessing: expected lists of numbers, got {values!r} ({error})") from None
