"""Writing past the caches: a result too large to be found there later need not be read in before it is written.

An ordinary store first fetches the line it changes. That pays in Winograd's output transform (3 to 10% of a convolution),
where the stores wait beside arithmetic; in batch norm's passes, which do nothing but read and write, it was slower.
"""
from llvmlite import ir

from .tile import LANES

STREAMED = 2**24                                 # bytes of a result from which nobody finds it in a cache later


def past_caches(y):
    """1 where y, whose channels are whole vectors, is large enough and aligned."""
    return int(y.nbytes >= STREAMED and y.ctypes.data % (4 * LANES) == 0)


def stream(v, vector, pointer):
    """Emits the store of a vector at an address that is a multiple of its size."""
    store = v.builder.store(vector, v.builder.bitcast(pointer, v.type.as_pointer()), align=4 * LANES)
    store.set_metadata("nontemporal", v.builder.module.add_metadata([ir.Constant(ir.IntType(32), 1)]))
