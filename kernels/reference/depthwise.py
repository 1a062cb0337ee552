"""Depthwise convolution: each channel is filtered alone, by m filters of its own.

Chollet 2017, "Xception", sec. 1.2; Howard et al. 2017, "MobileNets", sec. 3.1.
w (KH, KW, 1, F) with F = C·m; output channel f = c·m + j reads input channel c = f // m.
"""
from ..shapes import output_size
from .array_module import accumulator, get_array_module
from .windows import crop_image, pad_image, window_elements


def depthwise_conv2d(x, w, b, strides, padding, dilation):
    """y[n,oh,ow,f] = b[f] + Σ_{kh,kw} x[n, oh·SH - top + kh·DH, ow·SW - left + kw·DW, f // m] w[kh,kw,0,f].

    x (N, H, W, C), b (F,) or None -> y (N, OH, OW, F).
    """
    xp = get_array_module(x)
    wide = accumulator(x.dtype)
    N, H, W, C = x.shape
    KH, KW, _, F = w.shape
    OH = output_size(H, KH, strides[0], padding[0], dilation[0])
    OW = output_size(W, KW, strides[1], padding[1], dilation[1])
    filters = w.reshape(KH, KW, C, F // C).astype(wide, copy=False)
    padded = pad_image(x.astype(wide, copy=False), (KH, KW), strides, padding, dilation, (OH, OW))
    y = xp.zeros((N, OH, OW, C, F // C), wide)
    for kh, kw, at in window_elements((KH, KW), strides, dilation, (OH, OW)):
        y += padded[at][..., None] * filters[kh, kw]         # (N, OH, OW, C, m) += (N, OH, OW, C, 1) (C, m)
    y = y.reshape(N, OH, OW, F)
    if b is not None:
        y += b
    return y.astype(x.dtype, copy=False)


def depthwise_conv2d_backward_data(dy, w, x_shape, strides, padding, dilation):
    """dx[pixel, c] = Σ over the windows (kh, kw) that cover the pixel and the m filters of c: dy w."""
    xp = get_array_module(dy)
    wide = accumulator(dy.dtype)
    C = x_shape[3]
    N, OH, OW, F = dy.shape
    KH, KW = w.shape[:2]
    filters = w.reshape(KH, KW, C, F // C).astype(wide, copy=False)
    dy_by_channel = dy.reshape(N, OH, OW, C, F // C).astype(wide, copy=False)
    padded = pad_image(xp.zeros(x_shape, wide), (KH, KW), strides, padding, dilation, (OH, OW))
    for kh, kw, at in window_elements((KH, KW), strides, dilation, (OH, OW)):
        padded[at] += (dy_by_channel * filters[kh, kw]).sum(axis=4)      # (N, OH, OW, C), the sum over m
    return crop_image(padded, padding, x_shape).astype(dy.dtype, copy=False)


def depthwise_conv2d_backward_weights(dy, x, w_shape, strides, padding, dilation):
    """dw[kh,kw,0,f] = Σ_{n,oh,ow} dy[n,oh,ow,f] x[n, oh·SH - top + kh·DH, ow·SW - left + kw·DW, f // m]."""
    xp = get_array_module(dy)
    wide = accumulator(dy.dtype)
    C = x.shape[3]
    N, OH, OW, F = dy.shape
    KH, KW = w_shape[:2]
    dy_by_channel = dy.reshape(N, OH, OW, C, F // C).astype(wide, copy=False)
    padded = pad_image(x.astype(wide, copy=False), (KH, KW), strides, padding, dilation, (OH, OW))
    dw = xp.empty((KH, KW, C, F // C), wide)
    for kh, kw, at in window_elements((KH, KW), strides, dilation, (OH, OW)):
        products = dy_by_channel * padded[at][..., None]     # (N, OH, OW, C, m) · (N, OH, OW, C, 1)
        dw[kh, kw] = products.sum(axis=(0, 1, 2))            # (C, m)
    return dw.reshape(w_shape).astype(dy.dtype, copy=False)
