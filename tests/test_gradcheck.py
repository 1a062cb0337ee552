"""The checker itself: it must find what is wrong, say where, and leave no trace."""

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.gradcheck import GradientError
from scratchnet.layers import Auxiliary, BatchNorm, Conv2D, Dense, Dropout, Layer, ReLU, Sequential
from scratchnet.layers.running import local

X = np.random.default_rng(0).standard_normal((4, 5))


class Wrong(Layer):
    """y = s x² with `error` planted in its backward."""

    def __init__(self, error):
        self.error = error

    def build(self, rng, input_shape):
        self.s = self.add_parameter("s", np.full(input_shape, 1.5))

    def forward(self, x, training=True):
        s = self.s.value

        def backward(dy, need_dx=True):
            ds = (dy * x * x).sum(0)
            dx = 2 * dy * s * x
            if self.error == "ds":
                ds[3] *= 1.001
            if self.error == "dx":
                dx[2, 1] += 1e-4
            if self.error == "nan":
                dx[0, 0] = np.nan
            self.s.add_grad(ds)
            return dx
        return s * x * x, backward


def test_a_right_gradient_passes_and_is_reported():
    report = sn.gradcheck(Wrong(None), X)
    assert report.compared["x"][0] == 20 and report.compared["s"][0] == 5
    assert 0 < report.largest_error < 1e-7
    assert "20 elements" in str(report)


@pytest.mark.parametrize("error, words", [("ds", r"dL/ds\[3\]"), ("dx", r"dL/dx\[2, 1\]"), ("nan", r"dL/dx\[0, 0\] is nan")])
def test_a_wrong_gradient_is_named_with_its_place_and_both_values(error, words):
    with pytest.raises(GradientError, match=words + ".*from backward but .* from central differences"):
        sn.gradcheck(Wrong(error), X)


class NormWithoutATerm(BatchNorm):
    """Batch norm whose backward forgets that the variance depends on x; where dy is constant it may."""

    def forward(self, x, training=True):
        y, mean, var = sn.backend.ops(x).batch_norm(x, self.weight.value, self.bias.value, self.epsilon)

        def backward(dy, need_dx=True):
            dx, dgamma, dbeta = sn.backend.ops(x).batch_norm_inference_backward(
                dy, x, self.weight.value, self.bias.value, mean, var, self.epsilon)
            self.weight.add_grad(dgamma)
            self.bias.add_grad(dbeta)
            return dx - dx.mean(0)
        return y, backward


def test_a_batch_norm_that_lacks_a_term_is_found_by_the_random_dy():
    with pytest.raises(GradientError, match="dL/dx"):
        sn.gradcheck(NormWithoutATerm(), X)


def test_dy_is_independent_of_an_x_drawn_from_the_same_seed():
    # dy = x would hide it: what a normalisation removes from dy is just its component along x.
    x = np.random.default_rng(0).standard_normal((16, 5))
    numeric_size = sn.gradcheck(BatchNorm(), x, seed=0).compared["x"][2]
    assert numeric_size > 0.1


def test_all_gradients_zero_is_an_error_not_a_pass():
    with pytest.raises(GradientError, match="every gradient is zero"):
        sn.gradcheck(ReLU(), -np.abs(X) - 1)


def test_a_single_silent_parameter_is_a_warning_with_its_name():
    with pytest.warns(UserWarning, match="0.bias has no gradient"):
        sn.gradcheck(Sequential(Dense(3), BatchNorm()), X)


def test_the_mask_of_dropout_stays_the_same_during_the_check():
    layer = Dropout(0.5)
    layer.init(0, (5,))
    sn.gradcheck(layer, X + 3)
    assert layer.state_dict()["calls"] == 0


def test_an_existing_gradient_is_neither_used_nor_changed():
    layer = Dense(3)
    layer.init(0, (5,))
    layer.weight.grad = np.full((5, 3), 7.0, np.float32)
    sn.gradcheck(layer, X)
    assert (layer.weight.grad == 7).all()


def test_samples_limits_the_elements_and_the_seed_repeats_them():
    layer = Conv2D(2, 3)
    x = np.random.default_rng(1).standard_normal((1, 6, 6, 2))
    first, second = (sn.gradcheck(layer, x, samples=5, seed=3) for _ in range(2))
    assert {count for count, _, _ in first.compared.values()} == {5, 2}          # the bias has two elements
    assert first.compared == second.compared


def test_float32_compares_the_fast_kernels_with_float64_differences():
    report = sn.gradcheck(Dense(3), X.astype("float32"), dtype="float32")
    assert report.dtype == "float32" and 1e-9 < report.largest_error < 1e-4      # rounding of float32 is there to see


@pytest.mark.parametrize("x, dtype, error", [(X, "float16", ValueError), (np.arange(4), "float64", TypeError),
                                             (np.zeros((0, 5)), "float64", TypeError)])
def test_bad_arguments_are_refused(x, dtype, error):
    with pytest.raises(error, match="gradcheck"):
        sn.gradcheck(Dense(3), x, dtype=dtype)


def auxiliary_network():
    return sn.Sequential(conv=sn.Conv2D(3, 3), aux=sn.Auxiliary(sn.Sequential(sn.GlobalAvgPool2D(), sn.Dense(4)), 0.3),
                         pool=sn.GlobalAvgPool2D(), fc=sn.Dense(4))


def test_with_labels_a_models_own_loss_is_checked_auxiliaries_and_all():
    model, x, labels = auxiliary_network(), np.random.default_rng(0).standard_normal((2, 6, 6, 2)), np.array([1, 3])
    compared = sn.gradcheck(model, x, labels=labels).compared
    assert set(compared) == {"conv.weight", "conv.bias", "aux.head.1.weight", "aux.head.1.bias", "fc.weight", "fc.bias"}


class Louder(Auxiliary):
    """Its loss counts twice, its gradient once."""

    def forward(self, x, training=True):
        y, backward = super().forward(x, training)
        local.objective.losses[-1] *= 2
        return y, backward


def test_an_auxiliary_whose_gradient_is_not_that_of_its_loss_is_found():
    model = auxiliary_network()
    model.add_child("aux", Louder(sn.Sequential(sn.GlobalAvgPool2D(), sn.Dense(4)), 0.3))
    with pytest.raises(GradientError):
        sn.gradcheck(model, np.random.default_rng(0).standard_normal((2, 6, 6, 2)), labels=np.array([1, 3]))
