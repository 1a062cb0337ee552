"""The call of cuBLAS past CuPy: on a library of the test's own, which multiplies as cuBLAS is to; and on a GPU."""

import shutil
import subprocess
import sys
import types

import numpy as np
import pytest
from engines import normal

from scratchnet.kernels.cuda import blas, graph

FLOAT, FLOAT_SUMS = 0, 68                        # CUDA_R_32F, CUBLAS_COMPUTE_32F
LIBRARY = """
static void *stream, *memory; static size_t bytes;
extern "C" int cublasSetStream_v2(void* handle, void* s) { stream = s, memory = 0; return handle != (void*)77; }
extern "C" int cublasSetWorkspace_v2(void* handle, void* m, size_t b) { memory = m, bytes = b; return handle != (void*)77; }
extern "C" int cublasGemmEx(void* handle, int ta, int tb, int m, int n, int k, const float* alpha, const float* a, int at,
                            int lda, const float* b, int bt, int ldb, const float* beta, float* c, int ct, int ldc,
                            int compute, int algorithm) {
    if (handle != (void*)77 || stream != (void*)5 || memory != (void*)9 || bytes != 33554432 || algorithm != -1) return 13;
    if (compute != 68) return 15;
    for (int i = 0; i < m; i++)
        for (int j = 0; j < n; j++) {
            float sum = 0;
            for (int p = 0; p < k; p++) sum += a[ta ? p + i * lda : i + p * lda] * b[tb ? j + p * ldb : p + j * ldb];
            c[i + j * ldc] = *alpha * sum + (*beta != 0 ? *beta * c[i + j * ldc] : 0);
        }
    return 0;
}
"""


@pytest.fixture
def library(tmp_path, monkeypatch):
    if sys.platform != "linux" or shutil.which("g++") is None:
        pytest.skip("the library of the test is compiled where there are Linux and g++")
    (tmp_path / "blas.cpp").write_text("#include <cstddef>\n" + LIBRARY, "utf-8")
    (tmp_path / "module.cpp").write_text("int cublasGemmEx(); int unused() { return 0; }", "utf-8")
    subprocess.run(["g++", "-shared", "-fPIC", "-o", "libmultiply.so", "blas.cpp"], check=True, cwd=tmp_path)
    subprocess.run(["g++", "-shared", "-fPIC", "-Wl,--no-as-needed,-rpath,$ORIGIN", "-o", "module.so", "module.cpp", "-L.",
                    "-lmultiply"], check=True, cwd=tmp_path)
    cuda = types.SimpleNamespace(
        device=types.SimpleNamespace(get_cublas_handle=lambda: 77), Memory=lambda size: types.SimpleNamespace(ptr=9),
        get_current_stream=lambda: types.SimpleNamespace(ptr=5), runtime=types.SimpleNamespace(getDevice=lambda: 0),
        cublas=types.SimpleNamespace(__file__=str(tmp_path / "module.so")))
    monkeypatch.setitem(sys.modules, "cupy", types.SimpleNamespace(cuda=cuda))
    monkeypatch.setattr(blas, "_thread", blas._Thread())
    blas._function.cache_clear()
    yield
    blas._function.cache_clear()


def multiplied(a, b, compute=FLOAT_SUMS):
    """a @ b, each C-contiguous or the transpose of that."""
    (M, K), N, out = a.shape, b.shape[1], np.full((a.shape[0], b.shape[1]), np.nan, np.float32)
    turns = [int(not array.flags.c_contiguous) for array in (b, a)]
    blas.gemm(*turns, N, M, K, b.ctypes.data, FLOAT, K if turns[0] else N, a.ctypes.data, FLOAT, M if turns[1] else K,
              out.ctypes.data, FLOAT, N, compute)
    return out


@pytest.mark.parametrize("turned", [(False, False), (True, False), (False, True), (True, True)], ids=str)
def test_the_arguments_arrive_as_cublas_has_them(library, turned):
    a, b = normal(0, 3, 7), normal(1, 7, 5)
    given = [np.asfortranarray(array) if turn else array for array, turn in zip((a, b), turned)]
    np.testing.assert_allclose(multiplied(*given), a @ b, rtol=1e-5, atol=1e-6)


def test_a_refusal_is_an_error_with_its_number(library):
    with pytest.raises(RuntimeError, match="cublasGemmEx: cuBLAS gave the status 15"):
        multiplied(normal(0, 3, 7), normal(1, 7, 5), compute=1)


def test_a_workspace_is_of_a_thread_and_a_device_or_of_a_graph(library, monkeypatch):
    from cupy import cuda
    ordinary = blas.workspace()
    assert blas.workspace() is ordinary
    first, second = (types.SimpleNamespace(workspaces={}) for _ in range(2))
    for owner in (first, second):
        monkeypatch.setattr(graph._current, "recorder", owner)
        assert blas.workspace() is blas.workspace() is owner.workspaces[0] is not ordinary
    assert first.workspaces[0] is not second.workspaces[0]
    monkeypatch.setattr(graph._current, "recorder", None)
    cuda.runtime.getDevice = lambda: 1
    assert blas.workspace() is not ordinary


@pytest.mark.gpu
def test_on_a_gpu_it_is_the_product_inside_a_graph_and_outside():
    import cupy
    from scratchnet.kernels.cuda.graph import Captured
    a, b, out = cupy.asarray(normal(0, 30, 70)), cupy.asarray(normal(1, 70, 50)), cupy.empty((30, 50), "float32")

    def product(a, b):
        blas.gemm(0, 0, 50, 30, 70, b.data.ptr, FLOAT, 50, a.data.ptr, FLOAT, 70, out.data.ptr, FLOAT, 50, FLOAT_SUMS)
        return out
    outside = product(a, b).get()
    np.testing.assert_allclose(outside, a.get() @ b.get(), rtol=1e-4, atol=1e-5)
    captured = Captured(product, a, b)
    out.fill(0)
    assert captured(a, b).get().tobytes() == outside.tobytes()
