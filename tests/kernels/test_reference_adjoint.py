"""The backward of a linear function is its adjoint: <dy, f(x)> = <backward(dy), x> for all x and dy."""
import numpy as np
import pytest

from scratchnet.kernels import reference as ref

PADDING = ((2, 0), (1, 3))
CONV = (2, 1), PADDING, (1, 2)                           # strides, padding, dilation
X, W, DEPTHWISE_W = (2, 6, 5, 4), (3, 2, 2, 6), (3, 2, 1, 8)
RNG = np.random.default_rng(5)
FIXED = {shape: RNG.standard_normal(shape) for shape in (X, W, DEPTHWISE_W, (4, 3), (5, 4))}
OVERHANG = (3, 2), (2, 3), ((1, 0), (0, 1)), True        # pool_size, strides, padding, ceil_mode
MASK = ref.dropout(FIXED[X], 0.3, 1, 2, 3)[1]


def conv_case(groups):
    w = RNG.standard_normal((3, 2, 4 // groups, 6))
    return (X, lambda x: ref.conv2d(x, w, None, *CONV, groups),
            lambda dy: ref.conv2d_backward_data(dy, w, X, *CONV, groups))


def conv_weights_case(groups):
    shape = (3, 2, 4 // groups, 6)
    return (shape, lambda w: ref.conv2d(FIXED[X], w, None, *CONV, groups),
            lambda dy: ref.conv2d_backward_weights(dy, FIXED[X], shape, *CONV, groups))


def pad_case(mode):
    return X, lambda x: ref.pad2d(x, PADDING, mode), lambda dy: ref.pad2d_backward(dy, PADDING, mode)


def avg_case(include):
    return (X, lambda x: ref.avg_pool2d(x, *OVERHANG, include),
            lambda dy: ref.avg_pool2d_backward(dy, X, *OVERHANG, include))


LINEAR = {                                               # name: (shape of x, f, backward)
    "conv2d in x": conv_case(1),
    "conv2d in x, groups": conv_case(2),
    "conv2d in w": conv_weights_case(1),
    "conv2d in w, groups": conv_weights_case(2),
    "depthwise in x": (X, lambda x: ref.depthwise_conv2d(x, FIXED[DEPTHWISE_W], None, *CONV),
                       lambda dy: ref.depthwise_conv2d_backward_data(dy, FIXED[DEPTHWISE_W], X, *CONV)),
    "depthwise in w": (DEPTHWISE_W, lambda w: ref.depthwise_conv2d(FIXED[X], w, None, *CONV),
                       lambda dy: ref.depthwise_conv2d_backward_weights(dy, FIXED[X], DEPTHWISE_W, *CONV)),
    "dense in x": ((5, 4), lambda x: ref.dense(x, FIXED[4, 3], None),
                   lambda dy: ref.dense_backward_data(dy, FIXED[4, 3])),
    "dense in w": ((4, 3), lambda w: ref.dense(FIXED[5, 4], w, None),
                   lambda dy: ref.dense_backward_weights(dy, FIXED[5, 4])),
    "bias of dense": ((3,), lambda b: ref.dense(FIXED[5, 4], np.zeros((4, 3)), b), ref.bias_backward),
    "bias of conv": ((6,), lambda b: ref.conv2d(FIXED[X], np.zeros(W), b, *CONV, 2), ref.bias_backward),
    "avg_pool2d": avg_case(False),
    "avg_pool2d with padding": avg_case(True),
    "adaptive_avg_pool2d": (X, lambda x: ref.adaptive_avg_pool2d(x, (4, 3)),
                            lambda dy: ref.adaptive_avg_pool2d_backward(dy, X)),
    "global_avg_pool2d": (X, ref.global_avg_pool2d, lambda dy: ref.global_avg_pool2d_backward(dy, X)),
    "dropout": (X, lambda x: ref.dropout(x, 0.3, 1, 2, 3)[0], lambda dy: ref.dropout_backward(dy, MASK, 0.3)),
    "concat": (X, lambda x: ref.concat([x[..., :1], x[..., 1:]]),
               lambda dy: np.concatenate(ref.concat_backward(dy, [1, 3]), axis=-1)),
    "pad zeros": pad_case("zeros"),
    "pad reflect": pad_case("reflect"),
    "pad replicate": pad_case("replicate"),
    "pad circular": pad_case("circular"),
}


@pytest.mark.parametrize("name", LINEAR)
def test_backward_is_the_adjoint(name):
    shape, forward, backward = LINEAR[name]
    rng = np.random.default_rng(9)
    x = rng.standard_normal(shape)
    y = forward(x)
    dy = rng.standard_normal(y.shape)
    dx = backward(dy)
    assert dx.shape == shape
    # float64 sums of a few hundred terms near 1
    np.testing.assert_allclose(np.vdot(dy, y), np.vdot(dx, x), rtol=1e-11, atol=1e-11)


def test_concat_backward_gives_back_contiguous_parts():
    parts = ref.concat_backward(np.arange(12.0).reshape(1, 2, 6), [1, 2, 3])
    assert [part.shape for part in parts] == [(1, 2, 1), (1, 2, 2), (1, 2, 3)]
    assert all(part.flags.c_contiguous for part in parts)
    np.testing.assert_array_equal(parts[1], [[[1, 2], [7, 8]]])


def test_add_scales_its_second_argument_and_accumulate_works_in_place():
    x, y = np.array([1.0, 2.0]), np.array([10.0, 20.0])
    np.testing.assert_array_equal(ref.add(x, y, 0.5), [6, 12])
    for grad in (np.array([1.0, 2.0]), np.array(3.0)):
        expected = grad + 1
        assert ref.accumulate(grad, np.ones_like(grad)) is None
        np.testing.assert_array_equal(grad, expected)
