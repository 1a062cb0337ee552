"""Max pooling: the largest element of each window, and where it was."""
from ..shapes import output_size
from .array_module import accumulator, get_array_module
from .windows import pad_image, window_elements


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


def max_pool2d_backward(dy, winners, x_shape):
    """dx[n, winner, c] += dy: the gradient goes to the element that won; one that won often sums."""
    xp = get_array_module(dy)
    N, H, W, C = x_shape
    OHOW = dy.shape[1] * dy.shape[2]
    # One spare place behind the image takes the gradient of the windows that saw only padding.
    place = xp.where(winners < 0, H * W, winners).reshape(N, OHOW, C)
    image = xp.arange(N).reshape(N, 1, 1)
    channel = xp.arange(C).reshape(1, 1, C)
    dx = xp.zeros((N, H * W + 1, C), accumulator(dy.dtype))
    xp.add.at(dx, (image, place, channel), dy.reshape(N, OHOW, C).astype(dx.dtype, copy=False))
    return dx[:, :H * W].reshape(x_shape).astype(dy.dtype, copy=False)
