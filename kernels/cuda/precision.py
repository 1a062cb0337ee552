"""How exactly factors enter a product of matrices: float32, or rounded for the tensor cores to TF32's 11 bits or to
bfloat16's 8. Sums are float32 in all of them.

In force for the thread that asked; `scratchnet.use_precision` sets it. What is bfloat16 already stays so in all of them.
"""
import threading

from . import launch
from .cast import cast


class _Precision(threading.local):
    name = "float32"

    @property
    def tf32(self):
        return self.name == "tf32"


precision = _Precision()


def factors(*arrays):
    """The arrays as they enter a product: all in bfloat16 where that precision is in force, or one of them has it."""
    if precision.name == "bf16" or any(array.dtype != launch.FLOAT32 for array in arrays):
        return tuple(cast(array, launch.bfloat16()) for array in arrays)
    return arrays


def product(a, b, dtype=None):
    """a @ b by cuBLAS, of the dtype of its factors, or of `dtype`: float32 or bfloat16.  (M, N) = (M, K) @ (K, N)

    a and b, float32 or bfloat16, are each C-contiguous or the transpose of an array that is.
    """
    a, b = factors(a, b)
    out = launch.empty((a.shape[0], b.shape[1]), dtype or a.dtype)
    launch.device.product(a, b, out, precision.tf32 and a.dtype == launch.FLOAT32)
    return out
