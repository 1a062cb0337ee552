"""From float32 to bfloat16 and back. Kernels: cast.cu.

Activations may be stored in either, and an operation gives its result the dtype of the one that it is given. Parameters,
their gradients, statistics and sums are float32 throughout, and so is what a kernel computes between a load and a store.
"""
from .launch import FLOAT32, each, empty, real


def cast(x, dtype):
    """x, float32 or bfloat16, in the one of the two that dtype says: x itself, or a copy that lies in memory as x does."""
    if x.dtype == dtype:
        return x
    if not x.flags.c_contiguous and x.flags.f_contiguous:
        return cast(x.T, dtype).T                # a matrix is handed on as the transpose that it is
    x = real("cast", "x", x)
    y = empty(x.shape, dtype)
    each("cast", "to_bfloat16" if x.dtype == FLOAT32 else "to_float32", x.size, x=x, y=y)
    return y
