"""Convolution as a matrix product: im2col copies each window into a row, and one product does the rest.

Chellapilla, Puri & Simard 2006, "High performance convolutional neural networks for document processing".
N images of H x W x C give N x OH x OW x F; groups: each of G groups has C/G inputs and F/G outputs.
"""
from ..shapes import output_size
from .activation import ACTIVATIONS, relu_backward
from .arithmetic import add
from .array_module import accumulator, get_array_module
from .bias import activation_and_bias_backward
from .windows import crop_image, pad_image, window_elements


def im2col(x, window, strides, padding, dilation):
    """The windows of `x` (N, H, W, C), zero-padded: columns (N, OH, OW, KH, KW, C)."""
    xp = get_array_module(x)
    N, H, W, C = x.shape
    OH = output_size(H, window[0], strides[0], padding[0], dilation[0])
    OW = output_size(W, window[1], strides[1], padding[1], dilation[1])
    padded = pad_image(x, window, strides, padding, dilation, (OH, OW))
    columns = xp.empty((N, OH, OW, *window, C), x.dtype)
    for kh, kw, at in window_elements(window, strides, dilation, (OH, OW)):
        columns[:, :, :, kh, kw] = padded[at]                        # (N, OH, OW, C)
    return columns


def col2im(columns, x_shape, strides, padding, dilation):
    """The derivative of im2col: each element of the image sums its copies in the windows. -> x_shape"""
    xp = get_array_module(columns)
    N, OH, OW, KH, KW, C = columns.shape
    window = (KH, KW)
    empty = xp.zeros(x_shape, columns.dtype)
    padded = pad_image(empty, window, strides, padding, dilation, (OH, OW))
    for kh, kw, at in window_elements(window, strides, dilation, (OH, OW)):
        padded[at] += columns[:, :, :, kh, kw]                       # (N, OH, OW, C)
    return crop_image(padded, padding, x_shape)


def _channels(C, F, groups):
    """For each group, the slice of the C input channels it reads and of the F outputs it writes."""
    CG, FG = C // groups, F // groups
    return [(slice(g * CG, (g + 1) * CG), slice(g * FG, (g + 1) * FG)) for g in range(groups)]


def conv2d_input(x, w_shape, strides, padding, dilation, groups):
    """x in the order in memory that conv2d and conv2d_backward_weights want: any order here."""
    return x


def conv2d(x, w, b, strides, padding, dilation, groups, activation=None):
    """y[n,oh,ow,f] = b[f] + Σ_{kh,kw,c} x[n, oh·SH - top + kh·DH, ow·SW - left + kw·DW, c] w[kh,kw,c,f].

    x (N, H, W, C), w (KH, KW, C/groups, F), b (F,) or None -> y (N, OH, OW, F); x is 0 outside the image.
    activation: "relu" or "tanh", of y.
    A cross-correlation, as in every network library: LeCun et al. 1998, sec. II.A. Groups: Krizhevsky et
    al. 2012, sec. 3.5. Dilation: Yu & Koltun 2016, sec. 2.
    """
    xp = get_array_module(x)
    wide = accumulator(x.dtype)
    KH, KW, CG, F = w.shape
    FG = F // groups
    columns = im2col(x.astype(wide, copy=False), (KH, KW), strides, padding, dilation)
    N, OH, OW = columns.shape[:3]
    y = xp.empty((N * OH * OW, F), wide)
    for inputs, outputs in _channels(x.shape[3], F, groups):
        rows = columns[..., inputs].reshape(N * OH * OW, KH * KW * CG)
        weights = w[..., outputs].reshape(KH * KW * CG, FG).astype(wide, copy=False)
        y[:, outputs] = rows @ weights           # (N*OH*OW, FG) = (N*OH*OW, KH*KW*CG) @ (KH*KW*CG, FG)
    if b is not None:
        y += b                                   # (N*OH*OW, F) + (F,)
    y = y.reshape(N, OH, OW, F).astype(x.dtype, copy=False)
    return ACTIVATIONS[activation](y)


def conv2d_backward_data(dy, w, x_shape, strides, padding, dilation, groups, init=None, gate=None):
    """y = columns @ w, so dcolumns = dy @ wᵀ, and dx sums the copies of each pixel: col2im(dcolumns).

    dy (N, OH, OW, F) -> dx (N, H, W, C); init and gate have its shape. Where x goes another way too, init is the gradient
    that comes back on it, and is added; where x is a ReLU's result, it is the gate, and dx is 0 where x is not above 0.
    A fast kernel may write dx into init.
    """
    xp = get_array_module(dy)
    wide = accumulator(dy.dtype)
    N, OH, OW, F = dy.shape
    KH, KW, CG, _ = w.shape
    FG = F // groups
    dcolumns = xp.empty((N, OH, OW, KH, KW, x_shape[3]), wide)
    for inputs, outputs in _channels(x_shape[3], F, groups):
        gradient = dy[..., outputs].reshape(N * OH * OW, FG).astype(wide, copy=False)
        weights = w[..., outputs].reshape(KH * KW * CG, FG).astype(wide, copy=False)
        rows = gradient @ weights.T              # (N*OH*OW, KH*KW*CG) = (N*OH*OW, FG) @ (FG, KH*KW*CG)
        dcolumns[..., inputs] = rows.reshape(N, OH, OW, KH, KW, CG)
    dx = col2im(dcolumns, x_shape, strides, padding, dilation).astype(dy.dtype, copy=False)
    dx = dx if init is None else add(init, dx, 1.0)
    return dx if gate is None else relu_backward(dx, gate, 0.0, None, 0.0)


def conv2d_backward_weights(dy, x, w_shape, strides, padding, dilation, groups):
    """y = columns @ w, so dw = columnsᵀ @ dy: each weight sums over all windows of the batch.

    dy (N, OH, OW, F), x (N, H, W, C) -> dw (KH, KW, C/groups, F).
    """
    xp = get_array_module(dy)
    wide = accumulator(dy.dtype)
    N, OH, OW, F = dy.shape
    KH, KW, CG, _ = w_shape
    FG = F // groups
    columns = im2col(x.astype(wide, copy=False), (KH, KW), strides, padding, dilation)
    dw = xp.empty(w_shape, wide)
    for inputs, outputs in _channels(x.shape[3], F, groups):
        rows = columns[..., inputs].reshape(N * OH * OW, KH * KW * CG)
        gradient = dy[..., outputs].reshape(N * OH * OW, FG).astype(wide, copy=False)
        weights = rows.T @ gradient              # (KH*KW*CG, FG) = (KH*KW*CG, N*OH*OW) @ (N*OH*OW, FG)
        dw[..., outputs] = weights.reshape(KH, KW, CG, FG)
    return dw.astype(dy.dtype, copy=False)


def conv2d_backward(dy, y, x, x_shape, w, strides, padding, dilation, groups, activation, needs, init=None, gate=None):
    """dx, dw and db of y = activation(conv2d(x, w, b)), None for those that `needs` does not name: three flags. y and x are
    used for the activation and for dw only. init, gate: of conv2d_backward_data."""
    window = strides, padding, dilation, groups
    dz, db = activation_and_bias_backward(dy, y, activation, needs[2])
    dw = conv2d_backward_weights(dz, x, w.shape, *window) if needs[1] else None
    return conv2d_backward_data(dz, w, x_shape, *window, init, gate) if needs[0] else None, dw, db
