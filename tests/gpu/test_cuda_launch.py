"""What is refused before a launch; how arguments reach CuPy; constants that Python and CUDA share. Without a device."""

import ctypes
import inspect
import re

import numpy as np
import pytest
from engines import BFLOAT16, FLOAT32, HostEngine, agree, normal

from scratchnet.kernels import cuda, reference
from scratchnet.kernels.cuda import activation, bias, blas, columns, depthwise, launch, optim, training

KERNELS = [(path.stem, name) for path in sorted(launch.FOLDER.glob("*.cu")) for name in launch._declarations(path.stem)]
GEOMETRY = (1, 1), ((1, 1), (1, 1)), (1, 1)
POOL = (2, 2), (2, 2), ((0, 0), (0, 0))
x, w, filters = normal(0, 2, 4, 4, 6), normal(2, 3, 3, 6, 5), normal(3, 3, 3, 1, 6)
channels, rows = normal(1, 6), normal(4, 7, 3)
winners, mask = np.zeros((2, 2, 2, 6), np.int32), np.ones(x.shape, np.uint8)

# operation: arguments that fit, and how many of the first of them are arrays whose shape and dtype matter
CALLS = {
    "relu": ((x, 0, None, 0), 1), "relu_backward": ((x, x, 0, None, 0), 2), "tanh": ((x,), 1), "tanh_backward": ((x, x), 2),
    "sigmoid": ((x,), 1), "sigmoid_backward": ((x, x), 2), "softmax": ((rows,), 1), "softmax_backward": ((rows, rows), 2),
    "add": ((x, x, 1.0), 2), "accumulate": ((x.copy(), x), 2), "concat_backward": ((x, [2, 4]), 1),
    "avg_pool2d": ((x, *POOL, False, False), 1), "avg_pool2d_backward": ((x[:, :2, :2], x.shape, *POOL, False, False), 1),
    "adaptive_avg_pool2d": ((x, (3, 2)), 1), "adaptive_avg_pool2d_backward": ((x[:, :3, :2], x.shape), 1),
    "global_avg_pool2d": ((x,), 1), "global_avg_pool2d_backward": ((x[:, 0, 0], x.shape), 1),
    "batch_norm": ((x, channels, channels, 1e-5), 3), "batch_norm_inference": ((x, *[channels] * 4, 1e-5), 5),
    "batch_norm_backward": ((x, x, *[channels] * 4, 1e-5), 6),
    "batch_norm_inference_backward": ((x, x, *[channels] * 4, 1e-5), 6),
    "bias_backward": ((x,), 1), "relu_bias_backward": ((x, x), 2), "tanh_bias_backward": ((x, x), 2),
    "conv2d": ((x, w, w[0, 0, 0], *GEOMETRY, 1), 3), "conv2d_backward_data": ((x[..., :5], w, x.shape, *GEOMETRY, 1), 2),
    "conv2d_backward_weights": ((x[..., :5], x, w.shape, *GEOMETRY, 1), 2),
    "conv2d_backward": ((x[..., :5], x[..., :5], x, x.shape, w, *GEOMETRY, 1, "relu", (True,) * 3), 3),
    "dense_backward": ((rows, rows, rows, rows[:3], "tanh", (True,) * 3), 3),
    "depthwise_conv2d": ((x, filters, channels, *GEOMETRY), 3),
    "depthwise_conv2d_backward_data": ((x, filters, x.shape, *GEOMETRY), 2),
    "depthwise_conv2d_backward_weights": ((x, x, filters.shape, *GEOMETRY), 2),
    "dense": ((rows, rows.T.copy(), rows[:, 0]), 3), "dense_backward_data": ((rows, rows), 2),
    "dense_backward_weights": ((rows, rows), 2), "dropout": ((x, 0.5, 1, 2, 3), 1), "dropout_backward": ((x, mask, 0.5), 2),
    "softmax_cross_entropy": ((rows, np.arange(7) % 3, 0.0), 2), "binary_cross_entropy": ((rows, rows, True), 2),
    "mean_squared_error": ((rows, rows), 2), "local_response_norm": ((x, 5, 1e-4, 0.75, 1.0), 1),
    "local_response_norm_backward": ((x, x, x, 5, 1e-4, 0.75), 3),
    "max_pool2d": ((x, *POOL, (1, 1), False), 1), "max_pool2d_backward": ((x[:, :2, :2], winners, x.shape, *POOL, (1, 1)), 2),
    "sgd": ((x.copy(), x, None, 0.1, 0.0, False, 0.0), 2),
    "rmsprop": ((x.copy(), x, x.copy(), None, None, 0.1, 0.9, 1e-3, 0.0, 0.0), 3),
    "adam": ((x.copy(), x, x.copy(), x.copy(), 1, 0.1, 0.9, 0.99, 1e-3, 0.0), 4),
    "adamw": ((x.copy(), x, x.copy(), x.copy(), 1, 0.1, 0.9, 0.99, 1e-3, 0.0), 4),
}
# Any shape is right for the first array of these; and concat, which takes a list, has a test of its own.
OF_REFERENCE = {"contiguous", "flatten", "flatten_backward", "conv2d_input"}
WITHOUT_KERNELS = OF_REFERENCE | {"pad2d", "pad2d_backward"}


OF_OTHERS = {"conv2d_backward", "dense_backward"}                      # operations, each of which refuses what is its own
# Twice as many rows would be right there: of a batch, of weights for as many more inputs, or of a longer window.
ANY_ROWS = {("dense", 0), ("dense_backward_data", 0), ("dense_backward_data", 1), ("conv2d", 0), ("depthwise_conv2d", 0),
            ("batch_norm", 0), ("batch_norm_inference", 0), ("conv2d", 1), ("depthwise_conv2d", 1)}


@pytest.fixture
def on_host(host, monkeypatch):
    monkeypatch.setattr(launch, "device", host)
    return HostEngine(host)


def test_every_operation_with_a_kernel_is_called_here():
    assert set(CALLS) == set(reference.__all__) - WITHOUT_KERNELS - {"concat"}


@pytest.mark.parametrize("operation", reference.__all__)
def test_an_operation_has_the_name_signature_and_file_that_the_reference_gives_it(operation):
    ours, theirs = getattr(cuda, operation), getattr(reference, operation)
    assert inspect.signature(ours) == inspect.signature(theirs)
    assert ours.__module__.rpartition(".")[2] == theirs.__module__.rpartition(".")[2]
    assert (ours is theirs) == (operation in OF_REFERENCE)


def test_no_other_operation_is_exported():
    assert sorted(cuda.__all__) == sorted(reference.__all__)


@pytest.mark.parametrize("operation", CALLS)
def test_arrays_of_another_dtype_or_place_are_refused_by_name(operation, on_host):
    arguments, count = CALLS[operation]
    getattr(cuda, operation)(*arguments)
    for place in range(count):
        for wrong in (arguments[place].astype("float16"), arguments[place].tolist()):
            given, launches = list(arguments), on_host.device.launches
            given[place] = wrong
            with pytest.raises((TypeError, AttributeError), match="must be a NumPy array of|has no attribute"):
                getattr(cuda, operation)(*given)
            assert operation in OF_OTHERS or on_host.device.launches == launches, "it was launched all the same"


@pytest.mark.parametrize("operation", [name for name, (_, count) in CALLS.items() if count > 1])
def test_arrays_whose_shapes_do_not_fit_together_are_refused(operation, on_host):
    arguments, count = CALLS[operation]
    for place in range(count):
        given, launches = list(arguments), on_host.device.launches
        given[place] = np.concatenate([given[place]] * 2, axis=-1 if (operation, place) in ANY_ROWS else 0)
        with pytest.raises(ValueError, match="shape|multiple|as many"):
            getattr(cuda, operation)(*given)
        assert operation in OF_OTHERS or on_host.device.launches == launches, "it was launched all the same"


def test_branches_that_differ_in_more_than_their_channels_are_refused(on_host):
    with pytest.raises(ValueError, match=r"concat: xs must have the shape \(2, 4, 4, any\), got \(2, 3, 4, 6\)"):
        cuda.concat([x, x[:, :3]])


def test_what_is_updated_in_place_must_be_contiguous(on_host):
    with pytest.raises(ValueError, match="sgd: value must be contiguous"):
        cuda.sgd(x.transpose(1, 0, 2, 3), x.transpose(1, 0, 2, 3), None, 0.1, 0.0, False, 0.0)


def test_what_is_not_contiguous_is_copied_and_what_is_empty_launches_nothing(on_host):
    turned = np.asfortranarray(x)
    np.testing.assert_array_equal(cuda.tanh(turned), cuda.tanh(x))
    np.testing.assert_array_equal(cuda.bias_backward(turned), cuda.bias_backward(x))
    launches = on_host.device.launches
    assert cuda.relu(x[:0], 0, None, 0).shape == (0, 4, 4, 6)
    assert cuda.conv2d(x[:0], w, None, *GEOMETRY, 1).shape == (0, 4, 4, 5)
    assert on_host.device.launches == launches
    assert not cuda.bias_backward(x[:0]).any()
    assert not cuda.conv2d_backward_weights(x[:0, ..., :5], x[:0], w.shape, *GEOMETRY, 1).any()


@pytest.mark.parametrize("arguments, error, words", [
    ({"x": x, "y": x, "n": 2**31}, ValueError, "tanh_forward: n is of type int, which 2147483648 does not fit into"),
    ({"x": x, "y": x, "n": 1.5}, ValueError, "n is of type int, which 1.5"),
    ({"x": x, "n": 1}, TypeError, "tanh_forward takes x, y, n; got x, n"),
    ({"x": x, "y": x, "n": 1, "m": 1}, TypeError, "tanh_forward takes x, y, n; got x, y, n, m"),
    ({"x": x.astype("f8"), "y": x, "n": 1}, TypeError,
     r"x is a real\*, which a NumPy array, contiguous, of float32 or bfloat16 fits; got ndarray float64"),
    ({"x": x[:, 1], "y": x, "n": 1}, TypeError, r"x is a real\*, which a NumPy array, contiguous"),
])
def test_a_launch_takes_what_the_kernel_declares_and_nothing_else(on_host, arguments, error, words):
    with pytest.raises(error, match=words):
        launch.launch("activation", "tanh_forward", (1,), (32,), **arguments)


def test_a_grid_or_an_array_that_is_too_large_is_refused(on_host):
    with pytest.raises(ValueError, match="more than a device launches; use a smaller batch"):
        launch.launch("activation", "tanh_forward", (1, 2**16), (32,), x=x, y=x, n=1)
    with pytest.raises(ValueError, match="an array of 2,147,483,647 elements, more than"):
        launch.each("activation", "tanh_forward", 2**31 - 1, x=x, y=x)


def forget():
    launch._module.cache_clear()
    launch._function.cache_clear()


class FakeCupy:
    """Keeps what RawModule and its kernels are called with."""

    def __init__(self):
        self.compiled, self.launched = [], []

    def RawModule(self, code, options):
        self.compiled.append((code, options))
        return self

    def get_function(self, name):
        return lambda grid, block, arguments: self.launched.append((name, grid, block, arguments))


class DeviceArray(np.ndarray):
    """Is taken for CuPy's."""


DeviceArray.__module__ = "cupy"


def test_cupy_receives_numbers_of_the_kernels_own_types(monkeypatch):
    cupy, array = FakeCupy(), x.view(DeviceArray)
    monkeypatch.setattr(launch, "_cupy", lambda: cupy)
    forget()
    for _ in range(2):
        launch.each("bias", "add_bias", x.size, y=array, b=None, C=6, activation=True)
    (code, options), = cupy.compiled                                     # once
    assert "#include" not in code and 'extern "C" __global__ void add_bias(' in code and options == ("--std=c++17",)
    name, grid, block, arguments = cupy.launched[1]
    assert (name, grid, block) == ("add_bias", (1, 1, 1), (256, 1, 1)) and arguments[0] is array
    # CuPy passes a NumPy scalar as its bytes. A null pointer has eight of them.
    assert [type(argument) for argument in arguments[1:]] == [np.int64, np.int32, np.int32, np.int32]
    assert [int(argument) for argument in arguments[1:]] == [0, x.size, 6, 1]
    launch.each("arithmetic", "add", x.size, x=array, y=array, out=array, scale=0.1)
    assert type(cupy.launched[-1][3][-1]) is np.float32 and cupy.launched[-1][3][-1] == np.float32(0.1)
    forget()


class FakeCuda:
    """cupy.cuda, and a gemm that does what cuBLAS documents: C = op(A) op(B), all of them stored column by column."""

    CUBLAS_OP_N, CUBLAS_OP_T, CUBLAS_COMPUTE_32F, CUBLAS_COMPUTE_32F_FAST_TF32 = range(4)
    CUDA_R_32F, CUDA_R_16BF = FLOAT32, BFLOAT16

    def __init__(self):
        self.cublas = self.runtime = self
        self.computed = []

    def gemm(self, op_a, op_b, m, n, k, a, a_kind, lda, b, b_kind, ldb, c, c_kind, ldc, compute):
        assert a_kind == b_kind
        a, b = self.matrix(a, a_kind, (m, k), op_a, lda), self.matrix(b, b_kind, (k, n), op_b, ldb)
        c = self.matrix(c, c_kind, (m, n), self.CUBLAS_OP_N, ldc)
        c[...] = a.astype("f4") @ b.astype("f4")
        self.computed.append(compute)

    def matrix(self, address, dtype, shape, op, ld):
        rows, columns = shape if op == self.CUBLAS_OP_N else shape[::-1]
        assert ld >= rows
        raw = np.ctypeslib.as_array((ctypes.c_ubyte * (ld * columns * dtype.itemsize)).from_address(address))
        stored = raw.view(dtype).reshape(columns, ld)[:, :rows].T
        return stored if op == self.CUBLAS_OP_N else stored.T


class InMemory:
    """A NumPy array with CuPy's way to its address."""

    def __init__(self, array):
        self.array, self.data = array, self
        self.shape, self.dtype, self.flags, self.nbytes, self.ptr = (
            array.shape, array.dtype, array.flags, array.nbytes, array.ctypes.data)

    def memset_async(self, byte, size):
        assert size == self.nbytes
        self.array.reshape(-1).view(np.uint8)[...] = byte


@pytest.mark.parametrize("tf32, kind, result", [(False, FLOAT32, FLOAT32), (True, FLOAT32, FLOAT32),
                                                (False, BFLOAT16, BFLOAT16), (False, BFLOAT16, FLOAT32)])
@pytest.mark.parametrize("shape", [(3, 4, 5), (1, 4, 5), (3, 1, 5), (3, 4, 1), (3, 0, 5), (0, 4, 5)])
def test_what_cublas_is_asked_for_is_the_product(monkeypatch, tf32, kind, result, shape):
    cupy, (M, K, N) = FakeCupy(), shape
    cupy.cuda = FakeCuda()
    monkeypatch.setattr(launch, "_cupy", lambda: cupy)
    monkeypatch.setattr(blas, "gemm", cupy.cuda.gemm)
    for a in (normal(0, M, K, dtype=kind), normal(0, K, M, dtype=kind).T):
        for b in (normal(1, K, N, dtype=kind), normal(1, N, K, dtype=kind).T):
            out = np.full((M, N), np.nan, result)
            launch.Cupy().product(*map(InMemory, (a, b, out)), tf32)
            agree(out, a.astype("f8") @ b.astype("f8"), max(K, 1), result)
    assert set(cupy.cuda.computed) == ({3 if tf32 else 2} if M * K * N else set())


def test_numpy_arrays_are_refused_where_cupys_are_expected():
    with pytest.raises(TypeError, match=r"tanh: x must be a CuPy array of float32 or bfloat16, got numpy.nd"):
        cuda.tanh(x)


def test_every_declared_kernel_is_launched_somewhere():
    assert len(KERNELS) > 30
    python = "".join(path.read_text(encoding="utf-8") for path in launch.FOLDER.glob("*.py"))
    for file, name in KERNELS:
        assert f'"{name}"' in python, f"{file}.cu: nobody launches {name}"


@pytest.mark.parametrize("file, text, value", [
    ("common.cuh", "#define PER_THREAD {}", launch.PER_THREAD), ("columns.cuh", "#define COLUMNS {}", columns.COLUMNS),
    ("columns.cuh", "#define ROWS {}", columns.ROWS), ("optim.cu", "#define CHUNK {} ", optim.CHUNK),
    ("training.cu", "#define WARPS {} ", training.WARPS),
    ("loss.cu", "__shared__ float shared[{}];", launch.THREADS), ("tile.cuh", "by a block of {} threads", launch.THREADS),
    ("depthwise.cu", "#define PIXELS {}", depthwise.PIXELS),
])
def test_constants_in_python_are_those_in_cuda(file, text, value):
    assert text.format(value) in (launch.FOLDER / file).read_text(encoding="utf-8")


def test_activations_have_the_same_numbers_in_python_and_in_cuda():
    names = re.search(r"enum Activation {(.*?)}", (launch.FOLDER / "common.cuh").read_text(encoding="utf-8"))[1].split(",")
    assert [name.strip().lower() for name in names] == ["linear" if name is None else name for name in bias.ACTIVATIONS]
    assert list(bias.ACTIVATIONS.values()) == [0, 1, 2] and activation.ROWS * 32 <= 1024
