"""exp and tanh over all of float32: the error that kernels/cpu/exponential.py states."""

import numpy as np
import pytest

from scratchnet.kernels import cpu

# Every 997th float32: 4.3 million of them, both signs, subnormal to infinite.
ALL = np.arange(0, 2**32, 997, dtype=np.uint32).view(np.float32)
NUMBERS = ALL[~np.isnan(ALL)]


def relative_error(got, exact):
    return np.max(np.abs(got - exact) / np.abs(exact))


def test_tanh_is_within_4e_7_of_the_exact_value_everywhere():
    got, exact = cpu.tanh(NUMBERS), np.tanh(NUMBERS.astype("f8"))
    normal = np.abs(exact) > np.finfo("f4").tiny
    assert relative_error(got[normal], exact[normal]) <= 4e-7
    assert np.abs(got).max() == 1 and np.abs(got[~normal]).max() <= np.finfo("f4").tiny


def test_exp_is_within_its_stated_error_as_seen_through_the_sigmoid():
    # 1/(1 + e^-x) is e^x to 4e-8 where x < -17; the bound adds the sum's and the quotient's rounding to exp's 1.2e-7.
    x = NUMBERS[(NUMBERS > -87) & (NUMBERS < -17)]
    assert relative_error(cpu.sigmoid(x), 1 / (1 + np.exp(-x.astype("f8")))) <= 2.5e-7
    middle = np.linspace(-17, 88, 1_000_001).astype("f4")
    assert relative_error(cpu.sigmoid(middle), 1 / (1 + np.exp(-middle.astype("f8")))) <= 2.5e-7


@pytest.mark.parametrize("name, ends", [("tanh", [-1, 1]), ("sigmoid", [0, 1])])
def test_infinities_go_to_the_limits_and_nan_stays(name, ends):
    got = getattr(cpu, name)(np.array([-np.inf, np.inf, np.nan], np.float32))
    assert got[:2].tolist() == ends and np.isnan(got[2])


def test_tanh_is_odd():
    x = np.linspace(0, 10, 200_001).astype("f4")
    assert np.array_equal(cpu.tanh(-x), -cpu.tanh(x))
