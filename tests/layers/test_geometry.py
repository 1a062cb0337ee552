"""Where windows lie on an image: what "same" pads, and that every window layer asks for it in the same way."""

import numpy as np
import pytest

from scratchnet.layers import AvgPool2D, Conv2D, DepthwiseConv2D, MaxPool2D
from scratchnet.layers.geometry import resolve_padding


@pytest.mark.parametrize("size, window, stride, dilation, expected", [
    (4, 2, 1, 1, (0, 1)),                                            # of an odd total the larger half comes after
    (5, 3, 1, 1, (1, 1)),
    (5, 4, 1, 1, (1, 2)),
    (6, 3, 2, 1, (0, 1)),
    (5, 3, 1, 2, (2, 2)),
    (7, 1, 3, 1, (0, 0)),                                            # never negative
])
def test_same_padding_is_tensorflows(size, window, stride, dilation, expected):
    one, other = resolve_padding("same", (size, 9), (window, 1), (stride, 1), (dilation, 1))
    assert (one, other) == (expected, (0, 0))
    one, other = resolve_padding("same", (9, size), (1, window), (1, stride), (1, dilation))
    assert (one, other) == ((0, 0), expected)


@pytest.mark.parametrize("stride", [1, 2, 3])
@pytest.mark.parametrize("kind", [lambda **s: Conv2D(2, 3, **s), lambda **s: DepthwiseConv2D(3, **s),
                                  lambda **s: MaxPool2D(3, **s), lambda **s: AvgPool2D(3, **s)],
                         ids=["conv", "depthwise", "max pool", "average pool"])
def test_same_padding_gives_the_size_over_the_stride_rounded_up(kind, stride):
    layer = kind(strides=stride, padding="same")
    expected = (-(-7 // stride), -(-8 // stride), 2)
    assert layer.init(0, (7, 8, 2)) == expected
    assert layer.astype("float64")(np.ones((1, 7, 8, 2))).shape == (1, *expected)
