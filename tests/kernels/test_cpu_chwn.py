"""Arrays with the images innermost in memory: who makes them, who hands them on, and that nobody computes anything else."""

from types import SimpleNamespace

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.kernels import cpu, reference
from scratchnet.kernels.cpu import bias, chwn, conv_images, dense_images

# N, H, W, C, F, window, padding, dilation: batches and rows of whole vectors and not, edges on all sides
CASES = {
    "LeNet's first": (64, 12, 12, 1, 6, (5, 5), ((0, 0), (0, 0)), (1, 1)),
    "LeNet's second": (64, 9, 9, 6, 16, (5, 5), ((0, 0), (0, 0)), (1, 1)),
    "a broken vector of images": (37, 9, 8, 3, 7, (3, 2), ((1, 2), (0, 1)), (2, 1)),
    "a window larger than the image": (16, 4, 4, 2, 3, (5, 5), ((2, 2), (2, 2)), (1, 1)),
    "dilation, uneven padding": (33, 7, 9, 16, 9, (3, 5), ((0, 3), (4, 1)), (1, 2)),
    "padding beyond the window": (17, 2, 3, 2, 2, (3, 3), ((3, 3), (4, 3)), (1, 1)),
    "one pixel": (20, 1, 1, 5, 5, (1, 1), ((0, 0), (0, 0)), (1, 1)),
    "long sums": (70, 16, 16, 2, 13, (3, 3), ((1, 1), (1, 1)), (1, 1)),
}


def turned(x):
    """x, its images innermost in memory."""
    return np.ascontiguousarray(x.transpose(3, 1, 2, 0)).transpose(3, 1, 2, 0)


def draw(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape, dtype=np.float32)


def distance(got, exact):
    return np.linalg.norm(got - exact) / np.linalg.norm(exact)


@pytest.fixture(params=CASES.values(), ids=CASES.keys())
def case(request):
    N, H, W, C, F, window, padding, dilation = request.param
    return draw(N, H, W, C), draw(*window, C, F), draw(F), ((1, 1), padding, dilation, 1)


@pytest.fixture(params=[1, 2, 5])
def workers(request, monkeypatch):
    """Parts as for so many threads, whatever the machine has."""
    many = SimpleNamespace(threads=lambda: request.param, chunks=lambda size, least=1: max(1, min(request.param, size // least)))
    for module in (conv_images, bias, dense_images):
        monkeypatch.setattr(module, "threads", many)


@pytest.mark.parametrize("order", [np.ascontiguousarray, turned], ids=["channels innermost", "images innermost"])
def test_all_passes_are_those_of_the_reference(case, order, workers):
    x, w, b, geometry = case
    exact = [a.astype("float64") for a in (x, w, b)]
    y = cpu.conv2d(order(x), w, b, *geometry)
    assert distance(y, reference.conv2d(*exact, *geometry)) < 1e-6
    dy = draw(*y.shape)
    dx = cpu.conv2d_backward_data(order(dy), w, x.shape, *geometry)
    assert distance(dx, reference.conv2d_backward_data(dy.astype("float64"), exact[1], x.shape, *geometry)) < 1e-6
    dw = cpu.conv2d_backward_weights(order(dy), order(x), w.shape, *geometry)
    assert distance(dw, reference.conv2d_backward_weights(dy.astype("float64"), exact[0], w.shape, *geometry)) < 1e-6


@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
def test_the_backward_pass_in_one_call_is_its_pieces(case, activation, workers):
    x, w, b, geometry = case
    y = cpu.conv2d(x, w, b, *geometry, activation)
    dy = draw(*y.shape)
    exact = reference.conv2d_backward(*(a.astype("float64") for a in (dy, y, x)), x.shape, w.astype("float64"), *geometry,
                                      activation, (True, True, True))
    for order in (np.ascontiguousarray, turned):
        got = cpu.conv2d_backward(order(dy), y, order(x), x.shape, w, *geometry, activation, (True, True, True))
        assert max(map(distance, got, exact)) < 1e-6


@pytest.mark.parametrize("N, IN, OUT", [(64, 400, 120), (37, 13, 50), (16, 1, 1), (130, 25, 6), (17, 70, 129)])
@pytest.mark.parametrize("activation", [None, "relu", "tanh"])
def test_dense_layers_behind_them_hand_the_order_on(N, IN, OUT, activation, workers):
    x, w, b, dy = draw(N, IN).copy(order="F"), draw(IN, OUT), draw(OUT), draw(N, OUT)
    y = cpu.dense(x, w, b, activation)
    assert distance(y, reference.dense(*(a.astype("float64") for a in (x, w, b)), activation)) < 1e-6
    got = cpu.dense_backward(dy, y, x, w, activation, (True, True, True))
    assert y.T.flags.c_contiguous and got[0].T.flags.c_contiguous
    exact = reference.dense_backward(*(a.astype("float64") for a in (dy, y, x, w)), activation, (True, True, True))
    assert max(map(distance, got, exact)) < 1e-6


def test_dense_layers_that_no_cache_holds_take_rows_in_the_order_of_their_axes(monkeypatch):
    monkeypatch.setattr(dense_images, "MOST", 100)
    x, w, dy = draw(32, 20).copy(order="F"), draw(20, 9), draw(32, 9)
    y = cpu.dense(x, w, None)
    dx, _, _ = cpu.dense_backward(dy, y, x, w, None, (True, True, True))
    assert y.flags.c_contiguous and dx.flags.c_contiguous and distance(dx, dy @ w.T) < 1e-6


def test_convolutions_of_few_channels_put_images_innermost(case):
    x, w, b, geometry = case
    assert conv_images.suits(x.shape, w.shape, (1, 1), 1)
    y = cpu.conv2d(x, w, b, *geometry)
    assert y.transpose(3, 1, 2, 0).flags.c_contiguous
    assert cpu.conv2d_backward_data(y, w, x.shape, *geometry).transpose(3, 1, 2, 0).flags.c_contiguous


def test_what_a_convolution_keeps_lies_as_it_reads_it(case):
    x, w, b, geometry = case
    kept = cpu.conv2d_input(x, w.shape, *geometry)
    assert np.array_equal(kept, x) and kept.transpose(3, 1, 2, 0).flags.c_contiguous
    assert cpu.conv2d_input(kept, w.shape, *geometry) is not x and np.shares_memory(
        cpu.conv2d_input(kept, w.shape, *geometry), kept)
    other = cpu.conv2d_input(kept, w.shape, (2, 1), *geometry[1:])
    assert np.array_equal(other, x) and other.flags.c_contiguous


def test_strides_and_groups_go_another_way():
    x = draw(32, 9, 9, 4)
    for w, strides, groups in ((draw(3, 3, 4, 8), (2, 1), 1), (draw(3, 3, 4, 8), (1, 2), 1), (draw(3, 3, 2, 8), (1, 1), 2)):
        geometry = (strides, ((1, 0), (0, 1)), (1, 1), groups)
        y = cpu.conv2d(turned(x), w, None, *geometry)
        exact = reference.conv2d(x.astype("float64"), w.astype("float64"), None, *geometry)
        assert distance(y, exact) < 1e-6 and y.flags.c_contiguous


def test_an_activation_is_in_the_same_call(case):
    x, w, b, geometry = case
    y = cpu.conv2d(x, w, b, *geometry)
    assert np.array_equal(cpu.conv2d(x, w, b, *geometry, "relu"), np.maximum(y, 0))
    np.testing.assert_allclose(cpu.conv2d(x, w, b, *geometry, "tanh"), np.tanh(y), atol=5e-7)


def test_no_result_reads_uninitialised_memory(case, monkeypatch):
    x, w, b, geometry = case

    def poisoned(shape, dtype=np.float32):
        return np.full(shape, np.nan, dtype)
    monkeypatch.setattr(conv_images.memory, "empty", poisoned)
    y = cpu.conv2d(x, w, b, *geometry, "tanh")
    gradients = cpu.conv2d_backward(y, y, x, x.shape, w, *geometry, "tanh", (True, True, True))
    rows, weights = cpu.flatten(y), draw(y[0].size, 5)
    z = cpu.dense(rows, weights, None, "tanh")
    more = cpu.dense_backward(z, z, rows, weights, "tanh", (True, True, True))
    assert all(np.isfinite(result).all() for result in (y, z, *gradients, *more, cpu.flatten_backward(rows, y.shape)))


@pytest.mark.parametrize("shape", [(64, 5, 7, 1), (17, 3, 5, 2), (16, 1, 16, 1), (48, 7, 3, 5), (3, 2, 2, 2), (33, 4, 8, 16)])
def test_a_copy_with_the_images_innermost_is_the_same_array(shape):
    x = draw(*shape)
    assert np.array_equal(chwn.as_chwn(x), x.transpose(3, 1, 2, 0))
    assert np.array_equal(chwn.contiguous(turned(x)), x) and chwn.contiguous(turned(x)).flags.c_contiguous
    assert chwn.as_chwn(turned(x)).flags.c_contiguous and np.array_equal(chwn.as_chwn(turned(x)), x.transpose(3, 1, 2, 0))


def test_any_other_order_is_copied_too():
    x, w = draw(40, 8, 6, 3), draw(3, 3, 3, 4)
    geometry = ((1, 1), ((1, 0), (0, 2)), (1, 1), 1)
    expected = cpu.conv2d(x, w, None, *geometry)
    for other in (np.asfortranarray(x), np.ascontiguousarray(x.swapaxes(1, 2)).swapaxes(1, 2), np.repeat(turned(x), 2, 2)[:, :, ::2]):
        assert not chwn.is_chwn(other)
        assert np.array_equal(cpu.conv2d(other, w, None, *geometry), expected)
        assert np.array_equal(cpu.tanh(other), cpu.tanh(x))


def test_a_matrix_is_transposed():
    for shape in ((400, 120), (3, 50), (17, 16), (1, 5)):
        w = draw(*shape)
        assert np.array_equal(chwn.as_chwn(w), w.T) and chwn.as_chwn(w).flags.c_contiguous
        assert np.array_equal(chwn.contiguous(w.copy(order="F")), w)


WINDOWS = ((2, 2), (2, 2), ((0, 0), (0, 0)))
OVERLAPPING = ((3, 2), (2, 1), ((1, 1), (0, 1)))
POINTWISE = [
    (cpu.tanh, 1, ()), (cpu.sigmoid, 1, ()), (cpu.relu, 1, (0.1, 6.0, 0.0)),
    (cpu.tanh_backward, 2, ()), (cpu.sigmoid_backward, 2, ()), (cpu.relu_backward, 2, (0.1, 6.0, 0.0)),
    (cpu.avg_pool2d, 1, (*WINDOWS, False, True)), (cpu.avg_pool2d, 1, (*OVERLAPPING, False, True)),
]


@pytest.mark.parametrize("shape", [(20, 6, 8, 3), (64, 4, 4, 40)])
@pytest.mark.parametrize("function, inputs, arguments", POINTWISE)
def test_who_does_not_look_at_images_or_channels_hands_the_order_on(function, inputs, arguments, shape):
    arrays = [draw(*shape) + i for i in range(inputs)]
    expected = function(*arrays, *arguments)
    got = function(*[turned(array) for array in arrays], *arguments)
    assert chwn.is_chwn(got) and not chwn.is_chwn(expected)
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-7)
    if inputs == 2:                              # a gradient in the other order follows what the forward pass has left
        mixed = function(arrays[0], turned(arrays[1]), *arguments)
        assert chwn.is_chwn(mixed) and np.array_equal(mixed, got)


@pytest.mark.parametrize("shape", [(20, 6, 8, 3), (64, 4, 4, 40)])
@pytest.mark.parametrize("window", [WINDOWS, OVERLAPPING])
def test_pools_have_the_same_gradient_in_both_orders(shape, window):
    x = draw(*shape)
    y = cpu.avg_pool2d(x, *window, False, True)
    dy = draw(*y.shape)
    expected = cpu.avg_pool2d_backward(dy, x.shape, *window, False, True)
    got = cpu.avg_pool2d_backward(turned(dy), x.shape, *window, False, True)
    assert chwn.is_chwn(got)
    np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-7)
    best, winners = cpu.max_pool2d(x, *window, (1, 1), False)
    best_turned, winners_turned = cpu.max_pool2d(turned(x), *window, (1, 1), False)
    assert np.array_equal(best, best_turned) and np.array_equal(winners, winners_turned) and chwn.is_chwn(best_turned)
    expected = cpu.max_pool2d_backward(dy, winners, x.shape, *window, (1, 1))
    for gradient in (dy, turned(dy)):
        got = cpu.max_pool2d_backward(gradient, winners_turned, x.shape, *window, (1, 1))
        assert chwn.is_chwn(got)
        np.testing.assert_allclose(got, expected, rtol=2e-6, atol=1e-7)


@pytest.mark.parametrize("shape", [(20, 6, 8, 3), (64, 4, 4, 40), (16, 1, 2, 1), (100, 40, 40, 2)])
def test_sums_for_a_bias(shape, workers):
    dy = turned(draw(*shape))
    np.testing.assert_allclose(cpu.bias_backward(dy), dy.sum(axis=(0, 1, 2), dtype="float64"), rtol=1e-5, atol=1e-3)
    y = turned(draw(*shape) + 0.1)
    for function in "relu_bias_backward", "tanh_bias_backward":
        dz, db = getattr(cpu, function)(dy, y)
        np.testing.assert_allclose(dz, getattr(reference, function)(dy, y)[0], rtol=1e-6, atol=1e-6)
        np.testing.assert_allclose(db, dz.sum(axis=(0, 1, 2), dtype="float64"), rtol=1e-5, atol=1e-3)


class Contiguous(sn.Layer):
    """A layer of a user's own, which has been promised C-contiguous arrays."""

    def forward(self, x, training=True):
        assert x.flags.c_contiguous

        def backward(dy, need_dx=True):
            assert dy.flags.c_contiguous
            return dy
        return x, backward


def test_a_layer_of_ones_own_receives_contiguous_arrays():
    model = sn.Sequential(sn.Conv2D(4, 3), Contiguous(), sn.Conv2D(3, 3), sn.AvgPool2D(2), Contiguous(), sn.Flatten())
    model.init(0, (8, 8, 1))
    y, backward = model.forward(draw(32, 8, 8, 1))
    backward(np.ones_like(y))


def test_flatten_is_the_same_in_both_orders():
    x, flatten = draw(20, 3, 5, 2), sn.Flatten()
    flatten.init(0, (3, 5, 2))
    (y, backward), (y_turned, backward_turned) = flatten.forward(x), flatten.forward(turned(x))
    assert np.array_equal(y, y_turned) and np.array_equal(y, x.reshape(20, -1))
    assert y.flags.c_contiguous and y_turned.T.flags.c_contiguous
    dx, dx_turned = backward(y), backward_turned(y_turned)
    assert np.array_equal(dx, x) and np.array_equal(dx_turned, x) and chwn.is_chwn(dx_turned) and not chwn.is_chwn(dx)
    assert np.array_equal(flatten.forward(turned(x))[1](y), x)           # a layer of one's own has stood between


@pytest.mark.parametrize("kernels", ["cpu", "reference"])
@pytest.mark.parametrize("shape", [(5,), (5, 4), (2, 3, 4), (2, 3, 4, 5)])
def test_flatten_takes_any_number_of_axes(shape, kernels):
    x, flatten = draw(20, *shape), sn.Flatten()
    assert flatten.init(0, shape) == (np.prod(shape),)
    with sn.use_kernels(kernels):
        for order in (x, np.asfortranarray(x)):
            y, backward = flatten.forward(order)
            assert np.array_equal(y, x.reshape(20, -1)) and np.array_equal(backward(y), x)


def test_numbers_of_another_width_are_refused_in_any_order():
    for x in (draw(20, 18), draw(20, 4, 3, 2)):
        wide = turned(x).astype("float64", order="K") if x.ndim == 4 else np.asfortranarray(x.astype("float64"))
        for refused in (lambda: cpu.contiguous(wide), lambda: cpu.tanh(wide), lambda: cpu.flatten(wide)):
            with pytest.raises(TypeError, match="expected an array of float32, got float64"):
                refused()
    with pytest.raises(TypeError, match="float32"):
        cpu.dense(np.asfortranarray(draw(20, 18).astype("float64")), draw(18, 3), None)


@pytest.mark.parametrize("pool", [sn.AvgPool2D, sn.MaxPool2D])
def test_a_network_of_few_channels_keeps_the_order_all_the_way(pool):
    model = sn.Sequential(sn.Conv2D(4, 3, activation="tanh"), pool(2), sn.Conv2D(6, 3, padding="same"), sn.ReLU(), pool(2),
                          sn.Flatten(), sn.Dense(20, activation="tanh"), sn.Dense(3))
    model.init(0, (14, 14, 1))
    orders = []
    with sn.watch(lambda path, when, *arrays: orders.append((path, when, chwn.is_chwn(arrays[0])))):
        y, backward = model.forward(draw(32, 14, 14, 1))
        backward(np.ones_like(y))
    assert len(orders) == 2 * len(model) and all(turned for _, _, turned in orders)
