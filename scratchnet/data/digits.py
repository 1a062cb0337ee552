"""A drawing or photograph of a digit, made into what MNIST's makers made of theirs.

LeCun, Bottou, Bengio & Haffner 1998, section III.A: the digit is scaled to fit 20x20, keeping its proportions, which
leaves grey at its edges, and put into 28x28 with its centre of mass in the middle; ink is 255, paper 0. Theirs were
scanned black on white, so here the paper and its light have to be found first.
"""

import functools

import numpy as np
from PIL import Image, ImageFilter

SIDE, BOX = 28, 20          # of the image, and of what the digit fits into
WORKING, COARSE = 256, 64   # pixels of the longer side where the ink, and where the paper, is looked for
WINDOW = 0.4                # of the longer side: wider than a stroke of a digit that fills the image
SHEET, SOLID = 0.3, 0.75    # of the image's shorter side and of its own box: what a sheet of paper fills at least
FAINTEST = 0.06             # ink is at least this much darker than its paper, which is 1,
LOUDEST = 6                 # and by as many times more than the paper varies
EDGE = 0.15                 # of the ink: less is not drawn, but noise or what the light left
PEN = 1.7                   # pixels of the 20 that a stroke is wide at least; nineteen in twenty of MNIST's are
SPECK = 0.1                 # of the largest piece's ink: less is dirt
GREY = 0.299, 0.587, 0.114  # of red, green and blue: ITU-R BT.601


def mnist_style(pixels):
    """uint8 (H, W, C) of one digit, dark on light or light on dark -> uint8 (28, 28, 1), as MNIST's images are.

    C: 1 grey, 2 grey and alpha, 3 RGB, 4 RGB and alpha. Uneven light is evened out, specks are left out, and so is
    what touches the edge if there is something that does not. ValueError where nothing is drawn.
    """
    ink = find_ink(_resize(sheet(brightness(pixels)), WORKING))
    drawn = pieces(ink)
    ink = np.where(drawn, ink, 0)
    rows, columns = np.flatnonzero(ink.any(axis=1)), np.flatnonzero(ink.any(axis=0))
    ink = ink[rows[0]:rows[-1] + 1, columns[0]:columns[-1] + 1]
    return centred(fitted(ink))


def brightness(pixels):
    """float32 (H, W) from 0 to 1. What is transparent shows white or black, whichever the drawing stands out from."""
    values = pixels.astype(np.float32) / 255
    grey = values[..., :3] @ np.float32(GREY) if pixels.shape[-1] >= 3 else values[..., 0]
    if pixels.shape[-1] in (1, 3):
        return grey
    alpha = values[..., -1]
    return max((grey * alpha + paper * (1 - alpha) for paper in (1, 0)), key=np.std)


def sheet(grey):
    """The part of an image that is a sheet of paper on something darker, or all of it.

    A sheet is what a drawing on a dark ground never is: long, wide, and bright nearly all over.
    """
    coarse = _resize(grey, COARSE)
    bright = coarse > otsu(coarse)
    if not bright.any() or not is_dark(coarse):
        return grey
    labels = connected(bright)
    rows, columns = np.nonzero(labels == np.argmax(np.bincount(labels.ravel())[1:]) + 1)
    height, width = np.ptp(rows) + 1, np.ptp(columns) + 1
    if min(height, width) < max(3, SHEET * min(coarse.shape)) or len(rows) < SOLID * height * width:
        return grey
    scale = np.array(grey.shape) / coarse.shape
    top, left = np.ceil(scale * (rows.min() + 1, columns.min() + 1)).astype(int)        # without the blurred rim
    bottom, right = np.floor(scale * (rows.max(), columns.max())).astype(int)
    return grey[top:bottom, left:right]


def find_ink(grey):
    """float32 (H, W): how far from its paper each place is, towards the ink, from 0 to 1.

    Raises ValueError where nothing stands out.
    """
    if is_dark(_resize(grey, COARSE)):
        grey = 1 - grey
    ink = 1 - grey / np.maximum(paper(grey), 1 / 255)
    plain = ink[ink <= max(ink.min(), np.percentile(ink, 99.9) / 2)]    # without what is drawn, or most of that
    level = np.median(plain)
    noise = 1.5 * np.median(np.abs(plain - level))                      # of a normal distribution the σ
    ink -= level
    peak = np.percentile(ink, 99.9)
    if not peak > max(FAINTEST, LOUDEST * noise):
        raise ValueError("expected a digit that stands out from its background, got an even image; take one with "
                         "more contrast")
    ink[ink < max(EDGE * peak, 3 * noise)] = 0
    return np.clip(ink, 0, peak) / peak


def is_dark(grey):
    """Whether the paper is darker than what is drawn on it.

    The paper is a surface of second degree through the image's rim, without the third of the rim that fits it
    least; what is drawn stands out from it, to one side further than noise does to both.
    """
    height, width = grey.shape
    y, x = np.mgrid[-1:1:1j * height, -1:1:1j * width]
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)         # (H, W, 6)
    rim = np.maximum(np.abs(y), np.abs(x)) > 0.85
    places, values = terms[rim], grey[rim]                                          # (rim, 6), (rim,)
    surface = np.array([np.median(values), 0, 0, 0, 0, 0])
    for _ in range(3):
        away = np.abs(places @ surface - values)
        near = away <= np.quantile(away, 2 / 3)
        surface = np.linalg.lstsq(places[near], values[near], rcond=None)[0]
    return np.sum((grey - terms @ surface) ** 3) > 0


def paper(grey):
    """The paper's brightness everywhere, from the bright places within WINDOW: a closing, smoothed.

    The brightest within reach, then the darkest of those: what is dark and narrow is gone, a slope is as it was.
    """
    coarse = _resize(grey, COARSE)
    reach = max(1, round(WINDOW * max(coarse.shape) / 2))
    padded = np.pad(coarse, 2 * reach, mode="edge")                 # so that a slope goes on beyond the rim
    closed = _slide(_slide(padded, reach, np.maximum), reach, np.minimum)
    smooth = _slide(np.pad(closed, 1, mode="edge"), 1, np.add) / 9
    return np.asarray(Image.fromarray(smooth).resize(grey.shape[::-1], Image.Resampling.BILINEAR))


def _slide(values, reach, combine):
    """All within `reach` of each place, combined (np.maximum, np.minimum, np.add), where all of that is inside."""
    for axis in (0, 1):
        count = values.shape[axis] - 2 * reach
        shifted = [np.moveaxis(values, axis, 0)[first:first + count] for first in range(2 * reach + 1)]
        values = np.moveaxis(functools.reduce(combine, shifted), 0, axis)
    return values


def pieces(ink):
    """bool (H, W): what belongs to the digit. Connected pieces of ink, but no specks, and none at the edge if
    there are others."""
    core = ink > otsu(ink)
    labels = connected(core)
    weight = np.bincount(labels.ravel(), ink.ravel())
    weight[0] = 0                                                   # the paper
    rim = np.concatenate([labels[0], labels[-1], labels[:, 0], labels[:, -1]])
    inside = weight.copy()
    inside[rim] = 0
    if inside.max() >= SPECK * weight.max():
        weight = inside
    kept = (weight >= SPECK * weight.max())[labels] & core
    # The grey around each piece belongs to it.
    margin = 2 * max(1, round(max(ink.shape) / 100)) + 1
    near = Image.fromarray(kept.astype(np.uint8)).filter(ImageFilter.MaxFilter(margin))
    others = Image.fromarray((core & ~kept).astype(np.uint8)).filter(ImageFilter.MaxFilter(3))
    return (np.asarray(near) > 0) & (np.asarray(others) == 0)


def otsu(values):
    """The threshold between two groups of numbers from 0 to 1 whose means are furthest apart.  Otsu 1979, (18)."""
    counts, edges = np.histogram(values, 64, (0, 1))
    middles = (edges[:-1] + edges[1:]) / 2
    below, total = np.cumsum(counts)[:-1], counts.sum()
    mass = np.cumsum(counts * middles)
    difference = mass[:-1] / np.maximum(below, 1) - (mass[-1] - mass[:-1]) / np.maximum(total - below, 1)
    return edges[1:-1][np.argmax(below * (total - below) * difference ** 2)]


def connected(mask):
    """A number for each connected piece of a mask (8 neighbours), 0 outside: everyone takes the highest nearby."""
    labels = np.where(mask, np.arange(1, mask.size + 1, dtype=np.int32).reshape(mask.shape), 0)
    while True:
        grown = np.where(mask, _slide(np.pad(labels, 1), 1, np.maximum), 0)
        # A pointer jumps: whoever's highest neighbour knows a higher one takes that.
        grown = np.where(mask, np.concatenate([[0], grown.ravel()])[grown], 0)
        if np.array_equal(grown, labels):
            return labels
        labels = grown


def fitted(ink):
    """The digit, cut out, at the size that fits BOX x BOX, its ink at most 1, strokes no thinner than PEN."""
    scale = BOX / max(ink.shape)
    thicker = round((PEN / scale - pen_width(ink > 0.5)) / 2)       # pixels on each side
    if thicker > 0:
        ink = _slide(np.pad(ink, 2 * thicker), thicker, np.maximum)
        scale = BOX / max(ink.shape)
    height, width = (max(2, round(scale * side)) for side in ink.shape)             # no thinner than a pen
    how = Image.Resampling.BOX if scale < 1 else Image.Resampling.BILINEAR
    small = np.asarray(Image.fromarray(ink.astype(np.float32)).resize((width, height), how))
    return np.clip(small / small.max(), 0, 1)


def pen_width(mask):
    """2·area/outline, of a long stroke its width in pixels. The outline is π/4 of the sides of its pixels."""
    padded = np.pad(mask, 1).astype(np.int8)
    sides = sum(np.abs(np.diff(padded, axis=axis)).sum() for axis in (0, 1))
    return 2 * mask.sum() / max(1, sides * np.pi / 4)


def centred(digit):
    """float32 (h, w) from 0 to 1 -> uint8 (28, 28, 1), its centre of mass as near pixel (14, 14) as it fits."""
    image = np.zeros((SIDE, SIDE, 1), np.uint8)
    place = []
    for axis, size in enumerate(digit.shape):
        mass = digit.sum(axis=1 - axis)
        centre = mass @ np.arange(size) / mass.sum()
        place.append(min(max(round(SIDE // 2 - centre), 0), SIDE - size))
    (top, left), (height, width) = place, digit.shape
    image[top:top + height, left:left + width, 0] = np.round(255 * digit)
    return image


def _resize(values, longest):
    """float32 (H, W) with a longer side of at most `longest`, averaged."""
    share = longest / max(values.shape)
    if share >= 1:
        return np.ascontiguousarray(values, np.float32)
    width, height = (max(1, round(share * side)) for side in values.shape[::-1])
    return np.asarray(Image.fromarray(values.astype(np.float32)).resize((width, height), Image.Resampling.BOX))

