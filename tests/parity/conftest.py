"""What the parity tests share: the kernels under test, and what counts as agreement with PyTorch.

PyTorch always computes in float64, from exactly the numbers that our side is given: every difference is ours.
"""

import dataclasses

import numpy as np
import pytest

import scratchnet as sn

ENGINES = [("reference", "float64"), ("reference", "float32"), ("cpu", "float32")]


@dataclasses.dataclass(frozen=True)
class Engine:
    """The kernels that are in force during a test, and the dtype of its arrays."""

    kernels: str
    dtype: str

    @property
    def tolerance(self):
        """64 units of rounding, as a share of the largest value: 7e-15 in float64, 3.8e-6 in float32.

        A sum of n terms may be off by n units, and n goes to thousands here; but roundings cancel: no layer and
        no loss was off by more than 16. A wrong formula is off by thousands, in float32 too.
        """
        return 64 * np.finfo(self.dtype).eps / 2

    def agree(self, what, ours, theirs, slack=1):
        """Assert that `ours` has our dtype, and the shape and (up to slack * tolerance) values of theirs."""
        theirs = np.asarray(theirs.detach() if hasattr(theirs, "detach") else theirs)
        assert ours.dtype == self.dtype, f"{what}: {ours.dtype} instead of {self.dtype}"
        assert ours.shape == theirs.shape, f"{what}: shape {ours.shape}, PyTorch's is {theirs.shape}"
        largest = np.abs(theirs).max()
        assert largest > 0, f"{what}: PyTorch's values are all zero, so agreement would say nothing"
        error = np.abs(ours - theirs) / largest
        place = np.unravel_index(np.argmax(np.nan_to_num(error, nan=np.inf)), error.shape)
        assert error[place] <= slack * self.tolerance, (
            f"{what}{list(map(int, place))} is {ours[place]:.9g}, PyTorch's is {theirs[place]:.9g}: "
            f"{error[place]:.1e} of the largest value apart; rounding explains {slack * self.tolerance:.1e}")


@pytest.fixture(params=ENGINES, ids="-".join)
def engine(request):
    """Each pair of kernels and dtype in turn; the kernels are in force while the test runs."""
    with sn.use_kernels(request.param[0]):
        yield Engine(*request.param)
