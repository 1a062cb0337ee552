"""Depthwise convolution: each channel is filtered alone, by m filters of its own. Kernels: depthwise.cu.

w (KH, KW, 1, F) with F = C·m; output channel f = c·m + j reads input channel c = f // m.
"""
from ..shapes import output_size
from .columns import BLOCK, parts, together
from .launch import array, each, empty, launch
from .windows import window


def depthwise_conv2d(x, w, b, strides, padding, dilation):
    """y[n,oh,ow,f] = b[f] + Σ_{kh,kw} x[n, oh·SH - top + kh·DH, ow·SW - left + kw·DW, f // m] w[kh,kw,0,f].

    x (N, H, W, C), b (F,) or None -> y (N, OH, OW, F).
    """
    x, w = array("depthwise_conv2d", "x", x, (None,) * 4), array("depthwise_conv2d", "w", w, (None, None, 1, None))
    F = _filters("depthwise_conv2d", x.shape, w.shape)
    b = None if b is None else array("depthwise_conv2d", "b", b, (F,))
    y = empty(_outputs(x.shape, w.shape, strides, padding, dilation))
    each("depthwise", "depthwise_conv2d", y.size, x=x, w=w, b=b, y=y, F=F,
         **window(x.shape, y.shape[1:3], w.shape[:2], strides, padding, dilation))
    return y


def depthwise_conv2d_backward_data(dy, w, x_shape, strides, padding, dilation):
    """dx[pixel, c] = Σ over the windows (kh, kw) that cover the pixel and the m filters of c: dy w."""
    w = array("depthwise_conv2d_backward_data", "w", w, (None, None, 1, None))
    F = _filters("depthwise_conv2d_backward_data", x_shape, w.shape)
    y_shape = _outputs(x_shape, w.shape, strides, padding, dilation)
    dy, dx = array("depthwise_conv2d_backward_data", "dy", dy, y_shape), empty(x_shape)
    each("depthwise", "depthwise_conv2d_backward_data", dx.size, dy=dy, w=w, dx=dx, F=F,
         **window(x_shape, y_shape[1:3], w.shape[:2], strides, padding, dilation))
    return dx


def depthwise_conv2d_backward_weights(dy, x, w_shape, strides, padding, dilation):
    """dw[kh,kw,0,f] = Σ_{n,oh,ow} dy[n,oh,ow,f] x[n, oh·SH - top + kh·DH, ow·SW - left + kw·DW, f // m]."""
    x = array("depthwise_conv2d_backward_weights", "x", x, (None,) * 4)
    F = _filters("depthwise_conv2d_backward_weights", x.shape, w_shape)
    N, OH, OW, _ = y_shape = _outputs(x.shape, w_shape, strides, padding, dilation)
    dy, M, (KH, KW) = array("depthwise_conv2d_backward_weights", "dy", dy, y_shape), N * OH * OW, w_shape[:2]
    (across, down), rows = parts(M, F)
    partial = empty((down, KH * KW * F))
    launch("depthwise", "depthwise_conv2d_backward_weights", (across, down, KH * KW), BLOCK, dy=dy, x=x, dw=partial,
           M=M, rows=rows, F=F, **window(x.shape, y_shape[1:3], (KH, KW), strides, padding, dilation))
    return together(partial).reshape(w_shape)


def _filters(operation, x_shape, w_shape):
    C, F = x_shape[3], w_shape[3]
    if F % C:
        raise ValueError(f"{operation}: {F} filters are no multiple of {C} channels; each channel has as many")
    return F


def _outputs(x_shape, w_shape, strides, padding, dilation):
    """(N, OH, OW, F)"""
    OH, OW = (output_size(*axis) for axis in zip(x_shape[1:3], w_shape, strides, padding, dilation))
    return x_shape[0], OH, OW, w_shape[3]
