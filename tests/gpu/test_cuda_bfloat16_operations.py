"""Every operation on bfloat16 activations against the float64 reference of the same numbers: one rounding apart."""

import numpy as np
import pytest
from engines import BFLOAT16, FLOAT32, agree, normal, run, wide

import scratchnet as sn
from scratchnet.kernels import cuda, reference

NARROW, WIDE, OTHER = BFLOAT16, FLOAT32, None        # the dtypes of results; integers are compared as they are
GEOMETRY = (3, 2), (2, 1), ((1, 0), (0, 1))


def narrow(seed, *shape):
    return normal(seed, *shape, dtype=BFLOAT16)


def channels(C):
    return [normal(10, C) + 2, normal(11, C), normal(12, C), np.square(normal(13, C)) + 0.5]     # γ, β, μ, σ²


def pooled(name, *more):
    """dy of a pool's result."""
    y = getattr(reference, name)(normal(0, 2, 9, 8, 5), *more)
    return narrow(1, *(y[0] if isinstance(y, tuple) else y).shape)


def scale_of(x):
    return reference.local_response_norm(wide(x), 5, 0.3, 0.75, 1.5)[1].astype("f4")


x, dy, images, rows = narrow(0, 37, 71), narrow(1, 37, 71), narrow(0, 2, 9, 8, 5), narrow(2, 700, 33)
norm, tanh = channels(33), np.tanh(normal(4, 700, 33)).astype(BFLOAT16)
winners = reference.max_pool2d(images, *GEOMETRY, (1, 1), False)[1]
weights, bias = normal(5, 33, 17), normal(6, 17)
deep = narrow(7, 700, 17)

# operation and a name of the case: arguments, dtypes of the results, and roundings where there is more than the one
CASES = {
    "relu": ((x, 0.1, 1, 0.2), [NARROW]), "relu_backward": ((dy, x, 0.1, 1, 0.2), [NARROW]),
    "tanh": ((x,), [NARROW]), "tanh_backward": ((dy, tanh[:37].repeat(3, 1)[:, :71]), [NARROW]),
    "sigmoid": ((x,), [NARROW]), "sigmoid_backward": ((dy, abs(tanh[:37]).repeat(3, 1)[:, :71]), [NARROW]),
    "softmax": ((x,), [WIDE]),
    "add": ((x, dy, 0.3), [NARROW]), "add, the first in float32": ((normal(3, 37, 71), dy, 0.3), [WIDE]),
    "add, the second in float32": ((x, normal(3, 37, 71), 0.3), [WIDE]),
    "concat": (([images, narrow(3, 2, 9, 8, 3)],), [NARROW]),
    "concat, one in float32": (([images, normal(3, 2, 9, 8, 3)],), [WIDE]),
    "concat_backward": ((images, [2, 3]), [NARROW, NARROW]),
    "avg_pool2d": ((images, *GEOMETRY, True, False), [NARROW]),
    "avg_pool2d_backward": ((pooled("avg_pool2d", *GEOMETRY, True, False), images.shape, *GEOMETRY, True, False), [NARROW]),
    "adaptive_avg_pool2d": ((images, (4, 3)), [NARROW]),
    "adaptive_avg_pool2d_backward": ((narrow(1, 2, 4, 3, 5), images.shape), [NARROW]),
    "global_avg_pool2d": ((images,), [NARROW]),
    "global_avg_pool2d_backward": ((narrow(1, 2, 5), images.shape), [NARROW]),
    "max_pool2d": ((images, *GEOMETRY, (1, 1), False), [NARROW, OTHER]),
    "max_pool2d_backward": ((pooled("max_pool2d", *GEOMETRY, (1, 1), False), winners, images.shape, *GEOMETRY, (1, 1)),
                            [NARROW]),
    "batch_norm": ((rows, *norm[:2], 1e-5), [NARROW, WIDE, WIDE]),
    "batch_norm, with all": ((rows, *norm[:2], 1e-5, narrow(3, 700, 33), True), [NARROW, WIDE, WIDE]),
    "batch_norm, residual in float32": ((rows, *norm[:2], 1e-5, normal(3, 700, 33)), [NARROW, WIDE, WIDE], 2),
    "batch_norm, two columns a thread": ((narrow(2, 90, 64), *channels(64)[:2], 1e-5, narrow(3, 90, 64), True),
                                         [NARROW, WIDE, WIDE]),
    "batch_norm_backward, four columns a thread": ((narrow(3, 90, 256), narrow(2, 90, 256), *channels(256), 1e-5, True),
                                                   [NARROW, WIDE, WIDE]),
    "batch_norm_inference": ((rows, *norm, 1e-5, narrow(3, 700, 33), True), [NARROW]),
    "batch_norm_backward": ((narrow(3, 700, 33), rows, *norm, 1e-5, True), [NARROW, WIDE, WIDE]),
    "batch_norm_inference_backward": ((narrow(3, 700, 33), rows, *norm, 1e-5), [NARROW, WIDE, WIDE]),
    "bias_backward": ((rows,), [WIDE]),
    "relu_bias_backward": ((rows, tanh), [NARROW, WIDE]), "tanh_bias_backward": ((rows, tanh), [NARROW, WIDE]),
    "dropout": ((images, 0.3, 2**62 + 5, 7, 9), [NARROW, OTHER]),
    "dropout_backward": ((images, reference.dropout(images, 0.3, 1, 2, 3)[1], 0.3), [NARROW]),
    "local_response_norm": ((images, 5, 0.3, 0.75, 1.5), [NARROW, WIDE]),
    "local_response_norm_backward": ((narrow(1, *images.shape), images, scale_of(images), 5, 0.3, 0.75), [NARROW]),
    "pad2d": ((images, ((1, 2), (0, 3)), "reflect"), [NARROW]),
    "pad2d_backward": ((images, ((1, 2), (1, 3)), "circular"), [NARROW]),
    # factors are rounded, so are the products, then what the bias and the activation make of them
    "dense": ((rows, weights, None), [NARROW], 2), "dense, with all": ((rows, weights, bias, "tanh"), [NARROW], 3),
    "dense_backward": ((deep, np.tanh(narrow(8, 700, 17)), rows, weights, "tanh", (True,) * 3), [NARROW, WIDE, WIDE], 3),
    "dense_backward_data": ((deep, weights), [NARROW], 2), "dense_backward_weights": ((deep, rows), [WIDE]),
    "dense_backward_weights of float32 images": ((deep, normal(2, 700, 33)), [WIDE], 2),
}
NOT_HERE = {"softmax_backward", "softmax_cross_entropy", "binary_cross_entropy", "mean_squared_error",      # float32 only
            "accumulate", "sgd", "rmsprop", "adam", "adamw", "flatten", "flatten_backward", "contiguous", "conv2d_input"}
ELSEWHERE = {name for name in reference.__all__ if "conv2d" in name}


def name_of(case):
    return case.replace(",", " ").split()[0]


def test_every_operation_has_a_case():
    assert {name_of(case) for case in CASES} == set(reference.__all__) - NOT_HERE - ELSEWHERE


@pytest.mark.parametrize("case", CASES)
def test_an_operation_on_bfloat16_is_that_on_the_same_numbers(engine, case):
    arguments, dtypes, *roundings = CASES[case]
    got = run(engine, getattr(cuda, name_of(case)), *arguments)
    expected = getattr(reference, name_of(case))(*wide(list(arguments)))
    expected = expected if isinstance(expected, (list, tuple)) else [expected]
    for ours, theirs, dtype in zip(got, expected, dtypes, strict=True):
        if dtype is OTHER:
            np.testing.assert_array_equal(ours, theirs)
        else:
            # 64 terms: sums over 700 rows, differences from means that cancel.
            agree(ours, theirs, 64, dtype, *roundings)


def test_where_bf16_is_in_force_a_dense_layer_makes_bfloat16_of_float32(engine):
    x, w, b = normal(0, 33, 65), normal(1, 65, 29), normal(2, 29)
    with sn.use_precision("bf16"):
        y, = run(engine, cuda.dense, x, w, b)
        dw, = run(engine, cuda.dense_backward_weights, y, x)
        dx, = run(engine, cuda.dense_backward_data, y, w)
    agree(y, wide(x) @ wide(w) + wide(b), 65, BFLOAT16, 3)
    agree(dw, wide(x.astype(BFLOAT16)).T @ wide(y), 33)
    agree(dx, wide(y) @ wide(w.astype(BFLOAT16)).T, 29, BFLOAT16)
