"""Average pooling: over sliding windows, over a fixed number of bins, over the whole image."""
from ..shapes import output_size
from .array_module import accumulator, get_array_module
from .windows import crop_image, pad_image, window_elements


def _divisor(xp, x_shape, pool_size, strides, padding, output, count_include_pad, dtype):
    """How many elements each window averages, (OH, OW, 1): rows that count times columns that count.

    Never what overhangs the padding (ceil_mode); what lies in the padding only with count_include_pad.
    At least 1, so that a window of nothing but padding averages to 0.
    """
    counts = []
    for axis in range(2):
        before, after = padding[axis]
        size = x_shape[1 + axis]
        start = xp.arange(output[axis]) * strides[axis]              # in the padded image
        first, end = (0, before + size + after) if count_include_pad else (before, before + size)
        count = xp.minimum(start + pool_size[axis], end) - xp.maximum(start, first)
        counts.append(xp.maximum(count, 0))
    rows, columns = counts
    return xp.maximum(rows[:, None, None] * columns[:, None], 1).astype(dtype)


def avg_pool2d(x, pool_size, strides, padding, ceil_mode, count_include_pad):
    """y = (Σ over the window) / (number of its elements).  LeCun et al. 1998, sec. II.B ("sub-sampling").

    x (N, H, W, C) -> y (N, OH, OW, C).
    """
    xp = get_array_module(x)
    wide = accumulator(x.dtype)
    N, H, W, C = x.shape
    OH = output_size(H, pool_size[0], strides[0], padding[0], 1, ceil_mode)
    OW = output_size(W, pool_size[1], strides[1], padding[1], 1, ceil_mode)
    padded = pad_image(x.astype(wide, copy=False), pool_size, strides, padding, (1, 1), (OH, OW))
    total = xp.zeros((N, OH, OW, C), wide)
    for _, _, at in window_elements(pool_size, strides, (1, 1), (OH, OW)):
        total += padded[at]                                          # (N, OH, OW, C)
    divisor = _divisor(xp, x.shape, pool_size, strides, padding, (OH, OW), count_include_pad, wide)
    return (total / divisor).astype(x.dtype, copy=False)


def avg_pool2d_backward(dy, x_shape, pool_size, strides, padding, ceil_mode, count_include_pad):
    """dx = Σ dy / (number of elements) over the windows that cover the element."""
    xp = get_array_module(dy)
    wide = accumulator(dy.dtype)
    output = dy.shape[1:3]
    divisor = _divisor(xp, x_shape, pool_size, strides, padding, output, count_include_pad, wide)
    share = dy / divisor                                             # (N, OH, OW, C)
    padded = pad_image(xp.zeros(x_shape, wide), pool_size, strides, padding, (1, 1), output)
    for _, _, at in window_elements(pool_size, strides, (1, 1), output):
        padded[at] += share
    return crop_image(padded, padding, x_shape).astype(dy.dtype, copy=False)


def _bins(size, count):
    """`count` slices that cover `size` elements: floor(i·size/count) .. ceil((i+1)·size/count).

    As even as integers allow; neighbours share an element where count does not divide size.
    """
    return [slice(i * size // count, -((i + 1) * size // -count)) for i in range(count)]


def adaptive_avg_pool2d(x, output_size):
    """y[n,oh,ow,c] = the mean of x over bin (oh, ow).  x (N, H, W, C) -> y (N, *output_size, C).

    He et al. 2014, "Spatial pyramid pooling", sec. 2.2, with PyTorch's bins.
    """
    xp = get_array_module(x)
    wide = accumulator(x.dtype)
    N, H, W, C = x.shape
    y = xp.empty((N, *output_size, C), x.dtype)
    for oh, rows in enumerate(_bins(H, output_size[0])):
        for ow, columns in enumerate(_bins(W, output_size[1])):
            y[:, oh, ow] = x[:, rows, columns].mean(axis=(1, 2), dtype=wide)             # (N, C)
    return y


def adaptive_avg_pool2d_backward(dy, x_shape):
    """dx = Σ dy / (elements of the bin) over the bins that hold the element."""
    xp = get_array_module(dy)
    dx = xp.zeros(x_shape, accumulator(dy.dtype))
    for oh, rows in enumerate(_bins(x_shape[1], dy.shape[1])):
        for ow, columns in enumerate(_bins(x_shape[2], dy.shape[2])):
            elements = (rows.stop - rows.start) * (columns.stop - columns.start)
            dx[:, rows, columns] += dy[:, oh, ow][:, None, None] / elements              # (N, 1, 1, C)
    return dx.astype(dy.dtype, copy=False)


def global_avg_pool2d(x):
    """y[n,c] = the mean of x[n,:,:,c].  x (N, H, W, C) -> y (N, C).  Lin, Chen & Yan 2014, sec. 3.2."""
    return x.mean(axis=(1, 2), dtype=accumulator(x.dtype)).astype(x.dtype, copy=False)


def global_avg_pool2d_backward(dy, x_shape):
    """dx[n,h,w,c] = dy[n,c] / (H·W)."""
    xp = get_array_module(dy)
    N, H, W, C = x_shape
    dx = xp.empty(x_shape, dy.dtype)
    dx[...] = (dy / (H * W)).reshape(N, 1, 1, C)
    return dx
