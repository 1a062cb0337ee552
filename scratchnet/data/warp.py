"""Augmentations that move pixels: affine and elastic distortion, and crops brought to one size.

Each makes one map from places in the output to places in the input, and reads the input there, bilinearly.
"""

import math

import numpy as np

AT_ONCE = 1 << 14   # output pixels read together: what they need stays in a core's cache
KEPT = 7 / 8        # of the stored side is a resized crop: 224 of 256 pixels, as Szegedy et al. 2014 have it
ASPECT = 4 / 3      # width to height of a resized crop is between 1/ASPECT and ASPECT: Szegedy et al. 2014, section 6
SMOOTHNESS = 1 / 7  # of the side is the σ of an elastic distortion: Simard et al. 2003, section 2, 4 of 29 pixels
SHRUNK = 1e-3       # an affine map may shrink to no less, whatever its scale


class RandomAffine:
    """Rotation, shift, scale of each axis and horizontal shear, each drawn evenly.  LeCun et al. 1998, section III.E.

    degrees: rotation and shear up to ± this; translate: shift up to ± this share of the side; scale: both axes by
    1 ± this, each on its own, which squeezes, too.
    """

    def __init__(self, degrees=10.0, translate=0.08, scale=0.12, shear=None, fill=0.0):
        self.degrees, self.translate, self.scale, self.fill = degrees, translate, scale, fill
        self.shear = degrees if shear is None else shear

    def __call__(self, images, draws):
        n, height, width, _ = images.shape
        angle, shear, grow_y, grow_x, shift_y, shift_x = draws.uniform(6, -1.0, 1.0)
        matrix, offset = inverse_map(
            self.degrees * angle, self.shear * shear, np.maximum(1 + self.scale * grow_y, SHRUNK),
            np.maximum(1 + self.scale * grow_x, SHRUNK), self.translate * height * shift_y,
            self.translate * width * shift_x, height, width)
        y, x = np.arange(height, dtype=np.float32)[:, np.newaxis], np.arange(width, dtype=np.float32)
        a, b, c, d = matrix.astype(np.float32).reshape(4, n, 1, 1)
        top, left = offset.astype(np.float32).reshape(2, n, 1, 1)
        return bilinear_filled(images, a * y + b * x + top, c * y + d * x + left, self.fill)


def inverse_map(angle, shear, scale_y, scale_x, shift_y, shift_x, height, width):
    """Where each pixel of an affine image comes from: (y, x) = matrix (y', x') + offset, (2, 2, n) and (2, n).

    The image is scaled, sheared (its top to the right), rotated counter-clockwise about its centre (degrees), and
    shifted down and right (pixels), so p' = c + t + R H S (p - c), and p = c + S⁻¹ H⁻¹ R⁻¹ (p' - c - t).
    All arguments but the last two are (n,).
    """
    cos, sin, slope = np.cos(np.radians(angle)), np.sin(np.radians(angle)), np.tan(np.radians(shear))
    # In (y, x), y downwards: R⁻¹ = [[cos, sin], [-sin, cos]], H⁻¹ = [[1, 0], [slope, 1]], S⁻¹ divides.
    matrix = np.stack([cos / scale_y, sin / scale_y,
                       (slope * cos - sin) / scale_x, (slope * sin + cos) / scale_x]).reshape(2, 2, -1)
    centre_y, centre_x = (height - 1) / 2, (width - 1) / 2
    moved_y, moved_x = centre_y + shift_y, centre_x + shift_x
    return matrix, np.stack([centre_y - matrix[0, 0] * moved_y - matrix[0, 1] * moved_x,
                             centre_x - matrix[1, 0] * moved_y - matrix[1, 1] * moved_x])


class Elastic:
    """Every pixel is read `strength` sides away (root mean square), in a direction that changes smoothly.

    Simard, Steinkraus & Platt 2003, section 2: random displacements, blurred by a Gaussian. Theirs (σ = 4, α = 34
    on 29x29) are 0.05 of the side. Here they sit on a lattice σ apart, which the Gaussian makes as smooth, for less.
    """

    def __init__(self, strength=0.03, fill=0.0):
        self.strength, self.fill = strength, fill

    def __call__(self, images, draws):
        n, height, width, _ = images.shape
        rows, columns = blur(height), blur(width)                               # (H, K), (W, L)
        nodes = rows.shape[1], columns.shape[1]
        drawn = draws.uniform(2 * nodes[0] * nodes[1], -math.sqrt(3), math.sqrt(3))     # of variance 1
        drawn = np.ascontiguousarray(drawn.T).reshape(n, 2, *nodes)             # (2*K*L, n) -> (n, 2, K, L)
        away = rows @ drawn @ columns.T                                         # (n, 2, H, W)
        y = np.arange(height)[:, np.newaxis] + self.strength * height * away[:, 0]
        x = np.arange(width) + self.strength * width * away[:, 1]
        return bilinear_filled(images, y.astype(np.float32), x.astype(np.float32), self.fill)


def blur(size):
    """(size, nodes): Gaussians about nodes σ apart, rows of length 1, so that noise of variance 1 keeps it."""
    sigma = SMOOTHNESS * size
    nodes = sigma * np.arange(-1, math.ceil(size / sigma) + 2)
    shares = np.exp(-(np.arange(size)[:, np.newaxis] - nodes) ** 2 / (2 * sigma ** 2))
    return shares / np.sqrt((shares ** 2).sum(axis=1, keepdims=True))


class RandomResizedCrop:
    """A part, `least` to all of the area, brought to KEPT of the stored sides.  Szegedy et al. 2014, section 6.

    They take 8% and more, of a million photographs; of small sets, and of small images, more has to stay.
    """

    def __init__(self, least=0.25):
        self.least = least

    def __call__(self, images, draws):
        n, height, width, _ = images.shape
        size = kept(height), kept(width)
        area, aspect, top, left = draws.uniform(4)
        area = self.least + (1 - self.least) * area
        aspect = np.exp(math.log(ASPECT) * (2 * aspect - 1))
        # (share of the height)·(share of the width) = area; one that would be more than 1 is 1.
        share_y, share_x = np.minimum(np.sqrt(area / aspect), 1), np.minimum(np.sqrt(area * aspect), 1)
        y, x = (crop_places(side, share, start, count).astype(np.float32) for side, share, start, count in
                ((height, share_y, top, size[0]), (width, share_x, left, size[1])))
        shape = n, *size
        return bilinear(images, np.broadcast_to(y[:, :, np.newaxis], shape),
                        np.broadcast_to(x[:, np.newaxis, :], shape))


def kept(side):
    """How many of a side's pixels a resized crop has, at least 1."""
    return max(1, round(KEPT * side))


def crop_places(side, share, start, count):
    """(n, count): the centres of `count` pixels that divide a part evenly; the part's share and start are (n,)."""
    first = start * (1 - share) * side                              # the part's edge; pixel 0 reaches from 0 to 1
    return first[:, np.newaxis] + (share * side / count)[:, np.newaxis] * (np.arange(count) + 0.5) - 0.5


def bilinear_filled(images, y, x, fill):
    """`bilinear`, but what lies a pixel or more outside is `fill` (a number, or one for each channel)."""
    n, height, width, channels = images.shape
    padded = np.empty((n, height + 2, width + 2, channels), np.float32)
    padded[...] = fill
    padded[:, 1:-1, 1:-1] = images
    return bilinear(padded, y + 1, x + 1)


def bilinear(images, y, x):
    """images float32 (n, H, W, C) read at rows y and columns x, float32 (n, OH, OW) -> float32 (n, OH, OW, C).

    A place outside the image is read at the nearest place inside.
    """
    n, height, width, channels = images.shape
    values = np.empty((*y.shape, channels), np.float32)
    step = max(1, AT_ONCE // (y.shape[1] * y.shape[2]))
    for first in range(0, n, step):
        part = slice(first, first + step)
        # (part, H, W, C) -> (C, part*H*W): NumPy takes single numbers much faster than rows of three.
        planes = np.ascontiguousarray(images[part].reshape(-1, channels).T)
        values[part] = np.moveaxis(_read(planes, height, width, y[part], x[part]), 0, -1)
    return values


def _read(planes, height, width, y, x):
    (row, down), (column, right) = _split(y, height), _split(x, width)
    first = np.arange(len(y)).reshape(-1, 1, 1) * (height * width)              # of each image in a plane
    index = first + row * width + column                                        # (part, OH, OW)
    below, beside = width * (height > 1), int(width > 1)
    upper = _between(planes, index, beside, right)
    return _blend(upper, _between(planes, index + below, beside, right), down)  # (C, part, OH, OW)


def _split(place, size):
    """A pixel at or before each place, and how far the place is on the way to the next one, 0 to 1."""
    place = np.clip(place, 0, size - 1)
    pixel = np.minimum(place.astype(np.intp), max(size - 2, 0))
    place -= pixel.astype(np.float32)
    return pixel, place


def _between(planes, index, beside, share):
    return _blend(planes.take(index, axis=1), planes.take(index + beside, axis=1), share)


def _blend(value, other, share):
    """value + share (other - value), into `value`."""
    other -= value
    other *= share
    value += other
    return value
