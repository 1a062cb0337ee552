"""Initialisers: the spread that the papers ask for, and nothing that depends on the machine."""

import numpy as np
import pytest

from scratchnet import initializers
from scratchnet.initializers import fans

SHAPE = (3, 3, 64, 96)                                           # fan_in 576, fan_out 864
VARIANCE = {"glorot_uniform": 2 / (576 + 864), "glorot_normal": 2 / (576 + 864), "he_uniform": 2 / 576,
            "he_normal": 2 / 576, "he_normal_fan_out": 2 / 864, "lecun_uniform": 1 / 576, "lecun_normal": 1 / 576}


@pytest.mark.parametrize("name", VARIANCE)
def test_the_variance_is_the_papers(name):
    values = initializers.initializer(name)(np.random.default_rng(0), SHAPE)
    assert values.shape == SHAPE and abs(values.mean()) < 1e-3
    assert values.var() == pytest.approx(VARIANCE[name], rel=0.02)        # 55,296 draws: 3 standard errors
    if name.endswith("uniform"):
        assert np.abs(values).max() <= np.sqrt(3 * VARIANCE[name])


def test_every_initialiser_is_covered():
    assert set(initializers.BY_NAME) == {*VARIANCE, "zeros", "ones"}


@pytest.mark.parametrize("shape, expected", [((5, 7), (5, 7)), ((3, 2, 4, 8), (24, 48)), ((6,), (6, 6))])
def test_fans_count_the_window(shape, expected):
    assert fans(shape) == expected


def test_a_function_is_taken_as_it_is_and_an_unknown_name_refused():
    assert initializers.initializer(len) is len
    with pytest.raises(ValueError, match="one of zeros, ones, glorot_uniform"):
        initializers.initializer("xavier")


def test_a_weight_larger_than_a_block_is_drawn_as_if_in_one_piece():
    shape = (3, initializers.BLOCK // 2)
    drawn = initializers.lecun_normal(np.random.default_rng(0), shape)
    assert drawn.dtype == np.float32
    np.testing.assert_array_equal(drawn, np.random.default_rng(0).normal(0, 3 ** -0.5, shape).astype(np.float32))
