"""Arrays with the images innermost in memory: where there are few channels, a vector holds a pixel of 16 images instead.

Their shape is (N, H, W, C) as that of all others; only their strides tell that they lie as (C, H, W, N), the order of
cuda-convnet (Krizhevsky, Sutskever, Hinton 2012). The convolutions of few channels (`conv_images.py`) make them, pools and
activations hand them on, since those treat images and channels alike or do not look at either; all others receive copies,
and NumPy does not mind.
"""
import numpy
from llvmlite import ir
from numba import prange, types
from numba.extending import intrinsic

from . import memory
from .compile import behaved, light_kernel
from .tile import INT, LANES, Vectors

TURN = 3, 1, 2, 0                                # swaps images and channels, there and back


def is_chwn(x):
    """Whether x (N, H, W, C) lies in memory as (C, H, W, N), and not also as (N, H, W, C)."""
    return x.ndim == 4 and not x.flags.c_contiguous and x.transpose(TURN).flags.carray


def empty(shape):
    """An uninitialised array (N, H, W, C) that lies as (C, H, W, N)."""
    N, H, W, C = shape
    return memory.empty((C, H, W, N)).transpose(TURN)


def as_chwn(x):
    """x (N, H, W, C) as a C-contiguous array (C, H, W, N): a view where it lies so, else a copy."""
    if is_chwn(x):
        return x.transpose(TURN)
    x = behaved(x)
    N, H, W, C = x.shape
    turned = memory.empty((C, H, W, N))
    if x.size:
        _exchange(x.reshape(N, H * W, C), turned.reshape(C, H * W, N), 0)
    return turned


def images_innermost(x):
    """x (N, H, W, C) itself or a copy of it, lying as (C, H, W, N)."""
    return as_chwn(x).transpose(TURN)


def contiguous(x):
    """x itself if it is C-contiguous, else such a copy; what `behaved` does too, but not as fast for images innermost."""
    if not is_chwn(x):
        return behaved(x)
    N, H, W, C = x.shape
    copy = memory.empty((N, H, W, C))
    _exchange(copy.reshape(N, H * W, C), x.transpose(TURN).reshape(C, H * W, N), 1)
    return copy


def transpose(w):
    """wᵀ, a copy, of a C-contiguous matrix."""
    rows, columns = w.shape
    turned = memory.empty((columns, rows))
    _exchange(w.reshape(rows, 1, columns), turned.reshape(columns, 1, rows), 0)
    return turned


def in_one_order(*arrays):
    """The arrays, all of one shape, C-contiguous in one order of their axes, that of the last; and what puts the axes of a
    result back."""
    if is_chwn(arrays[-1]):
        return [as_chwn(x) for x in arrays], lambda y: y.transpose(TURN)
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


@light_kernel
def _exchange(x, y, back):
    """y[c, p, n] = x[n, p, c], or `back`, x from y, in squares of vectors."""
    N, P, C = x.shape
    width, x_at, y_at = P * C, x.ctypes.data, y.ctypes.data
    for block in prange((width + LANES - 1) // LANES):
        first = block * LANES
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
