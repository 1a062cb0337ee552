"""Backward passes of the nonlinear operations against central differences, in float64, with random dy.

A dy of ones would pass a batch norm without its mean terms: the sum of a normalised batch is constant.
"""
import numpy as np
import pytest

from scratchnet.kernels import reference as ref

EPSILON = 1e-3
RNG = np.random.default_rng(3)
LABELS = RNG.integers(0, 5, 4)
PROBABILITIES = RNG.dirichlet(np.ones(5), 4)
TARGETS = RNG.random((4, 5))
NARROW = (2, 2), (1, 2), ((1, 0), (0, 1)), (2, 1), True  # pool_size, strides, padding, dilation, ceil_mode


def normal(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape)


def off_kinks(*shape):
    """Distinct values at least 0.05 apart and 0.02 from 0, 1 and -0.5: no kink within a difference's step."""
    values = np.random.default_rng(1).permutation(int(np.prod(shape))) - np.prod(shape) // 2
    return (values * 0.05 + 0.023).reshape(shape)


def norm_case(*shape, relu=False):
    C = shape[-1]

    def backward(dy, x, gamma, beta):
        _, mean, var = ref.batch_norm(x, gamma, beta, EPSILON)
        return ref.batch_norm_backward(dy, x, gamma, beta, mean, var, EPSILON, relu)
    arguments = [3 * normal(*shape) + 10, normal(C), normal(C + 1)[1:]]
    return arguments, lambda *args: ref.batch_norm(*args, EPSILON, None, relu)[0], backward


def inference_case(*shape, relu=False):
    C = shape[-1]
    mean, var = normal(C), normal(C) ** 2
    return ([normal(*shape), normal(C), normal(C)],
            lambda x, gamma, beta: ref.batch_norm_inference(x, gamma, beta, mean, var, EPSILON, None, relu),
            lambda dy, x, gamma, beta: ref.batch_norm_inference_backward(dy, x, gamma, beta, mean, var, EPSILON, relu))


def bias_case(activation, backward_of, *shape):
    def backward(dy, z, b):
        return backward_of(dy, forward(z, b))

    def forward(z, b):
        return activation(z + b)
    return [normal(*shape), normal(shape[-1])], forward, backward


def relu_case(*args):
    return [off_kinks(6, 7)], lambda x: ref.relu(x, *args), lambda dy, x: [ref.relu_backward(dy, x, *args)]


def lrn_case(size):
    settings = size, 0.7, 0.75

    def backward(dy, x):
        _, scale = ref.local_response_norm(x, *settings, 1.5)
        return [ref.local_response_norm_backward(dy, x, scale, *settings)]
    return [normal(2, 2, 1, 6)], lambda x: ref.local_response_norm(x, *settings, 1.5)[0], backward


def loss_case(loss, predictions, *args):
    return [predictions], lambda p: loss(p, *args)[0], lambda dy, p: [dy * loss(p, *args)[1]]


def max_pool_backward(dy, x):
    return [ref.max_pool2d_backward(dy, ref.max_pool2d(x, *NARROW)[1], x.shape, *NARROW[:4])]


SMOOTH = {                               # name: (arguments, f(*arguments), backward(dy, *arguments))
    "batch_norm of images": norm_case(2, 3, 2, 3),
    "batch_norm of rows": norm_case(5, 3),
    "batch_norm_inference of images": inference_case(2, 2, 2, 3),
    "batch_norm_inference of rows": inference_case(4, 3),
    "batch_norm and relu": norm_case(2, 3, 2, 3, relu=True),
    "batch_norm_inference and relu": inference_case(2, 2, 2, 3, relu=True),
    "bias and relu": bias_case(lambda z: np.maximum(z, 0), ref.relu_bias_backward, 5, 3),
    "bias and tanh": bias_case(np.tanh, ref.tanh_bias_backward, 5, 3),
    "lrn over 1": lrn_case(1),
    "lrn over 4": lrn_case(4),
    "lrn over 5": lrn_case(5),
    "lrn over more than all channels": lrn_case(15),
    "relu": relu_case(0.0, None, 0.0),
    "relu leaky": relu_case(0.3, None, 0.0),
    "relu capped": relu_case(0.0, 1.0, 0.0),
    "relu leaky, capped, shifted": relu_case(0.3, 1.0, -0.5),
    "tanh": ([normal(3, 4)], ref.tanh, lambda dy, x: [ref.tanh_backward(dy, ref.tanh(x))]),
    "sigmoid": ([3 * normal(3, 4)], ref.sigmoid, lambda dy, x: [ref.sigmoid_backward(dy, ref.sigmoid(x))]),
    "softmax": ([3 * normal(3, 4)], ref.softmax, lambda dy, x: [ref.softmax_backward(dy, ref.softmax(x))]),
    "max_pool2d": ([off_kinks(2, 4, 3, 2)], lambda x: ref.max_pool2d(x, *NARROW)[0], max_pool_backward),
    "cross entropy of labels": loss_case(ref.softmax_cross_entropy, 3 * normal(4, 5), LABELS, 0.0),
    "cross entropy, smoothed": loss_case(ref.softmax_cross_entropy, 3 * normal(4, 5), LABELS, 0.2),
    "cross entropy of probabilities": loss_case(ref.softmax_cross_entropy, normal(4, 5), PROBABILITIES, 0.1),
    "cross entropy of no distribution": loss_case(ref.softmax_cross_entropy, normal(4, 5), TARGETS, 0.0),
    "binary cross entropy": loss_case(ref.binary_cross_entropy, TARGETS[::-1] * 0.9 + 0.05, TARGETS, False),
    "binary cross entropy of logits": loss_case(ref.binary_cross_entropy, 3 * normal(4, 5), TARGETS, True),
    "mean squared error": loss_case(ref.mean_squared_error, normal(4, 5), TARGETS),
}


def central_differences(f, arguments, dy, step=1e-6):
    """d<dy, f>/d(argument), element by element."""
    gradients = []
    for argument in arguments:
        gradient = np.empty(argument.shape)
        for i in np.ndindex(argument.shape):
            original = argument[i]
            argument[i] = original + step
            above = np.vdot(dy, f(*arguments))
            argument[i] = original - step
            below = np.vdot(dy, f(*arguments))
            argument[i] = original
            gradient[i] = (above - below) / (2 * step)
        gradients.append(gradient)
    return gradients


@pytest.mark.parametrize("name", SMOOTH)
def test_backward_agrees_with_central_differences(name):
    arguments, forward, backward = SMOOTH[name]
    arguments = [np.array(argument) for argument in arguments]
    dy = np.random.default_rng(11).standard_normal(forward(*arguments).shape)
    expected = central_differences(forward, arguments, dy)
    computed = backward(dy, *arguments)
    assert len(computed) == len(expected)
    for got, wanted in zip(computed, expected):
        # Rounding of f is 1e-16 · |f| / 1e-6 ~ 1e-9; truncation step² · f'''/6 is below it.
        np.testing.assert_allclose(got, wanted, rtol=1e-6, atol=2e-8)
