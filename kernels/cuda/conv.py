"""Convolution: 1x1 windows as products of matrices by cuBLAS; others on the tensor cores where precision and channels allow
it (conv_tensor.py); all others in float32. Kernels: conv.cu, tile.cuh.

N images of H x W x C give N x OH x OW x F; groups: each of G groups has C/G inputs and F/G outputs. A result has the dtype of
the factors, float32 or bfloat16, a gradient of weights float32.
"""
from ..reference.conv import conv2d_input
from ..shapes import output_size
from . import conv_tensor
from .activation import relu_backward
from .arithmetic import add
from .bias import ACTIVATIONS, activation_and_bias_backward, add_bias
from .columns import together
from .launch import FLOAT32, MOST, THREADS, array, blocks, empty, launch, real
from .precision import factors, product
from .windows import window

ENOUGH = 512                                     # blocks, to keep a device busy
SHARE = 512                                      # pixels, at least, that a block of backward-weights sums over

__all__ = ["conv2d", "conv2d_backward", "conv2d_backward_data", "conv2d_backward_weights", "conv2d_input"]


def conv2d(x, w, b, strides, padding, dilation, groups, activation=None):
    """y[n,oh,ow,f] = b[f] + Σ_{kh,kw,c} x[n, oh·SH - top + kh·DH, ow·SW - left + kw·DW, c] w[kh,kw,c,f]; activated.

    x (N, H, W, C), w (KH, KW, C/groups, F), b (F,) or None -> y (N, OH, OW, F).
    """
    w = real("conv2d", "w", w, (None,) * 4)
    KH, KW, CG, F = w.shape
    x = real("conv2d", "x", x, (None, None, None, CG * groups))
    b = None if b is None else array("conv2d", "b", b, (F,))
    x, w = factors(x, w)
    geometry = strides, padding, dilation
    N, OH, OW = _outputs(x.shape, w.shape, *geometry)
    if _is_product(w.shape, padding, groups):
        rows = real("conv2d", "x", _picked(x, strides)).reshape(N * OH * OW, CG)
        y = add_bias(product(rows, w.reshape(CG, F)), b, activation)  # (N*OH*OW, F) = (N*OH*OW, C) @ (C, F)
        return y.reshape(N, OH, OW, F)
    y = empty((N, OH, OW, F), x.dtype)
    if CT := conv_tensor.channels(x, w, CG, F // groups, groups):
        sizes = _sizes("conv2d", (*x.shape[:3], CT * groups), y.shape, (KH, KW, CT, F), *geometry)
        x, w = conv_tensor.filled_up(x, CT * groups), conv_tensor.filled_up(w.reshape(KH * KW, CG * F), CT * F)
        conv_tensor.conv2d(x, w.reshape(KH, KW, CT, F), b, y, sizes, activation)
        return y
    sizes = _sizes("conv2d", x.shape, y.shape, w.shape, *geometry)
    _launch("conv2d", N * OH * OW, F // groups, sizes, x=x, w=w, b=b, y=y, activation=ACTIVATIONS[activation])
    return y


def conv2d_backward_data(dy, w, x_shape, strides, padding, dilation, groups, init=None, gate=None):
    """dx[n,p,q,c] = Σ dy w over the windows and taps that read pixel (p, q); + init; 0 where gate is not above 0.

    dy (N, OH, OW, F) -> dx (N, H, W, C), init and gate have its shape."""
    dx = _backward_data(dy, w, x_shape, strides, padding, dilation, groups)
    dx = dx if init is None else add(init, dx, 1.0)
    return dx if gate is None else relu_backward(dx, gate, 0.0, None, 0.0)


def _backward_data(dy, w, x_shape, strides, padding, dilation, groups):
    w = array("conv2d_backward_data", "w", w, (None, None, x_shape[3] // groups, None))
    (N, H, W, C), F, geometry = x_shape, w.shape[3], (strides, padding, dilation)
    dy = real("conv2d_backward_data", "dy", dy, (*_outputs(x_shape, w.shape, *geometry), F))
    dy, w = factors(dy, w)
    if _is_product(w.shape, padding, groups):
        rows = product(dy.reshape(-1, F), w.reshape(C, F).T)         # (N*OH*OW, C) = (N*OH*OW, F) @ (F, C)
        return _put_back(rows.reshape(*dy.shape[:3], C), x_shape, strides)
    dx, sizes = empty(x_shape, dy.dtype), _sizes("conv2d_backward_data", x_shape, dy.shape, w.shape, *geometry)
    if conv_tensor.channels(dy, w, C // groups, F // groups, groups) == C // groups:
        conv_tensor.conv2d_backward_data(dy, w, dx, sizes)
        return dx
    SH, SW = strides                             # a pixel's windows depend on its place modulo the strides: phases
    _launch("conv2d_backward_data", N * blocks(H, SH) * blocks(W, SW), C // groups, sizes, SH * SW, dy=dy, w=w, dx=dx)
    return dx


def conv2d_backward_weights(dy, x, w_shape, strides, padding, dilation, groups):
    """dw[kh,kw,c,f] = Σ x dy over all windows of the batch.  -> dw (KH, KW, C/groups, F)."""
    (KH, KW, CG, F), geometry = w_shape, (strides, padding, dilation)
    x = real("conv2d_backward_weights", "x", x, (None, None, None, CG * groups))
    N, OH, OW = _outputs(x.shape, w_shape, *geometry)
    dy = real("conv2d_backward_weights", "dy", dy, (N, OH, OW, F))
    dy, x = factors(dy, x)
    pixels, rows = N * OH * OW, KH * KW * CG
    if _is_product(w_shape, padding, groups):
        windows = real("conv2d_backward_weights", "x", _picked(x, strides)).reshape(pixels, CG)
        return product(windows.T, dy.reshape(pixels, F), FLOAT32).reshape(w_shape)  # (C, F) = (C, pixels) @ (pixels, F)
    if CT := conv_tensor.channels(dy, x, CG, F // groups, groups):
        sizes = _sizes("conv2d_backward_weights", (*x.shape[:3], CT * groups), dy.shape, (KH, KW, CT, F), *geometry)
        x = conv_tensor.filled_up(x, CT * groups)
        dw = conv_tensor.conv2d_backward_weights(dy, x, (KH, KW, CT, F), sizes)
        return array("conv2d_backward_weights", "dw", dw[:, :, :CG])
    sizes = _sizes("conv2d_backward_weights", x.shape, dy.shape, w_shape, *geometry)
    tiles = blocks(rows, 64) * blocks(F // groups, 64) * groups
    share = max(SHARE, blocks(pixels, max(1, ENOUGH // tiles)))
    shares = max(1, blocks(pixels, share))
    partial = empty((shares, rows * F))
    _launch("conv2d_backward_weights", rows, F // groups, sizes, shares, dy=dy, x=x, dw=partial, pixels=share)
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


def _put_back(rows, x_shape, strides):
    """The gradient of the pixels that were picked, among zeros.  rows (N, OH, OW, C) -> (N, H, W, C)"""
    if strides == (1, 1):
        return rows
    dx, as_bits = empty(x_shape, rows.dtype), f"u{rows.dtype.itemsize}"  # as Cupy.contiguous (launch.py) copies
    dx.view(as_bits)[...] = 0
    _picked(dx.view(as_bits), strides)[...] = rows.view(as_bits)
    return dx


def _sizes(name, x_shape, y_shape, w_shape, strides, padding, dilation):
    """What the kernels call N, H, W, C, OH, OW, F, KH, KW, ... FG."""
    for what, shape in (("the images", x_shape), ("the results", y_shape)):
        if shape[0] * shape[1] * shape[2] * shape[3] > MOST:
            raise ValueError(f"{name}: {what} {shape} are more than {MOST:,} numbers; use a smaller batch")
    F, CG = y_shape[3], w_shape[2]
    return {"N": x_shape[0], "F": F, "CG": CG, "FG": F * CG // x_shape[3],
            **window(x_shape, y_shape[1:3], w_shape[:2], strides, padding, dilation)}


def _launch(name, rows, columns, sizes, shares=1, **arguments):
    """One of the three passes, whose result has `rows` and, in each group, `columns`, and consists of so many shares."""
    groups, TILE_N = sizes["C"] // sizes["CG"], 128 if columns > 64 else 64
    TILE_M = 128 if blocks(rows, 128) * blocks(columns, TILE_N) * groups * shares >= ENOUGH // 2 else 64
    TILE_N = min(TILE_N, TILE_M)
    launch("conv", name, (blocks(rows, TILE_M), blocks(columns, TILE_N), groups * shares), (THREADS,),
           (("TILE_M", TILE_M), ("TILE_N", TILE_N)), **sizes, **arguments)
