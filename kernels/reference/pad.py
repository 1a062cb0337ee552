"""Padding an image: with zeros, or with its own pixels."""
from .array_module import accumulator, get_array_module


def _source(i, size, mode):
    """Which of the `size` pixels of a line stands at place i, where places < 0 and >= size are padding."""
    if mode == "reflect":                        # c b | a b c d | c b: the edge is not repeated
        period = max(2 * (size - 1), 1)
        return min(i % period, period - i % period)
    if mode == "replicate":                      # a a | a b c d | d d
        return min(max(i, 0), size - 1)
    if mode == "circular":                       # c d | a b c d | a b
        return i % size
    raise ValueError(f"pad2d: mode must be zeros, reflect, replicate or circular, got {mode!r}")


def pad2d(x, padding, mode):
    """x (N, H, W, C) -> y (N, top + H + bottom, left + W + right, C); the modes are PyTorch's."""
    xp = get_array_module(x)
    if mode == "zeros":
        return xp.pad(x, ((0, 0), *padding, (0, 0)))
    for axis, (before, after) in zip((1, 2), padding):
        size = x.shape[axis]
        sources = [_source(i, size, mode) for i in range(-before, size + after)]
        x = xp.take(x, xp.asarray(sources), axis=axis)
    return x


def pad2d_backward(dy, padding, mode):
    """A padding pixel is a copy, so its gradient is added to that of the pixel it copies; a zero has none."""
    xp = get_array_module(dy)
    dx = dy.astype(accumulator(dy.dtype), copy=False)
    for axis, (before, after) in zip((1, 2), padding):
        lines = xp.moveaxis(dx, axis, 0)                             # (before + size + after, ...)
        size = lines.shape[0] - before - after
        inside = lines[before:before + size].copy()                  # (size, ...)
        if mode != "zeros":
            for i in [*range(-before, 0), *range(size, size + after)]:
                inside[_source(i, size, mode)] += lines[before + i]
        dx = xp.moveaxis(inside, 0, axis)
    return xp.ascontiguousarray(dx.astype(dy.dtype, copy=False))
