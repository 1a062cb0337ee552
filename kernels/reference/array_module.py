"""NumPy or CuPy, by the arrays at hand; and the dtype that sums are kept in."""
import sys

import numpy


def get_array_module(*arrays):
    """cupy if an argument is a CuPy array, else numpy. Never imports cupy: such an array already has."""
    cupy = sys.modules.get("cupy")
    if cupy is not None and any(isinstance(array, cupy.ndarray) for array in arrays):
        return cupy
    return numpy


def accumulator(dtype):
    """The dtype for sums of `dtype` numbers: float32 for the 16-bit floats, whose 11 bits stop counting
    ones at 2048; the dtype itself otherwise. Micikevicius et al. 2018, sec. 3.3."""
    dtype = numpy.dtype(dtype)
    return numpy.dtype(numpy.float32) if dtype.itemsize < 4 else dtype
