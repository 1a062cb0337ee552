"""Depthwise convolution: each channel is filtered alone, by m filters of its own. Kernels: depthwise.cu.

w (KH, KW, 1, F) with F = C·m; output channel f = c·m + j reads input channel c = f // m.
"""
from ..shapes import output_size
from . import launch as launching
from .columns import BLOCK, COLUMNS, parts, together
from .launch import THREADS, array, blocks, empty, launch, real
from .precision import factors
from .windows import window

PIXELS = 4                                       # of a line that a thread has, as in depthwise.cu


def depthwise_conv2d(x, w, b, strides, padding, dilation):
    """y[n,oh,ow,f] = b[f] + Σ_{kh,kw} x[n, oh·SH - top + kh·DH, ow·SW - left + kw·DW, f // m] w[kh,kw,0,f].

    x (N, H, W, C), b (F,) or None -> y (N, OH, OW, F).
    """
    x, w = real("depthwise_conv2d", "x", x, (None,) * 4), array("depthwise_conv2d", "w", w, (None, None, 1, None))
    F = _filters("depthwise_conv2d", x.shape, w.shape)
    b = None if b is None else array("depthwise_conv2d", "b", b, (F,))
    x, = factors(x)
    y = empty(_outputs(x.shape, w.shape, strides, padding, dilation), x.dtype)
    _launch("depthwise_conv2d", y.shape, _channels(x, w, F), x=x, w=w, b=b, y=y, F=F,
            **window(x.shape, y.shape[1:3], w.shape[:2], strides, padding, dilation))
    return y


def depthwise_conv2d_backward_data(dy, w, x_shape, strides, padding, dilation):
    """dx[pixel, c] = Σ over the windows (kh, kw) that cover the pixel and the m filters of c: dy w."""
    w = array("depthwise_conv2d_backward_data", "w", w, (None, None, 1, None))
    F = _filters("depthwise_conv2d_backward_data", x_shape, w.shape)
    y_shape = _outputs(x_shape, w.shape, strides, padding, dilation)
    dy, = factors(real("depthwise_conv2d_backward_data", "dy", dy, y_shape))
    dx = empty(x_shape, dy.dtype)
    _launch("depthwise_conv2d_backward_data", x_shape, _channels(dy, w, x_shape[3]), dy=dy, w=w, dx=dx, F=F,
            **window(x_shape, y_shape[1:3], w.shape[:2], strides, padding, dilation))
    return dx


def depthwise_conv2d_backward_weights(dy, x, w_shape, strides, padding, dilation):
    """dw[kh,kw,0,f] = Σ_{n,oh,ow} dy[n,oh,ow,f] x[n, oh·SH - top + kh·DH, ow·SW - left + kw·DW, f // m]."""
    x = real("depthwise_conv2d_backward_weights", "x", x, (None,) * 4)
    F = _filters("depthwise_conv2d_backward_weights", x.shape, w_shape)
    N, OH, OW, _ = y_shape = _outputs(x.shape, w_shape, strides, padding, dilation)
    dy, M, (KH, KW) = real("depthwise_conv2d_backward_weights", "dy", dy, y_shape), N * OH * OW, w_shape[:2]
    dy, x = factors(dy, x)
    channels = _channels(x, dy, F)
    while channels > 1 and F // channels < COLUMNS:                  # all 32 columns of a block should have some
        channels //= 2
    (across, down), rows = parts(M, F // channels)
    partial = empty((down, KH * KW * F))
    launch("depthwise", "depthwise_conv2d_backward_weights", (across, down, KH), BLOCK,
           (("CHANNELS", channels), ("TAPS", KW)), dy=dy, x=x, dw=partial, M=M, rows=rows, F=F,
           **window(x.shape, y_shape[1:3], (KH, KW), strides, padding, dilation))
    return together(partial).reshape(w_shape)


def _channels(a, b, F):
    """How many channels a thread takes: the 16 bytes of `a` that lie together, if each has one filter, else one."""
    numbers = 16 // a.dtype.itemsize
    aligned = all(launching.device.address(array) % 16 == 0 for array in (a, b))
    return numbers if aligned and F == a.shape[3] and F % numbers == 0 else 1


def _launch(name, shape, channels, **arguments):
    """For a result of this shape, in which a thread has so many channels of PIXELS pixels of a line."""
    N, H, W, C = shape
    n = N * H * blocks(W, PIXELS) * (C // channels)
    launch("depthwise", name, (blocks(n, THREADS),), (THREADS,), (("CHANNELS", channels),), n=n, **arguments)


def _filters(operation, x_shape, w_shape):
    C, F = x_shape[3], w_shape[3]
    if F % C:
        raise ValueError(f"{operation}: {F} filters are no multiple of {C} channels; each channel has as many")
    return F


def _outputs(x_shape, w_shape, strides, padding, dilation):
    """(N, OH, OW, F)"""
    OH, OW = (output_size(*axis) for axis in zip(x_shape[1:3], w_shape, strides, padding, dilation))
    return x_shape[0], OH, OW, w_shape[3]
