"""Max pooling: the largest element of each window, and where it was."""
from ..shapes import output_size
from .array_module import accumulator, get_array_module
from .windows import crop_image, pad_image, window_elements


def max_pool2d(x, pool_size, strides, padding, dilation, ceil_mode):
    """y = max over the window; winners = ih·W + iw of the first maximum.  Ranzato et al. 2007.

    x (N, H, W, C) -> y (N, OH, OW, C), winners int32 (N, OH, OW, C). Padding never wins, not even over -inf;
    NaN wins over all numbers. A window of nothing but padding gives -inf, the maximum of no number, and
    winner -1.
    """
    xp = get_array_module(x)
    N, H, W, C = x.shape
    OH = output_size(H, pool_size[0], strides[0], padding[0], dilation[0], ceil_mode)
    OW = output_size(W, pool_size[1], strides[1], padding[1], dilation[1], ceil_mode)
    geometry = (pool_size, strides, padding, dilation, (OH, OW))
    indices = xp.arange(H * W, dtype="int32").reshape(1, H, W, 1)
    indices = pad_image(indices, *geometry, value=-1)                # (1, PH, PW, 1): -1 marks the padding
    values = pad_image(x, *geometry)                                 # (N, PH, PW, C): never looked at there
    y = xp.full((N, OH, OW, C), -xp.inf, x.dtype)
    winners = xp.full((N, OH, OW, C), -1, "int32")
    for _, _, at in window_elements(pool_size, strides, dilation, (OH, OW)):
        value, index = values[at], indices[at]                       # (N, OH, OW, C), (1, OH, OW, 1)
        larger = (winners < 0) | (value > y) | (xp.isnan(value) & ~xp.isnan(y))
        wins = (index >= 0) & larger
        y = xp.where(wins, value, y)
        winners = xp.where(wins, index, winners)
    return y, winners


def max_pool2d_backward(dy, winners, x_shape, pool_size, strides, padding, dilation):
    """dx = Σ dy over the windows that the element has won: the maximum is that element, so its slope is 1 there, else 0."""
    xp = get_array_module(dy)
    _, H, W, _ = x_shape
    geometry = (pool_size, strides, padding, dilation, dy.shape[1:3])
    indices = xp.arange(H * W, dtype="int32").reshape(1, H, W, 1)
    indices = pad_image(indices, *geometry, value=-2)                # (1, PH, PW, 1): the padding has won nothing
    dx = pad_image(xp.zeros(x_shape, accumulator(dy.dtype)), *geometry)
    for _, _, at in window_elements(pool_size, strides, dilation, dy.shape[1:3]):
        dx[at] += xp.where(winners == indices[at], dy, 0)            # (N, OH, OW, C)
    return crop_image(dx, padding, x_shape).astype(dy.dtype, copy=False)
