"""Arrays with the images innermost in memory: where there are few channels, a vector holds a pixel of 16 images instead.

Their shape is (N, H, W, C) as that of all others; only their strides tell that they lie as (C, H, W, N), the order of
cuda-convnet (Krizhevsky, Sutskever, Hinton 2012); rows (N, C) lie as (C, N). The convolutions of few channels
(`conv_images.py`) make them, pools, activations and small dense layers (`dense_images.py`) hand them on; all others receive
copies, and NumPy does not mind.
"""
from math import prod

import numpy
from llvmlite import ir
from numba import prange, types
from numba.extending import intrinsic

from . import memory
from .compile import FLOAT32, behaved, helper, light_kernel
from .tile import INT, LANES, Vectors


def swapped(x):
    """A view of x with images and channels in each other's place: there, and back."""
    return x.transpose(3, 1, 2, 0) if x.ndim == 4 else x.T


def is_chwn(x, dtype=FLOAT32):
    """Whether x (N, H, W, C) lies in memory as (C, H, W, N), or (N, C) as (C, N), and not also as its axes say."""
    return x.ndim in (2, 4) and not x.flags.c_contiguous and swapped(x).flags.carray and x.dtype == dtype


def empty(shape):
    """An uninitialised array (N, H, W, C) that lies as (C, H, W, N)."""
    N, H, W, C = shape
    return swapped(memory.empty((C, H, W, N)))


def as_chwn(x):
    """x (N, H, W, C) as a C-contiguous array (C, H, W, N), or (N, C) as (C, N): a view where it lies so, else a copy."""
    if is_chwn(x):
        return swapped(x)
    x = behaved(x)
    N, P, C = len(x), prod(x.shape[1:-1]), x.shape[-1]
    turned = memory.empty((C, *x.shape[1:-1], N))
    if x.size:
        _exchange(x.reshape(N, P, C), turned.reshape(C, P, N), 0)
    return turned


def images_innermost(x):
    """x (N, H, W, C) itself or a copy of it, lying as (C, H, W, N)."""
    return swapped(as_chwn(x))


def contiguous(x):
    """x itself if it is C-contiguous, else such a copy; what `behaved` does too, but not as fast for images innermost."""
    if not is_chwn(x):
        return behaved(x)
    N, P, C = len(x), prod(x.shape[1:-1]), x.shape[-1]
    copy = memory.empty(x.shape)
    _exchange(copy.reshape(N, P, C), swapped(x).reshape(C, P, N), 1)
    return copy


@light_kernel
def _swap_rows(x, y):
    """y[j, i] = x[i, j], rows of N numbers.  x (A, B, N), y (B, A, N)"""
    A, B, N = x.shape
    for row in prange(A * B):
        source, target = x[row % A, row // A], y[row // A, row % A]
        for n in range(N):
            target[n] = source[n]


def flatten(x):
    """x (N, H, W, C), or of any other axes, -> (N, H·W·C), the images innermost if they are so in x."""
    if x.ndim != 4 or not is_chwn(x):
        return contiguous(x).reshape(len(x), prod(x.shape[1:]))
    N, H, W, C = x.shape
    rows = memory.empty((H * W, C, N))
    _swap_rows(swapped(x).reshape(C, H * W, N), rows)
    return rows.reshape(H * W * C, N).T


def flatten_backward(dy, x_shape):
    """dy (N, H·W·C) -> x_shape, the images innermost if they are so in dy."""
    if len(x_shape) != 4 or not is_chwn(dy):
        return contiguous(dy).reshape(x_shape)
    N, H, W, C = x_shape
    dx = memory.empty((C, H, W, N))
    _swap_rows(dy.T.reshape(H * W, C, N), dx.reshape(C, H * W, N))
    return swapped(dx)


def in_one_order(*arrays):
    """The arrays, all of one shape, C-contiguous in one order of their axes, that of the last; and what puts the axes of a
    result back."""
    if is_chwn(arrays[-1]):
        return [as_chwn(x) for x in arrays], swapped
    return [contiguous(x) for x in arrays], lambda y: y


@intrinsic
def _transpose(context, rows, columns):
    """Both are tables of LANES addresses: columns[i][j] = rows[j][i] for i, j < LANES."""
    def generate(_, builder, signature, arguments):
        v = Vectors(builder, LANES)
        rows, columns = (v.address(argument, INT) for argument in arguments)
        vectors = [v.load(v.address(builder.load(v.at(rows, i))), 0) for i in range(LANES)]
        half = 1
        while half < LANES:                      # squares of 2·half: their upper right and lower left quarters change places
            lanes = [lane if lane & half == 0 else LANES + lane - half for lane in range(LANES)]
            upper, lower = (ir.Constant(ir.VectorType(ir.IntType(32), LANES), [lane + move for lane in lanes])
                            for move in (0, half))
            for i in range(LANES):
                if i & half == 0:
                    pair = vectors[i], vectors[i + half]
                    vectors[i], vectors[i + half] = (builder.shuffle_vector(*pair, mask) for mask in (upper, lower))
            half *= 2
        for i, vector in enumerate(vectors):
            v.store(vector, v.address(builder.load(v.at(columns, i))), 0)
    return types.void(types.intp, types.intp), generate


@helper
def exchange_columns(x, y, first, back):
    """y[c, p, n] = x[n, p, c], or `back`, x from y, for LANES numbers (p, c) of each image, or as many as there are left."""
    N, P, C = x.shape
    width, x_at, y_at = P * C, x.ctypes.data, y.ctypes.data
    count = min(LANES, width - first)
    rows, columns = numpy.empty(LANES, numpy.int64), numpy.empty(LANES, numpy.int64)
    rows_at, columns_at = rows.ctypes.data, columns.ctypes.data
    whole = N // LANES * LANES if count == LANES else 0
    for n in range(0, whole, LANES):
        for i in range(LANES):
            rows[i] = x_at + 4 * ((n + i) * width + first)
            columns[i] = y_at + 4 * (((first + i) % C * P + (first + i) // C) * N + n)
        if back:
            _transpose(columns_at, rows_at)
        else:
            _transpose(rows_at, columns_at)
    for q in range(first, first + count):
        for n in range(whole, N):
            if back:
                x[n, q // C, q % C] = y[q % C, q // C, n]
            else:
                y[q % C, q // C, n] = x[n, q // C, q % C]


@light_kernel
def _exchange(x, y, back):
    """y[c, p, n] = x[n, p, c], or `back`, x from y, in squares of vectors."""
    width = x.shape[1] * x.shape[2]
    for block in prange((width + LANES - 1) // LANES):
        exchange_columns(x, y, block * LANES, back)
