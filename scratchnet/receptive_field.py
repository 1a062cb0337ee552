"""Receptive fields: how many pixels of the image one output of each layer sees.

A window of k pixels, dilation d and stride s, over outputs that see r pixels of the image each and are j of them apart:

    r ← r + d (k - 1) j,    j ← s j,    and r = j = 1 at the image.

Of branches that run side by side the largest counts. Behind a global or adaptive pool, a Flatten or a Dense it is the
whole image. Padding changes nothing: near the edges a part of a field is padding, and it may be larger than the image.
Araujo, Norris, Sim 2019, "Computing Receptive Fields of Convolutional Neural Networks", Distill, equation (2).
"""

from typing import NamedTuple

from scratchnet.layers import (AdaptiveAvgPool2D, Auxiliary, Concat, GlobalAvgPool2D, Residual, SeparableConv2D,
                               Sequential)


class Field(NamedTuple):
    """`size` (H, W) in pixels of the image, None for all of them; `jump` (H, W) from one output to the next.

    `known` is False behind a layer of someone's own that does not say what it sees: it is taken to see one pixel. Such
    a layer says it with attributes named as Conv2D's or a pool's: kernel_size or pool_size, strides, dilation.
    """

    size: tuple
    jump: tuple
    known: bool

    def __str__(self):
        if self.size is None:
            return "all"
        height, width = self.size
        return (f"{height}" if height == width else f"{height} x {width}") + ("" if self.known else "?")


WHOLE = Field(None, None, True)


def fields(model):
    """{id(layer): Field of its output} for all layers of an initialised model that takes images, else {}."""
    found = {}
    if len(model.input_shape) == 3:
        _walk(model, Field((1, 1), (1, 1), True), found)
    return found


def _walk(layer, field, found):
    """Note the fields of all layers in `layer`, whose input has this one; return that of its output."""
    children = list(layer.children().values())
    if not children:
        made = _behind(layer, field)
    elif isinstance(layer, (Residual, Concat)):
        made = _widest([_walk(child, field, found) for child in children])     # a shortcut without layers sees less
    elif isinstance(layer, Auxiliary):
        _walk(children[0], field, found)
        made = field
    else:
        made = field if isinstance(layer, (Sequential, SeparableConv2D)) else field._replace(known=False)
        for child in children:
            made = _walk(child, made, found)
    found.setdefault(id(layer), made)           # of the first place where a shared layer stands
    return made


def _behind(leaf, field):
    """The Field of a layer without children."""
    if field.size is None or isinstance(leaf, (GlobalAvgPool2D, AdaptiveAvgPool2D)) or len(_output(leaf)) != 3:
        return WHOLE
    window = getattr(leaf, "kernel_size", None) or getattr(leaf, "pool_size", None)
    if window is None:
        return field._replace(known=field.known and type(leaf).__module__.startswith("scratchnet."))
    strides, dilation = getattr(leaf, "strides", (1, 1)), getattr(leaf, "dilation", (1, 1))
    size = tuple(r + d * (k - 1) * j for r, d, k, j in zip(field.size, dilation, window, field.jump))
    return field._replace(size=size, jump=tuple(s * j for s, j in zip(strides, field.jump)))


def _output(leaf):
    return leaf.checked_output_shape(leaf.input_shape)


def _widest(branches):
    if any(field.size is None for field in branches):
        return WHOLE
    sizes, jumps, known = zip(*branches)
    return Field(tuple(map(max, zip(*sizes))), tuple(map(max, zip(*jumps))), all(known))
