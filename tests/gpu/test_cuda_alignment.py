"""Arrays that begin a few numbers behind where their memory does, as a slice does: a device reads eight or sixteen
bytes at once only from a multiple of as many. Every operation gives the same results from there.
"""

import numpy as np
import pytest
from engines import BFLOAT16, FLOAT32, each_array, flat, normal, run
from test_cuda_launch import CALLS

import scratchnet as sn
from scratchnet.kernels import cuda

GEOMETRY = (1, 1), ((1, 1), (1, 1)), (1, 1)
EVERYWHERE = None                                # in the place of a place


def reading_at_once(dtype):
    """{operation: arguments} for which kernels read and write the most at once, where all arrays are aligned."""
    def image(seed, *shape):
        return normal(seed, *shape, dtype=dtype)
    x, dy, w, deep = image(0, 2, 5, 6, 16), image(1, 2, 5, 6, 16), normal(2, 3, 3, 16, 16), normal(3, 3, 3, 1, 256)
    packed = w.astype(dtype)                     # as for_inference keeps it
    wide, dwide, rest, channels = image(4, 1, 5, 6, 256), image(5, 1, 5, 6, 256), image(6, 1, 5, 6, 256), [
        normal(7, 256), normal(8, 256), normal(9, 256), np.square(normal(10, 256)) + 0.5]
    return {
        "conv2d": (x, packed, normal(11, 16), *GEOMETRY, 1, "relu"),
        "conv2d_backward_data": (dy, w, x.shape, *GEOMETRY, 1),
        "conv2d_backward_weights": (dy, x, w.shape, *GEOMETRY, 1),
        "conv2d_backward": (dy, x, x, x.shape, w, *GEOMETRY, 1, "relu", (True,) * 3),
        "depthwise_conv2d": (wide, deep, normal(12, 256), *GEOMETRY),
        "depthwise_conv2d_backward_data": (dwide, deep, wide.shape, *GEOMETRY),
        "depthwise_conv2d_backward_weights": (dwide, wide, deep.shape, *GEOMETRY),
        "batch_norm": (wide, *channels[:2], 1e-5, rest, True), "batch_norm_inference": (wide, *channels, 1e-5, rest),
        "batch_norm_backward": (dwide, wide, *channels, 1e-5, True),
        "batch_norm_inference_backward": (dwide, wide, *channels, 1e-5),
    }


AT_ONCE = {precision: reading_at_once(dtype)
           for precision, dtype in {"float32": FLOAT32, "tf32": FLOAT32, "bf16": BFLOAT16}.items()}


def moved(engine, array, by):
    """The array on the device, `by` numbers behind the begin of an allocation."""
    memory = engine.to_device(np.concatenate([np.zeros(by, array.dtype), array.reshape(-1)]))
    view = memory[by:].reshape(array.shape)
    assert engine.device.address(view) % 16 == by * array.itemsize % 16
    return view


def results(engine, operation, arguments, by=0, place=EVERYWHERE):
    """What the operation returns, and what it has made of its arguments; those at `place` are moved."""
    given = [each_array(lambda array: moved(engine, array, by if place in (EVERYWHERE, index) else 0), argument)
             for index, argument in enumerate(arguments)]
    found = getattr(cuda, operation)(*given)
    return flat(each_array(engine.to_host, [list(found) if isinstance(found, (list, tuple)) else found, *given]))


def places(arguments):
    return [EVERYWHERE, *(index for index, argument in enumerate(arguments) if flat([argument]))]


@pytest.mark.parametrize("operation", CALLS)
def test_an_operation_gives_the_same_bits_wherever_its_arrays_begin(engine, operation):
    arguments = CALLS[operation][0]
    expected = results(engine, operation, arguments)
    for place in places(arguments):
        for ours, theirs in zip(results(engine, operation, arguments, 1, place), expected, strict=True):
            assert ours.tobytes() == theirs.tobytes(), f"argument {place}"


@pytest.mark.parametrize("operation", AT_ONCE["float32"])
@pytest.mark.parametrize("precision, by", [("float32", 1), ("float32", 2), ("tf32", 1), ("tf32", 2),
                                           ("bf16", 1), ("bf16", 2), ("bf16", 4)])
def test_what_is_read_at_once_is_read_one_by_one_where_it_is_not_aligned(engine, precision, operation, by):
    arguments = AT_ONCE[precision][operation]
    with sn.use_precision(precision):
        expected = results(engine, operation, arguments)
        for place in places(arguments):
            for ours, theirs in zip(results(engine, operation, arguments, by, place), expected, strict=True):
                # Another kernel may do it, in sums of another order, and not rounded to TF32.
                apart = np.linalg.norm(ours.astype("f8") - theirs.astype("f8"))
                assert apart <= 4e-3 * np.linalg.norm(theirs.astype("f8")), f"argument {place}"


def test_concat_of_arrays_that_begin_anywhere(engine):
    xs = [normal(0, 2, 3, 8), normal(1, 2, 3, 4)]
    got, *_ = results(engine, "concat", [xs], by=1)
    np.testing.assert_array_equal(got, run(engine, cuda.concat, xs)[0])
