"""Digits as people write them: pen strokes, drawn with Pillow, on a page or as a phone sees that page."""

import io
import math

import numpy as np
from PIL import Image, ImageDraw, ImageFilter


def arc(x, y, width, height, first, last, count=24):
    """Points of an ellipse about (x, y), from one angle to another: degrees, clockwise from the right."""
    angles = np.radians(np.linspace(first, last, count))
    return [(x + width * math.cos(angle), y + height * math.sin(angle)) for angle in angles]


# Each digit as its strokes, in a box from (0, 0) to (1, 1); some are written in two ways.
STROKES = {
    0: [[arc(0.5, 0.5, 0.36, 0.48, -80, 280)], [arc(0.5, 0.5, 0.3, 0.48, -110, 255)]],
    1: [[[(0.55, 0.02), (0.48, 0.98)]], [[(0.3, 0.25), (0.55, 0.02), (0.53, 0.98)]]],
    2: [[arc(0.48, 0.28, 0.32, 0.26, -170, 20) + [(0.62, 0.55), (0.15, 0.96), (0.9, 0.94)]],
        [arc(0.48, 0.27, 0.3, 0.25, -160, 30) + [(0.55, 0.6), (0.2, 0.93), (0.35, 0.88), (0.85, 0.97)]]],
    3: [[arc(0.42, 0.27, 0.32, 0.25, -150, 80) + arc(0.42, 0.73, 0.37, 0.25, -80, 150)],
        [[(0.15, 0.05), (0.78, 0.04), (0.42, 0.4)] + arc(0.42, 0.69, 0.36, 0.28, -80, 150)]],
    4: [[[(0.3, 0.05), (0.12, 0.58), (0.85, 0.55)], [(0.68, 0.12), (0.62, 0.98)]],
        [[(0.62, 0.03), (0.08, 0.65), (0.92, 0.64)], [(0.63, 0.03), (0.61, 0.98)]]],
    5: [[[(0.82, 0.05), (0.28, 0.07), (0.22, 0.45)] + arc(0.45, 0.68, 0.35, 0.28, -120, 140)],
        [[(0.25, 0.06), (0.21, 0.44)] + arc(0.45, 0.68, 0.36, 0.28, -120, 140), [(0.25, 0.06), (0.82, 0.04)]]],
    6: [[[(0.68, 0.03), (0.42, 0.2), (0.24, 0.5)] + arc(0.5, 0.72, 0.28, 0.25, 180, -190)],
        [[(0.52, 0.02), (0.3, 0.3)] + arc(0.5, 0.72, 0.29, 0.25, 190, -180)]],
    7: [[[(0.12, 0.08), (0.85, 0.05), (0.6, 0.42), (0.42, 0.98)]],
        [[(0.12, 0.1), (0.86, 0.06), (0.45, 0.98)]]],
    8: [[arc(0.5, 0.27, 0.26, 0.24, 80, -280) + arc(0.5, 0.74, 0.32, 0.24, -90, 270)],
        [arc(0.5, 0.26, 0.24, 0.23, 90, 450) + arc(0.5, 0.73, 0.3, 0.25, -90, 270)]],
    9: [[arc(0.46, 0.28, 0.29, 0.25, -20, -370) + [(0.74, 0.35), (0.68, 0.7), (0.58, 0.98)]],
        [arc(0.46, 0.28, 0.28, 0.25, 0, -360) + [(0.74, 0.3), (0.74, 0.98)]]],
}


def strokes(digit, rng):
    """The strokes of one way to write it, rotated, slanted, stretched and shaken a little, about (0, 0)."""
    angle, slant = math.radians(rng.uniform(-8, 8)), rng.uniform(-0.05, 0.22)
    wide = rng.uniform(0.6, 0.8)
    drawn = []
    for points in STROKES[digit][rng.integers(2)]:
        x, y = (np.array(points) - 0.5).T
        x = wide * x - slant * y
        x, y = x * math.cos(angle) - y * math.sin(angle), x * math.sin(angle) + y * math.cos(angle)
        # A hand trembles slowly: a few waves along the stroke.
        along = np.linspace(0, 1, len(x))
        for wave in (1, 2):
            x, y = (v + 0.012 * rng.normal() * np.sin(math.pi * wave * along + rng.uniform(0, 6)) for v in (x, y))
        drawn.append(np.stack([x, y], axis=1))
    return drawn


def mask(digit, rng, size=(480, 640), height=None, centre=None, pen=None):
    """float (H, W), 1 where the pen was: a digit `height` pixels high about `centre` (x, y)."""
    height = height or rng.uniform(0.3, 0.6) * size[0]
    pen = pen or rng.uniform(0.07, 0.12) * height
    margin = 0.62 * height
    centre = centre or (rng.uniform(margin, size[1] - margin), rng.uniform(margin, size[0] - margin))
    page = Image.new("L", (2 * size[1], 2 * size[0]))
    draw = ImageDraw.Draw(page)
    for stroke in strokes(digit, rng):
        points = [(2 * (centre[0] + height * x), 2 * (centre[1] + height * y)) for x, y in stroke]
        draw.line(points, 255, round(2 * pen), joint="curve")
        for x, y in points:
            draw.ellipse((x - pen, y - pen, x + pen, y + pen), 255)     # a round pen
    return np.asarray(page.resize(size[::-1], Image.Resampling.BOX)) / 255


def photograph(digit, seed, size=(480, 640)):
    """JPEG bytes of a dark digit on white paper: off-centre, lit from one side, darker corners, noise and blur."""
    rng = np.random.default_rng([2024, digit, seed])
    y, x = np.mgrid[-1:1:1j * size[0], -1:1:1j * size[1]]
    side = rng.uniform(0, 2 * math.pi)
    light = rng.uniform(160, 215) * (1 + rng.uniform(0.15, 0.35) * (x * math.cos(side) + y * math.sin(side)) / 1.4)
    light *= 1 - rng.uniform(0.05, 0.2) * (x ** 2 + y ** 2) / 2
    paper = np.repeat(light[..., np.newaxis], 3, axis=2) * rng.uniform([0.97, 0.95, 0.85], [1, 1, 0.97])
    pen = rng.uniform(0.15, 0.4) * rng.uniform([0.5, 0.5, 0.8], [1, 1, 1.3])          # black, grey or blue
    ink = mask(digit, rng, size)[..., np.newaxis]
    page = paper * (1 - ink * (1 - pen)) + rng.normal(0, 4, (*size, 3))
    image = Image.fromarray(np.clip(page, 0, 255).astype(np.uint8)).filter(ImageFilter.GaussianBlur(1.2))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=75)
    return file.getvalue()
