"""Philox against Random123's published vectors, and the dropout mask against its words."""
import numpy as np
import pytest

from scratchnet.kernels import reference as ref
from scratchnet.kernels.reference.philox import philox4x32

ONES = 0xFFFFFFFF
KNOWN_ANSWERS = [                                        # Random123, kat_vectors, philox 4x32 10
    ((0, 0, 0, 0), (0, 0), "6627e8d5 e169c58d bc57ac4c 9b00dbd8"),
    ((ONES,) * 4, (ONES, ONES), "408f276d 41c83b0e a20bc7c6 6d5451fd"),
    ((0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344), (0xA4093822, 0x299F31D0),
     "d16cfe09 94fdcceb 5001e420 24126ea1"),
]


def words(counter, key):
    return [int(word[0]) for word in philox4x32([np.array([c], "uint64") for c in counter], key)]


@pytest.mark.parametrize("counter, key, expected", KNOWN_ANSWERS, ids=["zeros", "ones", "pi"])
def test_philox_gives_the_published_words(counter, key, expected):
    assert words(counter, key) == [int(word, 16) for word in expected.split()]


@pytest.mark.parametrize("shape", [(1,), (3, 5), (2, 3, 2, 1), (0, 4), ()])
def test_element_e_is_kept_if_word_e_mod_4_of_block_e_div_4_reaches_the_rate(shape):
    seed, layer, call, rate = 0x9E3779B97F4A7C15, 3, 70000, 0.4
    _, mask = ref.dropout(np.ones(shape, "float32"), rate, seed, layer, call)
    expected = []
    for e in range(int(np.prod(shape))):
        word = words((e // 4, 0, call, layer), (0x7F4A7C15, 0x9E3779B9))[e % 4]
        expected.append(int(word >= round(rate * 2**32)))
    assert mask.dtype == np.uint8 and mask.shape == shape
    assert mask.ravel().tolist() == expected


def test_a_word_equal_to_the_rate_keeps_its_element():
    word = words((0, 0, 3, 2), (1, 0))[0]
    assert ref.dropout(np.ones(1), word / 2**32, 1, 2, 3)[1] == [1]
    assert ref.dropout(np.ones(1), (word + 1) / 2**32, 1, 2, 3)[1] == [0]


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_the_mask_depends_on_the_seed_the_layer_and_the_call_and_on_nothing_else(dtype):
    x = np.ones((40, 5), dtype)
    _, mask = ref.dropout(x, 0.5, 1, 2, 3)
    _, again = ref.dropout(np.ones((5, 40), "float32").T, 0.5, np.uint64(1), np.int64(2), np.int64(3))
    np.testing.assert_array_equal(mask, again)
    for other in ((2, 2, 3), (1 + 2**32, 2, 3), (1, 3, 3), (1, 2, 4)):
        assert (ref.dropout(x, 0.5, *other)[1] != mask).any()


def test_dropout_keeps_its_share_and_the_mean():
    x = np.full(100_000, 2.0)
    for rate in (0.0, 0.1, 0.75):
        y, mask = ref.dropout(x, rate, 7, 0, 0)
        # Six standard deviations of a binomial share of 100,000 draws are below 0.01.
        assert abs(mask.mean() - (1 - rate)) < 0.01
        np.testing.assert_allclose(y, mask * 2 / (1 - rate), rtol=1e-12)
