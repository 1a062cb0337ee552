"""Windows that slide over images: pairs, the padding words, and the output size, checked where shapes are known."""

import numbers

from scratchnet.kernels.shapes import output_size


class TooSmall(ValueError):
    """An image that a window does not fit into."""


def pair(layer, name, value):
    """`value`, an int or a pair of ints >= 1, as (height, width)."""
    sizes = (value, value) if isinstance(value, numbers.Integral) else tuple(value) if _iterable(value) else ()
    if len(sizes) != 2 or not all(isinstance(size, numbers.Integral) and size >= 1 for size in sizes):
        raise ValueError(f"{layer}: {name} must be a positive int or a pair of them, got {value!r}")
    return int(sizes[0]), int(sizes[1])


def positive(layer, name, value):
    """`value` as an int >= 1."""
    if not isinstance(value, numbers.Integral) or value < 1:
        raise ValueError(f"{layer}: {name} must be a positive int, got {value!r}")
    return int(value)


def padding_argument(layer, value, words=("valid", "same")):
    """`padding` as the user may write it -> a word, or ((top, bottom), (left, right))."""
    if isinstance(value, str) and value in words:
        return value
    if isinstance(value, numbers.Integral):
        value = (value, value)
    sides = tuple((side, side) if isinstance(side, numbers.Integral) else tuple(side) if _iterable(side) else ()
                  for side in value) if _iterable(value) else ()
    if len(sides) != 2 or any(len(side) != 2 for side in sides) or not all(
            isinstance(size, numbers.Integral) and size >= 0 for side in sides for size in side):
        choices = "".join(f"{word!r}, " for word in words)
        raise ValueError(f"{layer}: padding must be {choices}an int >= 0, a pair (height, width) or "
                         f"((top, bottom), (left, right)), got {value!r}")
    return tuple((int(before), int(after)) for before, after in sides)


def resolve_padding(padding, sizes, window, strides, dilation=(1, 1)):
    """((top, bottom), (left, right)) for an image of `sizes` = (H, W).

    "same" is TensorFlow's rule: OH = ceil(H / stride), and of an odd total the larger half comes after.
    """
    if padding == "valid":
        return (0, 0), (0, 0)
    if padding == "same":
        totals = (max((-(-size // stride) - 1) * stride + (extent - 1) * step + 1 - size, 0)
                  for size, extent, stride, step in zip(sizes, window, strides, dilation))
        return tuple((total // 2, total - total // 2) for total in totals)
    return padding


def image_shape(layer, input_shape):
    """input_shape as (H, W, C), or ValueError."""
    if len(input_shape) != 3:
        raise ValueError(f"{layer.label()}: expected images (H, W, C), got an input of shape {input_shape}")
    return input_shape


def sliding_shape(layer, sizes, window, strides, padding, dilation=(1, 1), ceil_mode=False):
    """(OH, OW) of a window over images of `sizes`; TooSmall where the window does not fit once."""
    padding = resolve_padding(padding, sizes, window, strides, dilation)
    shape = tuple(output_size(*axis, ceil_mode) for axis in zip(sizes, window, strides, padding, dilation))
    if min(shape) < 1:
        raise TooSmall(f"{layer.label()}: input {layer_input(sizes)} is smaller than the window; "
                       "add padding or use a larger image")
    return shape


def layer_input(sizes):
    return " x ".join(map(str, sizes))


def describe_window(name, window, strides, padding, dilation=(1, 1)):
    """"Conv2D 5x5, valid", with strides and dilation where they are not 1."""
    text = f"{name} {window[0]}x{window[1]}"
    for word, value in (("stride", strides), ("dilation", dilation)):
        if value != (1, 1):
            text += f", {word} {value[0]}" if value[0] == value[1] else f", {word} {value[0]}x{value[1]}"
    (top, bottom), (left, right) = ((0, 0), (0, 0)) if isinstance(padding, str) else padding
    if isinstance(padding, str):
        return f"{text}, {padding}"
    if top == bottom == left == right:
        return f"{text}, padding {top}"
    return f"{text}, padding {padding}"


def _iterable(value):
    return hasattr(value, "__iter__") and not isinstance(value, str)
