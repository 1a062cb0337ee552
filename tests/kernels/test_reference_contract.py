"""What holds for every operation: inputs stay, results keep their dtype, the host reads nothing."""
import sys
import types

import numpy as np
import pytest

from scratchnet.kernels import reference as ref
from scratchnet.kernels.reference.array_module import get_array_module

CONV = (2, 1), ((1, 0), (2, 1)), (1, 2)                  # strides, padding, dilation
MAX = (2, 3), (3, 1), ((1, 0), (1, 1)), (1, 1), True     # pool_size, strides, padding, dilation, ceil_mode
AVERAGE = (2, 3), (3, 1), ((1, 0), (1, 1)), True, False  # ..., padding, ceil_mode, count_include_pad
EPS = np.float64(1e-3)                                   # NumPy 2 lets such a scalar widen float32 arrays
IN_PLACE = {"accumulate", "sgd", "rmsprop", "adam", "adamw"}


def calls(N, dtype):
    """{operation: (its arguments, the dtypes of its results)} for a batch of N; a number stands for all."""
    rng = np.random.default_rng(0)

    def a(*shape):
        return rng.standard_normal(shape).astype(dtype)
    wide = "float32" if dtype == "float16" else dtype
    x, w, filters, rows = a(N, 5, 4, 4), a(2, 2, 2, 6), a(2, 2, 1, 8), a(N, 3)
    dy_conv = ref.conv2d(x, w, None, *CONV, 2)
    dy_depthwise = ref.depthwise_conv2d(x, filters, None, *CONV)
    pooled, winners = ref.max_pool2d(x, *MAX)
    averaged = ref.avg_pool2d(x, *AVERAGE)
    gamma, beta, mean, var = a(4), a(4), a(4).astype(wide), (a(4) ** 2).astype(wide)
    mask = np.ones(x.shape, "uint8")
    return {
        "contiguous": ((x,), dtype),
        "flatten": ((x,), dtype),
        "flatten_backward": ((a(N, 80), x.shape), dtype),
        "conv2d_input": ((x, w.shape, *CONV, 2), dtype),
        "conv2d": ((x, w, a(6), *CONV, 2), dtype),
        "conv2d_backward_data": ((dy_conv, w, x.shape, *CONV, 2), dtype),
        "conv2d_backward_weights": ((dy_conv, x, w.shape, *CONV, 2), dtype),
        "conv2d_backward": ((dy_conv, dy_conv, x, x.shape, w, *CONV, 2, "relu", (True,) * 3), (dtype,) * 3),
        "depthwise_conv2d": ((x, filters, a(8), *CONV), dtype),
        "depthwise_conv2d_backward_data": ((dy_depthwise, filters, x.shape, *CONV), dtype),
        "depthwise_conv2d_backward_weights": ((dy_depthwise, x, filters.shape, *CONV), dtype),
        "dense": ((rows, a(3, 2), a(2)), dtype),
        "dense_backward": ((a(N, 2), a(N, 2), rows, a(3, 2), "tanh", (True,) * 3), (dtype,) * 3),
        "dense_backward_data": ((a(N, 2), a(3, 2)), dtype),
        "dense_backward_weights": ((a(N, 2), rows), dtype),
        "bias_backward": ((x,), dtype),
        "relu_bias_backward": ((x, a(*x.shape)), (dtype, dtype)),
        "tanh_bias_backward": ((x, a(*x.shape)), (dtype, dtype)),
        "max_pool2d": ((x, *MAX), (dtype, "int32")),
        "max_pool2d_backward": ((pooled, winners, x.shape, *MAX[:4]), dtype),
        "avg_pool2d": ((x, *AVERAGE), dtype),
        "avg_pool2d_backward": ((averaged, x.shape, *AVERAGE), dtype),
        "adaptive_avg_pool2d": ((x, (3, 3)), dtype),
        "adaptive_avg_pool2d_backward": ((a(N, 3, 3, 4), x.shape), dtype),
        "global_avg_pool2d": ((x,), dtype),
        "global_avg_pool2d_backward": ((a(N, 4), x.shape), dtype),
        "batch_norm": ((x, gamma, beta, EPS, a(*x.shape), True), (dtype, wide, wide)),
        "batch_norm_backward": ((a(*x.shape), x, gamma, beta, mean, var, EPS, True), (dtype,) * 3),
        "batch_norm_inference": ((x, gamma, beta, mean, var, EPS, a(*x.shape), True), dtype),
        "batch_norm_inference_backward": ((a(*x.shape), x, gamma, beta, mean, var, EPS, True), (dtype,) * 3),
        "local_response_norm": ((x, 3, 0.1, 0.75, 1.0), (dtype, wide)),
        "local_response_norm_backward": ((a(*x.shape), x, 1 + x.astype(wide) ** 2, 3, 0.1, 0.75), dtype),
        "relu": ((x, 0.1, 1.0, 0.0), dtype),
        "relu_backward": ((a(*x.shape), x, 0.1, 1.0, 0.0), dtype),
        "tanh": ((x,), dtype),
        "tanh_backward": ((a(*x.shape), x), dtype),
        "sigmoid": ((x,), dtype),
        "sigmoid_backward": ((a(*x.shape), x), dtype),
        "softmax": ((rows,), dtype),
        "softmax_backward": ((a(N, 3), rows), dtype),
        "softmax_cross_entropy": ((rows, np.zeros(N, "int64"), 0.1), (dtype, dtype)),
        "binary_cross_entropy": ((rows, np.ones(rows.shape, "float64"), True), (dtype, dtype)),
        "mean_squared_error": ((rows, np.ones(rows.shape, "float64")), (dtype, dtype)),
        "dropout": ((x, 0.5, 1, 2, 3), (dtype, "uint8")),
        "dropout_backward": ((a(*x.shape), mask, 0.5), dtype),
        "pad2d": ((x, ((1, 2), (2, 0)), "reflect"), dtype),
        "pad2d_backward": ((a(N, 8, 6, 4), ((1, 2), (2, 0)), "reflect"), dtype),
        "add": ((x, a(*x.shape), np.float64(0.5)), dtype),
        "concat": (([x, a(N, 5, 4, 2)],), dtype),
        "concat_backward": ((x, [1, 3]), (dtype, dtype)),
    }


OPERATIONS = sorted(calls(1, "float32"))
AVERAGES_OVER_THE_BATCH = {"batch_norm", "batch_norm_backward", "softmax_cross_entropy",
                           "binary_cross_entropy", "mean_squared_error"}


def results(name, arguments):
    result = getattr(ref, name)(*arguments)
    return list(result) if isinstance(result, (tuple, list)) else [result]


def each_array(change, value):
    """`value` with change(array) for each array in it, also inside lists and tuples."""
    if isinstance(value, (list, tuple)):
        return type(value)(each_array(change, element) for element in value)
    return change(value) if isinstance(value, np.ndarray) else value


def read_only(array):
    array = array.view()
    array.flags.writeable = False
    return array


def test_every_operation_has_a_row_here():
    assert sorted(set(ref.__all__) - IN_PLACE) == OPERATIONS


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", OPERATIONS)
def test_dtype_is_kept_and_inputs_are_never_written(name, dtype):
    arguments, dtypes = calls(2, dtype)[name]
    outputs = results(name, each_array(read_only, arguments))
    assert [output.dtype for output in outputs] == ([dtypes] if isinstance(dtypes, str) else list(dtypes))
    assert all(np.isfinite(output).all() for output in outputs if output.dtype.kind == "f")


@pytest.mark.parametrize("name", OPERATIONS)
def test_arrays_need_not_be_contiguous(name):
    arguments, _ = calls(2, "float64")[name]
    strided = each_array(np.asfortranarray, arguments)
    for plain, other in zip(results(name, arguments), results(name, strided)):
        np.testing.assert_allclose(other, plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", sorted(set(OPERATIONS) - AVERAGES_OVER_THE_BATCH))
def test_a_batch_of_none_gives_a_batch_of_none(name):
    arguments, _ = calls(0, "float32")[name]
    outputs = results(name, arguments)
    full = results(name, calls(2, "float32")[name][0])
    for number, (output, other) in enumerate(zip(outputs, full)):
        of_a_parameter = "weights" in name or output.ndim == 1 or name in ("conv2d_backward", "dense_backward") and number
        expected = other.shape if of_a_parameter else (0, *other.shape[1:])
        assert output.shape == expected
        assert not output.any()


@pytest.mark.parametrize("name", OPERATIONS)
def test_float16_results_are_as_good_as_rounded_float64_ones(name):
    half, _ = calls(2, "float16")[name]
    exact = each_array(lambda array: array.astype("float64") if array.dtype.kind == "f" else array, half)
    for got, wanted in zip(results(name, half), results(name, exact)):
        # Four roundings to float16's 11 bits at the size of the largest number involved.
        np.testing.assert_allclose(got, wanted, rtol=2e-3, atol=2e-3)


def test_float16_sums_pass_2048():
    ones = np.ones((4096, 2), "float16")
    images = ones.reshape(4096, 1, 1, 2)
    assert (ref.bias_backward(ones) == 4096).all()
    assert (ref.dense_backward_weights(ones, ones) == 4096).all()
    weights = ref.conv2d_backward_weights(images, images, (1, 1, 2, 2), (1, 1), ((0, 0), (0, 0)), (1, 1), 1)
    assert (weights == 4096).all()
    _, mean, var = ref.batch_norm(300 * ones, ones[0], ones[0], 1e-3)
    assert (mean == 300).all() and (var == 0).all()
    spread = 300 * ones
    spread[::2] *= -1
    _, _, var = ref.batch_norm(spread, ones[0], ones[0], 1e-3)
    # 90000 is above float16's 65504; 4096 roundings of float32 leave four digits.
    np.testing.assert_allclose(var, 90000, rtol=1e-4)


def test_numpy_arrays_find_numpy():
    assert get_array_module(np.ones(1), None) is np


def refuse(self, *_):
    raise AssertionError("a device array was read on the host")


class DeviceArray(np.ndarray):
    """What CuPy refuses, without a GPU: to be read on the host, to meet NumPy's functions or its arrays."""
    __bool__ = __float__ = __int__ = __index__ = item = tolist = refuse

    def __array_function__(self, function, *_):
        raise AssertionError(f"numpy.{function.__name__} was called on a device array")

    def __array_ufunc__(self, ufunc, method, *inputs, out=(), **settings):
        strangers = [a for a in inputs if isinstance(a, np.ndarray) and not isinstance(a, DeviceArray)]
        assert not strangers, "a host array met a device array"
        if out:
            settings["out"] = to_host(out)
        result = getattr(ufunc, method)(*to_host(inputs), **settings)
        return out[0] if out else to_device(result)


class DeviceFunction:
    """NumPy's function of that name, from device arrays to device arrays."""

    def __init__(self, function):
        self.function = function

    def __call__(self, *args, **settings):
        settings = {name: to_host(value) for name, value in settings.items()}
        return to_device(self.function(*to_host(args), **settings))

    def at(self, *args):
        self.function.at(*to_host(args))


class StandInForCupy(types.ModuleType):
    ndarray, inf = DeviceArray, np.inf

    def __getattr__(self, name):
        return DeviceFunction(getattr(np, name))


def to_host(value):
    return each_array(lambda array: array.view(np.ndarray), value)


def to_device(value):
    value = np.asarray(value) if isinstance(value, np.generic) else value
    return each_array(lambda array: array.view(DeviceArray), value)


@pytest.mark.parametrize("name", OPERATIONS)
def test_device_arrays_stay_on_the_device(name, monkeypatch):
    arguments, _ = calls(2, "float32")[name]
    expected = results(name, arguments)
    monkeypatch.setitem(sys.modules, "cupy", StandInForCupy("cupy"))
    for got, wanted in zip(results(name, to_device(arguments)), expected):
        assert isinstance(got, DeviceArray)
        np.testing.assert_array_equal(to_host(got), wanted)


@pytest.mark.parametrize("name, states, numbers, settings", [      # numbers: lr and step, which may be arrays
    ("accumulate", 0, (), ()),
    ("sgd", 1, (0.1,), (0.9, True, 0.1)),
    ("rmsprop", 3, (0.1,), (0.9, 1e-3, 0.9, 0.1)),
    ("adam", 2, (1, 0.1), (0.9, 0.99, 1e-3, 0.1)),
    ("adamw", 2, (1, 0.1), (0.9, 0.99, 1e-3, 0.1))])
def test_updates_on_the_device_stay_there(name, states, numbers, settings, monkeypatch):
    start = [np.full(3, number, "float32") for number in (2.0, 0.5) + (0.0,) * states]
    expected, with_numbers, with_arrays = (each_array(np.copy, start) for _ in range(3))
    getattr(ref, name)(*expected, *numbers, *settings)
    monkeypatch.setitem(sys.modules, "cupy", StandInForCupy("cupy"))
    getattr(ref, name)(*to_device(with_numbers), *numbers, *settings)
    getattr(ref, name)(*to_device(with_arrays), *to_device([np.array(n) for n in numbers]), *settings)
    for wanted, got, other in zip(expected, with_numbers, with_arrays):
        np.testing.assert_array_equal(got, wanted)
        np.testing.assert_array_equal(other, wanted)
