"""Augmentations that change pixels where they are, or move them as they are: crop, flip, colour, cutout."""

import numpy as np

GREY = 0.299, 0.587, 0.114      # of red, green and blue: ITU-R BT.601


class RandomCrop:
    """As large as the image, from it with `padding` pixels of `fill` around.  He et al. 2015, section 4.2."""

    def __init__(self, padding=4, fill=0.0):
        self.padding, self.fill = padding, fill

    def __call__(self, images, draws):
        n, height, width, channels = images.shape
        margin = self.padding
        padded = np.empty((n, height + 2 * margin, width + 2 * margin, channels), np.float32)
        padded[...] = self.fill
        padded[:, margin:margin + height, margin:margin + width] = images
        top, left = np.floor(draws.uniform(2, 0, 2 * margin + 1)).astype(np.intp)
        rows = top[:, np.newaxis] + np.arange(height)               # (n, H)
        columns = left[:, np.newaxis] + np.arange(width)            # (n, W)
        return padded[np.arange(n).reshape(n, 1, 1), rows[:, :, np.newaxis], columns[:, np.newaxis, :]]


class RandomHorizontalFlip:
    """Left and right exchanged, with this probability.  Krizhevsky et al. 2012, section 4.1."""

    def __init__(self, probability=0.5):
        self.probability = probability

    def __call__(self, images, draws):
        flipped = images.copy()
        chosen = draws.uniform(1)[0] < self.probability
        flipped[chosen] = images[chosen, :, ::-1]
        return flipped


class ColorJitter:
    """Brightness, contrast and saturation times 1 ± `strength`, in this order.  Howard 2013, section 2.2.

    x b for brightness; m + (x - m) c for contrast, m the mean of the image's grey; g + (x - g) s for saturation, g
    the grey of the pixel. One channel is its own grey.
    """

    def __init__(self, strength=0.4):
        self.strength = strength

    def __call__(self, images, draws):
        n, height, width, channels = images.shape
        factors = draws.uniform(3, 1 - self.strength, 1 + self.strength).astype(np.float32)
        brightness, contrast, saturation = factors.reshape(3, n, 1, 1, 1)
        mean = _grey(images).reshape(n, height * width).mean(axis=1, dtype=np.float64)      # (n,)
        mean = mean.astype(np.float32).reshape(n, 1, 1, 1)
        # (x b - m b) c + m b: the mean of the brighter image is brighter, too
        y = (images - mean) * (brightness * contrast) + mean * brightness
        if channels == 3:
            grey = _grey(y)[..., np.newaxis]
            y = grey + (y - grey) * saturation
        return np.clip(y, 0, 255, out=y)


def _grey(images):
    """(n, H, W, 1 or 3) -> (n, H, W)"""
    if images.shape[-1] != 3:
        return images[..., 0]
    return sum(np.float32(share) * images[..., channel] for channel, share in enumerate(GREY))


class Cutout:
    """A square of `side` pixels is `fill`; its centre is any pixel, so it may reach beyond the image.

    DeVries & Taylor 2017, section 3: 16 of CIFAR-10's 32 pixels, 8 with 100 classes.
    """

    def __init__(self, side=8, fill=0.0):
        self.side, self.fill = side, fill

    def __call__(self, images, draws):
        _, height, width, _ = images.shape
        rows, columns = draws.uniform(2)
        hidden = (self._covered(rows, height)[:, :, np.newaxis]     # (n, H, 1)
                  & self._covered(columns, width)[:, np.newaxis])   # (n, 1, W)
        return np.where(hidden[..., np.newaxis], np.float32(self.fill), images)

    def _covered(self, drawn, size):
        first = np.floor(drawn * size) - self.side // 2             # (n,)
        before = np.arange(size) - first[:, np.newaxis]             # (n, size)
        return (before >= 0) & (before < self.side)
