"""Convolution on the tensor cores, bfloat16 or TF32. Kernels: conv_tensor.cu, tile_tensor.cuh.

They copy 16 bytes at a time, 8 numbers of bfloat16 or 4 of float32, so that a group's channels and filters have to be
multiples of that. A single group's channels may be any number: they are filled up with zeros (a first layer's 3).
"""
from . import launch as launching
from .bias import ACTIVATIONS
from .columns import together
from .launch import FLOAT32, THREADS, blocks, each, empty, launch
from .precision import precision

ENOUGH = 264                                     # blocks: two for each of the 132 multiprocessors of an H100
LEAST = 8                                        # slices of k, at least, that a block sums over


def channels(a, b, CG, FG, groups):
    """How many channels a group would have here: CG, or of a single group more; 0 where conv.cu has to do it. a, b: factors."""
    numbers = _numbers(a)
    if not (precision.tf32 or a.dtype != FLOAT32) or FG % numbers or any(launching.device.address(x) % 16 for x in (a, b)):
        return 0
    return CG if CG % numbers == 0 else blocks(CG, numbers) * numbers if groups == 1 else 0


def filled_up(x, C):
    """x (..., fewer) -> (..., C), with zeros, or x itself."""
    if x.shape[-1] == C:
        return x
    wide = empty((*x.shape[:-1], C), x.dtype)
    each("conv_tensor", "fill_up", wide.size, narrow=x, wide=wide, C=x.shape[-1], WIDE=C)
    return wide


def conv2d(x, w, b, y, sizes, activation):
    """y (N, OH, OW, F) = activation(x * w + b), written there. sizes: what the kernels call N, H, W, ..., FG."""
    F, K, step = sizes["F"], w[..., 0].size, 4 * _numbers(x)
    slices = blocks(K, step)
    macros, block, (tiles, groups) = _tiles(y.size // F, sizes["FG"], sizes)
    share = K
    if 0 < tiles * groups <= ENOUGH // 2:        # few blocks with long sums, as for one image: k is shared out
        share = blocks(slices, max(1, min(ENOUGH // (tiles * groups), slices // LEAST))) * step
    shares = blocks(K, share)
    partial, activation = empty((shares, y.size)) if shares > 1 else None, ACTIVATIONS[activation]
    launch("conv_tensor", "conv2d", (tiles, groups * shares), block, macros, x=x, w=w, b=b, y=y, partial=partial,
           activation=activation, share=share, **sizes)
    if shares > 1:
        launch("conv_tensor", "conv2d_shares", (blocks(y.size, THREADS * _numbers(x)),), (THREADS,), partial=partial, b=b,
               y=y, n=y.size, F=F, shares=shares, activation=activation)


def conv2d_backward_data(dy, w, dx, sizes):
    """dx (N, H, W, C), written there, each phase of the strides by blocks of its own."""
    N, H, W, SH, SW = (sizes[name] for name in ("N", "H", "W", "SH", "SW"))
    macros, block, (tiles, groups) = _tiles(N * blocks(H, SH) * blocks(W, SW), sizes["CG"], sizes, SH * SW)
    launch("conv_tensor", "conv2d_backward_data", (tiles, groups * SH * SW), block, macros, dy=dy, w=w, dx=dx, **sizes)


def conv2d_backward_weights(dy, x, w_shape, sizes):
    """dw (KH, KW, CG, F), float32; the pixels are shared out, and the shares' sums added in their order."""
    pixels, step, rows = sizes["N"] * sizes["OH"] * sizes["OW"], 4 * _numbers(x), w_shape[0] * w_shape[1] * w_shape[2]
    slices = blocks(pixels, step)
    macros, block, (tiles, groups) = _tiles(rows, sizes["FG"], sizes, max(1, slices // LEAST))
    share = max(1, blocks(slices, max(1, min(2 * ENOUGH // (tiles * groups), slices // LEAST)))) * step
    shares = max(1, blocks(pixels, share))
    partial = empty((shares, rows * w_shape[3]))
    launch("conv_tensor", "conv2d_backward_weights", (tiles, groups * shares), block, macros, dy=dy, x=x, dw=partial,
           pixels=share, **sizes)
    return together(partial).reshape(w_shape)


def _numbers(x):
    """In 16 bytes."""
    return 16 // x.dtype.itemsize


def _tiles(rows, columns, sizes, more=1):
    """(macros, block, grid) of a result with so many rows and, in each group, columns; there are `more` of it."""
    groups = sizes["C"] // sizes["CG"]

    def count(M, N):
        return blocks(rows, M) * blocks(columns, N)
    TILE_M, TILE_N = 128, 128 if columns > 64 else 64
    if count(TILE_M, TILE_N) * groups * more < ENOUGH:
        TILE_M = TILE_N = 64
    macros = ("TILE_M", TILE_M), ("TILE_N", TILE_N)
    return macros, (64 if TILE_M > TILE_N else 128,), (count(TILE_M, TILE_N), groups)
