"""cuBLAS's product of matrices, called past CuPy, which refuses it while a graph is recorded (NotImplementedError, "calling
cuBLAS API during stream capture is currently unsupported": CuPy 14; cuBLAS itself allows it).

The same call, and as large a workspace, in a recording and outside: the same algorithm, and so the same bits.
"""
import ctypes
import functools
import threading

from .graph import recorder

WORKSPACE = 32 * 2**20                           # bytes, what cuBLAS takes by itself on Hopper
ONE, ZERO = ctypes.c_float(1), ctypes.c_float(0)
DEFAULT_ALGORITHM = -1                           # CUBLAS_GEMM_DEFAULT
_ARGUMENTS = {"cublasSetStream_v2": "pp", "cublasSetWorkspace_v2": "ppz", "cublasGemmEx": "piiiiippiipiippiiii"}
_TYPES = {"p": ctypes.c_void_p, "i": ctypes.c_int, "z": ctypes.c_size_t}


class _Thread(threading.local):
    def __init__(self):
        self.workspaces = {}                     # {device: memory}, as handles are, whose products follow one another


_thread = _Thread()


def gemm(turn_a, turn_b, m, n, k, a, a_type, a_rows, b, b_type, b_rows, c, c_type, c_rows, compute):
    """C = op(A) op(B) in columns, as cublasGemmEx has it: addresses, CUDA data types, distances of columns; α 1, β 0.

    On the current stream. RuntimeError with cuBLAS's number where it refuses.
    """
    from cupy import cuda
    handle = cuda.device.get_cublas_handle()
    memory = workspace()
    _call("cublasSetStream_v2", handle, cuda.get_current_stream().ptr)        # which takes the workspace away, too
    _call("cublasSetWorkspace_v2", handle, memory.ptr, WORKSPACE)
    _call("cublasGemmEx", handle, turn_a, turn_b, m, n, k, ctypes.addressof(ONE), a, a_type, a_rows, b, b_type, b_rows,
          ctypes.addressof(ZERO), c, c_type, c_rows, compute, DEFAULT_ALGORITHM)


def workspace():
    """This thread's on its current device; in a recording the graph's own, which has its address and may be replayed
    beside others, when the thread is no more."""
    from cupy import cuda
    owner = recorder()
    workspaces, device = _thread.workspaces if owner is None else owner.workspaces, cuda.runtime.getDevice()
    if device not in workspaces:
        workspaces[device] = cuda.Memory(WORKSPACE)                  # of no pool, whose memory goes round
    return workspaces[device]


@functools.cache
def _function(name):
    """From the library that CuPy has loaded: a search in its extension module goes on in what that one needs."""
    from cupy import cuda
    function = getattr(ctypes.CDLL(cuda.cublas.__file__), name)
    function.argtypes, function.restype = [_TYPES[letter] for letter in _ARGUMENTS[name]], ctypes.c_int
    return function


def _call(name, *arguments):
    status = _function(name)(*arguments)
    if status != 0:
        raise RuntimeError(f"{name}: cuBLAS gave the status {status}")
