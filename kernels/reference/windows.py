"""Sliding windows over an image: padding it, visiting the windows, and taking the padding off again."""
from .array_module import get_array_module


def pad_image(x, window, strides, padding, dilation, output, value=0):
    """`x` (N, H, W, C) inside a border of `value`, (N, PH, PW, C), that holds each of the OH·OW windows.

    The border is `padding`, and at the bottom and right what the last window of ceil_mode overhangs it.
    """
    xp = get_array_module(x)
    border = [(0, 0)]
    for axis in range(2):
        before, after = padding[axis]
        needed = (output[axis] - 1) * strides[axis] + (window[axis] - 1) * dilation[axis] + 1
        overhang = max(0, needed - (before + x.shape[1 + axis] + after))
        border.append((before, after + overhang))
    border.append((0, 0))
    return xp.pad(x, border, mode="constant", constant_values=value)


def crop_image(padded, padding, shape):
    """The (N, H, W, C) image inside its border; the derivative of `pad_image`."""
    xp = get_array_module(padded)
    (top, _), (left, _) = padding
    H, W = shape[1:3]
    return xp.ascontiguousarray(padded[:, top:top + H, left:left + W])


def window_elements(window, strides, dilation, output):
    """Yields (kh, kw, at): `padded[at]` (N, OH, OW, C) is element (kh, kw) of all OH·OW windows at once.

    Window (oh, ow) has its element (kh, kw) at row oh·stride + kh·dilation, hence a strided slice.
    """
    (KH, KW), (SH, SW), (DH, DW), (OH, OW) = window, strides, dilation, output
    for kh in range(KH):
        for kw in range(KW):
            rows = slice(kh * DH, kh * DH + SH * (OH - 1) + 1, SH)
            columns = slice(kw * DW, kw * DW + SW * (OW - 1) + 1, SW)
            yield kh, kw, (slice(None), rows, columns)
