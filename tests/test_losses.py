"""Losses: what they refuse, and where they must not overflow. Values are compared with PyTorch in tests/parity."""

import numpy as np
import pytest

import scratchnet as sn

LOGITS = np.random.default_rng(0).standard_normal((4, 3)).astype("float32")


def test_uniform_logits_cost_log_classes():
    loss, gradient = sn.softmax_cross_entropy(np.zeros((5, 8)), np.zeros(5, int))
    assert loss == pytest.approx(np.log(8), rel=1e-12)
    np.testing.assert_allclose(gradient[0], (np.full(8, 1 / 8) - np.eye(8)[0]) / 5, rtol=1e-12)


def test_label_smoothing_shares_a_part_of_each_target_among_all_classes():
    labels = np.array([0, 1, 2, 0])
    smoothed = sn.softmax_cross_entropy(LOGITS, labels, label_smoothing=0.3)
    written_out = sn.softmax_cross_entropy(LOGITS, 0.7 * np.eye(3)[labels] + 0.1)
    np.testing.assert_allclose(smoothed[0], written_out[0], rtol=1e-6)           # float32 rounds at 6e-8
    np.testing.assert_allclose(smoothed[1], written_out[1], rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int64", "uint64"])
def test_labels_of_any_integer_width(dtype):
    expected = sn.softmax_cross_entropy(LOGITS, np.array([0, 1, 2, 0]))
    got = sn.softmax_cross_entropy(LOGITS, np.array([0, 1, 2, 0], dtype))
    assert expected[0] == got[0] and np.array_equal(expected[1], got[1])


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_huge_logits_neither_overflow_nor_vanish(dtype):
    logits = np.array([[1e4, 0.0], [0.0, 1e4]], dtype)
    loss, gradient = sn.softmax_cross_entropy(logits, np.array([0, 0]))
    assert loss == pytest.approx(5e3) and gradient[1] == pytest.approx([-0.5, 0.5])
    loss, gradient = sn.binary_cross_entropy(np.array([1e4, -1e4], dtype), np.array([1.0, 1.0], dtype), from_logits=True)
    assert loss == pytest.approx(5e3) and gradient == pytest.approx([0, -0.5])


def test_a_nan_stays_visible():
    logits = LOGITS.copy()
    logits[2, 1] = np.nan
    loss, gradient = sn.softmax_cross_entropy(logits, np.array([0, 1, 2, 0]))
    assert np.isnan(loss) and np.isnan(gradient[2]).all() and np.isfinite(gradient[0]).all()


@pytest.mark.parametrize("call, error, words", [
    (lambda: sn.softmax_cross_entropy(LOGITS, np.array([0, 1, 2, 3])), ValueError, "labels run from 0 to 3.*3 classes"),
    (lambda: sn.softmax_cross_entropy(LOGITS, np.array([0, 1, 2, -1])), ValueError, "labels run from -1"),
    (lambda: sn.softmax_cross_entropy(LOGITS, np.array([0, 1])), ValueError, "expected 4 labels"),
    (lambda: sn.softmax_cross_entropy(LOGITS, np.array([0.0, 1, 2, 0])), ValueError, "class numbers must be integers"),
    (lambda: sn.softmax_cross_entropy(LOGITS, np.array(["a"] * 4)), TypeError, "integers"),
    (lambda: sn.softmax_cross_entropy(LOGITS[0], np.array([0])), ValueError, r"expected logits \(N, classes\)"),
    (lambda: sn.softmax_cross_entropy(LOGITS[:0], np.zeros(0, int)), ValueError, r"expected logits \(N, classes\)"),
    (lambda: sn.softmax_cross_entropy(LOGITS, np.zeros(4, int), label_smoothing=1.0), ValueError, "label_smoothing"),
    (lambda: sn.softmax_cross_entropy(LOGITS.astype(int), np.zeros(4, int)), TypeError, "float array"),
    (lambda: sn.mean_squared_error(LOGITS, LOGITS[:2]), ValueError, "shape of the predictions"),
    (lambda: sn.binary_cross_entropy(LOGITS, LOGITS[:, :1]), ValueError, "shape of the predictions"),
])
def test_what_does_not_fit_is_refused(call, error, words):
    with pytest.raises(error, match=words):
        call()


def test_mean_squared_error_in_numbers():
    loss, gradient = sn.mean_squared_error(np.array([1.0, 2.0]), np.array([0.0, 4.0]))
    assert loss == 2.5 and gradient.tolist() == [1.0, -2.0]
