"""bfloat16: how it is made, which arrays meet which kernels, and how it enters a product of matrices."""

import numpy as np
import pytest
from engines import BFLOAT16, FLOAT32, agree, normal, run

import scratchnet as sn
from scratchnet.kernels.cuda import activation, launch
from scratchnet.kernels.cuda.cast import cast
from scratchnet.kernels.cuda.precision import factors, product


def test_every_bfloat16_widens_to_the_float32_that_it_is(engine):
    x = np.arange(2**16, dtype=np.uint16).view(BFLOAT16)
    got, = run(engine, cast, x, FLOAT32)
    np.testing.assert_array_equal(got.view(np.uint32), np.arange(2**16, dtype=np.uint32) << 16)


def test_a_float32_is_rounded_to_the_nearest_bfloat16_and_ties_to_even(engine):
    bits = np.random.default_rng(0).integers(0, 2**32, 30001, dtype=np.uint32)
    ties = bits[:3000] & 0xFFFF0000 | 0x8000
    x = np.concatenate([bits, ties, ties - 1, ties + 1]).view(FLOAT32)
    x[:6] = np.nan, np.inf, -np.inf, np.finfo("f4").max, -0.0, 1e-45
    got, = run(engine, cast, x, BFLOAT16)
    with np.errstate(invalid="ignore"):
        expected = x.astype(BFLOAT16)
    numbers = ~np.isnan(x)
    np.testing.assert_array_equal(got.view(np.uint16)[numbers], expected.view(np.uint16)[numbers])
    assert np.isnan(got.astype("f4")[~numbers]).all() and not numbers.all()


def test_what_has_the_dtype_already_is_not_copied_and_a_transpose_stays_one(engine):
    x = engine.to_device(normal(0, 5, 7))
    assert cast(x, FLOAT32) is x
    turned = cast(x.T, BFLOAT16)
    assert turned.shape == (7, 5) and turned.T.flags.c_contiguous
    np.testing.assert_array_equal(engine.to_host(turned).astype("f4"), normal(0, 5, 7, dtype=BFLOAT16).T.astype("f4"))


@pytest.mark.parametrize("place", range(2))
def test_a_kernel_never_meets_arrays_of_both_dtypes(engine, place):
    arrays = [engine.to_device(normal(0, 8)) for _ in range(2)]
    arrays[place] = engine.to_device(normal(0, 8, dtype=BFLOAT16))
    with pytest.raises(TypeError, match="tanh_forward takes arrays of one dtype where it says real.; got x .*, y "):
        launch.each("activation", "tanh_forward", 8, x=arrays[0], y=arrays[1])
    with pytest.raises(TypeError, match=f"tanh_backward: dy must be .* of .*{arrays[1].dtype}, got .*{arrays[0].dtype}"):
        activation.tanh_backward(*arrays)


@pytest.mark.parametrize("kernel, dtypes, words", [
    ("to_bfloat16", (BFLOAT16, BFLOAT16), r"x is a float\*, which .* of float32 fits; got .* bfloat16"),
    ("to_bfloat16", (FLOAT32, FLOAT32), r"y is a bf16\*, which .* of bfloat16 fits; got .* float32"),
    ("to_bfloat16", (FLOAT32, np.dtype("f2")), r"y is a bf16\*, which .* of bfloat16 fits; got .* float16")])
def test_a_pointer_takes_its_own_dtype_only(engine, kernel, dtypes, words):
    x, y = (engine.to_device(np.zeros(8, dtype)) for dtype in dtypes)
    with pytest.raises(TypeError, match=words):
        launch.each("cast", kernel, 8, x=x, y=y)


def test_activations_are_float32_or_bfloat16(engine):
    with pytest.raises(TypeError, match="tanh: x must be .* of float32 or bfloat16, got .* float16"):
        activation.tanh(engine.to_device(normal(0, 8).astype("f2")))


PRODUCTS = {"a b": (False, False), "aᵀ b": (True, False), "a bᵀ": (False, True), "aᵀ bᵀ": (True, True)}


@pytest.mark.parametrize("turned", PRODUCTS)
@pytest.mark.parametrize("M, K, N", [(1, 1, 1), (5, 1, 3), (33, 65, 17), (4, 0, 3), (0, 3, 2)])
def test_a_product_of_bfloat16_is_summed_in_float32(engine, turned, M, K, N):
    a, b = normal(0, M, K, dtype=BFLOAT16), normal(1, K, N, dtype=BFLOAT16)
    given = [np.ascontiguousarray(x.T) if is_turned else x for x, is_turned in zip((a, b), PRODUCTS[turned])]

    def operation(a, b, dtype):
        return product(*[x.T if is_turned else x for x, is_turned in zip((a, b), PRODUCTS[turned])], dtype)
    exact = a.astype("f8") @ b.astype("f8")
    agree(run(engine, operation, *given, FLOAT32)[0], exact, K)
    agree(run(engine, operation, *given, None)[0], exact, K, BFLOAT16)


def test_factors_are_bfloat16_where_that_is_in_force_or_one_of_them_is(engine):
    x, narrow = engine.to_device(normal(0, 4)), engine.to_device(normal(1, 4, dtype=BFLOAT16))
    assert all(factor is x for factor in factors(x, x))
    assert [factor.dtype for factor in factors(x, narrow)] == [BFLOAT16] * 2
    with sn.use_precision("bf16"):
        assert [factor.dtype for factor in factors(x, x)] == [BFLOAT16] * 2
        with sn.use_precision("float32"):
            assert factors(narrow, x)[0] is narrow
            assert factors(x, x)[1] is x
    assert factors(x)[0] is x
