"""How exactly factors enter a product of matrices: float32, or rounded to TF32's 11 bits, for the tensor cores.

Sums are float32 in both. In force for the thread that asked; `scratchnet.use_precision` sets it.
"""
import threading

from . import launch


class _Precision(threading.local):
    tf32 = False


precision = _Precision()


def product(a, b):
    """a @ b by cuBLAS.  (M, N) = (M, K) @ (K, N)"""
    return launch.device.product(a, b, precision.tf32)
