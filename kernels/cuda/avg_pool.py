"""Average pooling: over sliding windows, over a fixed number of bins, over the whole image. Kernels: avg_pool.cu."""
from ..shapes import output_size
from .launch import each, empty, real
from .windows import window


def avg_pool2d(x, pool_size, strides, padding, ceil_mode, count_include_pad):
    """y = (Σ over the window) / (number of its elements).  x (N, H, W, C) -> y (N, OH, OW, C)."""
    x = real("avg_pool2d", "x", x, (None,) * 4)
    output = tuple(output_size(*axis, 1, ceil_mode) for axis in zip(x.shape[1:3], pool_size, strides, padding))
    y = empty((x.shape[0], *output, x.shape[3]), x.dtype)
    each("avg_pool", "avg_pool2d", y.size, x=x, y=y,
         **_window(x.shape, output, pool_size, strides, padding, count_include_pad))
    return y


def avg_pool2d_backward(dy, x_shape, pool_size, strides, padding, ceil_mode, count_include_pad):
    """dx = Σ dy / (number of elements) over the windows that cover the element."""
    dy = real("avg_pool2d_backward", "dy", dy, (x_shape[0], None, None, x_shape[3]))
    dx = empty(x_shape, dy.dtype)
    each("avg_pool", "avg_pool2d_backward", dx.size, dy=dy, dx=dx,
         **_window(x_shape, dy.shape[1:3], pool_size, strides, padding, count_include_pad))
    return dx


def _window(x_shape, output, pool_size, strides, padding, count_include_pad):
    names = window(x_shape, output, pool_size, strides, padding, (1, 1))
    del names["DH"], names["DW"]
    return {**names, "bottom": padding[0][1], "right": padding[1][1], "count_include_pad": int(count_include_pad)}


def adaptive_avg_pool2d(x, output_size):
    """y[n,oh,ow,c] = the mean of x over bin (oh, ow).  x (N, H, W, C) -> y (N, *output_size, C)."""
    x = real("adaptive_avg_pool2d", "x", x, (None,) * 4)
    y = empty((x.shape[0], *output_size, x.shape[3]), x.dtype)
    _bins("adaptive_avg_pool2d", x.shape, y.shape, y.size, x=x, y=y)
    return y


def adaptive_avg_pool2d_backward(dy, x_shape):
    """dx = Σ dy / (elements of the bin) over the bins that hold the element."""
    dy = real("adaptive_avg_pool2d_backward", "dy", dy, (x_shape[0], None, None, x_shape[3]))
    dx = empty(x_shape, dy.dtype)
    _bins("adaptive_avg_pool2d_backward", x_shape, dy.shape, dx.size, dy=dy, dx=dx)
    return dx


def _bins(kernel, x_shape, y_shape, n, **arrays):
    _, H, W, C = x_shape
    each("avg_pool", kernel, n, H=H, W=W, C=C, OH=y_shape[1], OW=y_shape[2], **arrays)


def global_avg_pool2d(x):
    """y[n,c] = the mean of x[n,:,:,c].  x (N, H, W, C) -> y (N, C)."""
    N, _, _, C = real("global_avg_pool2d", "x", x, (None,) * 4).shape
    return adaptive_avg_pool2d(x, (1, 1)).reshape(N, C)


def global_avg_pool2d_backward(dy, x_shape):
    """dx[n,h,w,c] = dy[n,c] / (H·W)."""
    N, _, _, C = x_shape
    dy = real("global_avg_pool2d_backward", "dy", dy, (N, C))
    return adaptive_avg_pool2d_backward(dy.reshape(N, 1, 1, C), x_shape)
