"""Convolution: 1x1 windows as products of matrices by cuBLAS, all others as implicit ones. Kernels: conv.cu, tile*.cuh.

N images of H x W x C give N x OH x OW x F; groups: each of G groups has C/G inputs and F/G outputs.
"""
from ..reference.conv import conv2d_input
from ..shapes import output_size
from .activation import relu_backward
from .arithmetic import add
from .bias import activation_and_bias_backward, add_bias
from .columns import together
from .launch import MOST, THREADS, array, blocks, empty, launch
from .precision import precision, product
from .windows import window

ENOUGH = 512                                     # blocks, to keep a device busy
SHARE = 512                                      # pixels, at least, that a block of backward-weights sums over

__all__ = ["conv2d", "conv2d_backward", "conv2d_backward_data", "conv2d_backward_weights", "conv2d_input"]


def conv2d(x, w, b, strides, padding, dilation, groups, activation=None):
    """y[n,oh,ow,f] = b[f] + Σ_{kh,kw,c} x[n, oh·SH - top + kh·DH, ow·SW - left + kw·DW, c] w[kh,kw,c,f]; activated.

    x (N, H, W, C), w (KH, KW, C/groups, F), b (F,) or None -> y (N, OH, OW, F).
    """
    w = array("conv2d", "w", w, (None,) * 4)
    KH, KW, CG, F = w.shape
    x = array("conv2d", "x", x, (None, None, None, CG * groups))
    b = None if b is None else array("conv2d", "b", b, (F,))
    N, OH, OW = _outputs(x.shape, w.shape, strides, padding, dilation)
    if _is_product(w.shape, padding, groups):
        rows = _picked(x, strides).reshape(N * OH * OW, CG)
        y = add_bias(product(rows, w.reshape(CG, F)), b, activation)  # (N*OH*OW, F) = (N*OH*OW, C) @ (C, F)
        return y.reshape(N, OH, OW, F)
    y = empty((N, OH, OW, F))
    _launch("conv2d", N * OH * OW, F // groups, x.shape, y.shape, w.shape, strides, padding, dilation,
            x=x, w=w, b=b, y=y, activation={None: 0, "relu": 1, "tanh": 2}[activation])
    return y


def conv2d_backward_data(dy, w, x_shape, strides, padding, dilation, groups, init=None, gate=None):
    """dx[n,p,q,c] = Σ dy w over the windows and taps that read pixel (p, q); + init; 0 where gate is not above 0.

    dy (N, OH, OW, F) -> dx (N, H, W, C), init and gate have its shape."""
    dx = _backward_data(dy, w, x_shape, strides, padding, dilation, groups)
    dx = dx if init is None else add(init, dx, 1.0)
    return dx if gate is None else relu_backward(dx, gate, 0.0, None, 0.0)


def _backward_data(dy, w, x_shape, strides, padding, dilation, groups):
    w = array("conv2d_backward_data", "w", w, (None, None, x_shape[3] // groups, None))
    N, H, W, C = x_shape
    F = w.shape[3]
    dy = array("conv2d_backward_data", "dy", dy, (*_outputs(x_shape, w.shape, strides, padding, dilation), F))
    if _is_product(w.shape, padding, groups):
        rows = product(dy.reshape(-1, F), w.reshape(C, F).T)         # (N*OH*OW, C) = (N*OH*OW, F) @ (F, C)
        if strides == (1, 1):
            return rows.reshape(x_shape)
        dx = empty(x_shape)
        dx[...] = 0
        _picked(dx, strides)[...] = rows.reshape(*dy.shape[:3], C)
        return dx
    dx = empty(x_shape)
    SH, SW = strides                             # a pixel's windows depend on its place modulo the strides: phases
    _launch("conv2d_backward_data", N * blocks(H, SH) * blocks(W, SW), C // groups, x_shape, dy.shape, w.shape, strides,
            padding, dilation, SH * SW, dy=dy, w=w, dx=dx)
    return dx


def conv2d_backward_weights(dy, x, w_shape, strides, padding, dilation, groups):
    """dw[kh,kw,c,f] = Σ x dy over all windows of the batch.  -> dw (KH, KW, C/groups, F)."""
    KH, KW, CG, F = w_shape
    x = array("conv2d_backward_weights", "x", x, (None, None, None, CG * groups))
    N, OH, OW = _outputs(x.shape, w_shape, strides, padding, dilation)
    dy = array("conv2d_backward_weights", "dy", dy, (N, OH, OW, F))
    pixels, rows = N * OH * OW, KH * KW * CG
    if _is_product(w_shape, padding, groups):
        windows = array("conv2d_backward_weights", "x", _picked(x, strides)).reshape(pixels, CG)
        return product(windows.T, dy.reshape(pixels, F)).reshape(w_shape)  # (C, F) = (C, N*OH*OW) @ (N*OH*OW, F)
    tiles = blocks(rows, 64) * blocks(F // groups, 64) * groups
    share = max(SHARE, blocks(pixels, max(1, ENOUGH // tiles)))
    shares = max(1, blocks(pixels, share))
    partial = empty((shares, rows * F))
    _launch("conv2d_backward_weights", rows, F // groups, x.shape, dy.shape, w_shape, strides, padding, dilation,
            shares, dy=dy, x=x, dw=partial, pixels=share)
    return together(partial).reshape(w_shape)


def conv2d_backward(dy, y, x, x_shape, w, strides, padding, dilation, groups, activation, needs, init=None, gate=None):
    """dx, dw and db of y = activation(conv2d(x, w, b)), None for those that `needs` does not name: three flags. y and x
    are used for the activation and for dw only. init, gate: of conv2d_backward_data."""
    window = strides, padding, dilation, groups
    dz, db = activation_and_bias_backward(dy, y, activation, needs[2])
    dw = conv2d_backward_weights(dz, x, w.shape, *window) if needs[1] else None
    return conv2d_backward_data(dz, w, x_shape, *window, init, gate) if needs[0] else None, dw, db


def _outputs(x_shape, w_shape, strides, padding, dilation):
    """(N, OH, OW)"""
    return (x_shape[0], *(output_size(*axis) for axis in zip(x_shape[1:3], w_shape, strides, padding, dilation)))


def _is_product(w_shape, padding, groups):
    return w_shape[:2] == (1, 1) and groups == 1 and padding == ((0, 0), (0, 0))


def _picked(x, strides):
    """The pixels that windows of 1x1 read: a view (N, OH, OW, C)."""
    return x[:, ::strides[0], ::strides[1]]


def _launch(name, rows, columns, x_shape, y_shape, w_shape, strides, padding, dilation, shares=1, **arguments):
    """One of the three passes, whose result has `rows` and, in each group, `columns`, and consists of so many shares."""
    for what, shape in (("the images", x_shape), ("the results", y_shape)):
        if shape[0] * shape[1] * shape[2] * shape[3] > MOST:
            raise ValueError(f"{name}: {what} {shape} are more than {MOST:,} numbers; use a smaller batch")
    groups, TILE_N = x_shape[3] // w_shape[2], 128 if columns > 64 else 64
    TILE_M = 128 if blocks(rows, 128) * blocks(columns, TILE_N) * groups * shares >= ENOUGH // 2 else 64
    TILE_N = min(TILE_N, TILE_M)
    macros = ("TILE_M", TILE_M), ("TILE_N", TILE_N), ("TF32", int(precision.tf32))
    launch("conv", name, (blocks(rows, TILE_M), blocks(columns, TILE_N), groups * shares), (THREADS,), macros,
           N=x_shape[0], F=y_shape[3], CG=w_shape[2], FG=y_shape[3] // groups,
           **window(x_shape, y_shape[1:3], w_shape[:2], strides, padding, dilation), **arguments)
