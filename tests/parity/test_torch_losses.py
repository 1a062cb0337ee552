"""Every loss, with every option, against PyTorch: its value, and its gradient in the predictions.

A row draws (predictions, targets), and names our loss and PyTorch's.
"""

import functools

import numpy as np
import pytest

import scratchnet as sn

torch = pytest.importorskip("torch")
F = torch.nn.functional
torch.set_num_threads(2)
N, CLASSES = 6, 5
ROWS = []


def row(name, loss, theirs, predictions, targets):
    ROWS.append(pytest.param(loss, theirs, predictions, targets, id=name.replace(" ", "-")))


def normal(*shape, scale=1, shift=0):
    return lambda rng: shift + scale * rng.standard_normal(shape)


def uniform(*shape):
    return lambda rng: rng.random(shape)


def labels(dtype="int64", n=N, classes=CLASSES):
    return lambda rng: rng.integers(0, classes, n).astype(dtype)


def probabilities(rng):
    return rng.dirichlet(np.ones(CLASSES), N)


def certain(rng):
    """One-hot rows, whose zeros meet logarithms."""
    return np.eye(CLASSES)[rng.integers(0, CLASSES, N)]


ce, bce, mse = sn.softmax_cross_entropy, sn.binary_cross_entropy, sn.mean_squared_error
torch_ce, torch_bce = F.cross_entropy, F.binary_cross_entropy
smoothed = functools.partial(ce, label_smoothing=0.3), functools.partial(torch_ce, label_smoothing=0.3)
from_logits = functools.partial(bce, from_logits=True), F.binary_cross_entropy_with_logits

for dtype in ("uint8", "int8", "int32", "int64", "uint64"):
    row(f"cross entropy, {dtype} labels", ce, torch_ce, normal(N, CLASSES), labels(dtype))
row("cross entropy of one image", ce, torch_ce, normal(1, CLASSES), labels(n=1))
row("cross entropy, 2 classes", ce, torch_ce, normal(N, 2), labels(classes=2))
row("cross entropy, 1000 classes", ce, torch_ce, normal(9, 1000), labels(n=9, classes=1000))
row("cross entropy, logits far apart", ce, torch_ce, normal(N, CLASSES, scale=1000), labels())
row("cross entropy, logits far from zero", ce, torch_ce, normal(N, CLASSES, shift=900), labels())
row("cross entropy, smoothed", *smoothed, normal(N, CLASSES), labels())
row("cross entropy, probabilities", ce, torch_ce, normal(N, CLASSES), probabilities)
row("cross entropy, probabilities, smoothed", *smoothed, normal(N, CLASSES), probabilities)
row("cross entropy, one-hot rows", ce, torch_ce, normal(N, CLASSES), certain)
row("cross entropy, weights that sum to anything", ce, torch_ce, normal(N, CLASSES), uniform(N, CLASSES))
row("cross entropy, such weights, smoothed", *smoothed, normal(N, CLASSES), uniform(N, CLASSES))
row("binary cross entropy", bce, torch_bce, uniform(N, 4), uniform(N, 4))
row("binary cross entropy, one-hot rows", bce, torch_bce, uniform(N, CLASSES), certain)
row("binary cross entropy of images", bce, torch_bce, uniform(2, 3, 4, 5), uniform(2, 3, 4, 5))
row("binary cross entropy from logits", *from_logits, normal(N, 4), uniform(N, 4))
row("binary cross entropy from logits far out", *from_logits, normal(N, 4, scale=1000), uniform(N, 4))
row("mean squared error", mse, F.mse_loss, normal(N, 4), normal(N, 4))
row("mean squared error of a vector", mse, F.mse_loss, normal(7), normal(7))
row("mean squared error of images", mse, F.mse_loss, normal(2, 3, 4, 5), normal(2, 3, 4, 5))


def both(loss, theirs, predictions, targets):
    """(our loss, our gradient, PyTorch's loss, PyTorch's gradient)."""
    x = torch.tensor(predictions, dtype=torch.float64, requires_grad=True)
    is_labels = targets.ndim < predictions.ndim
    expected = theirs(x, torch.tensor(targets.astype(np.int64 if is_labels else np.float64)))
    expected.backward()
    return *loss(predictions, targets), expected, x.grad


@pytest.mark.parametrize("loss, theirs, predictions, targets", ROWS)
def test_a_loss_computes_what_pytorch_computes(engine, loss, theirs, predictions, targets):
    rng = np.random.default_rng(0)
    predictions, targets = predictions(rng).astype(engine.dtype), targets(rng)
    if targets.shape == predictions.shape:
        targets = targets.astype(engine.dtype)
    value, gradient, expected, expected_gradient = both(loss, theirs, predictions, targets)
    engine.agree("loss", value, expected)
    engine.agree("gradient", gradient, expected_gradient)


@pytest.mark.parametrize("target", [0, 0.25, 1])
@pytest.mark.parametrize("prediction", [0, 1])
def test_a_certain_prediction_has_the_finite_binary_cross_entropy_of_pytorch(engine, prediction, target):
    predictions, targets = np.full((1, 1), prediction, engine.dtype), np.full((1, 1), target, engine.dtype)
    value, gradient, expected, expected_gradient = both(bce, torch_bce, predictions, targets)
    if prediction == target:
        assert value == expected.item() == 0 and gradient.item() == expected_gradient.item() == 0
    else:
        engine.agree("loss", value, expected)                            # log 0 is cut at -100
        # p (1 - p) is cut at 1e-12, which PyTorch holds as the nearest float32 even between float64 numbers.
        engine.agree("gradient", gradient, expected_gradient * float(np.float32(1e-12)) / 1e-12)


@pytest.mark.parametrize("label", [0, 2])
def test_a_certain_and_wrong_prediction_keeps_its_loss_from_logits(engine, label):
    """A softmax first and the logarithm of its underflown output then would give log 0."""
    logits = np.array([[0, 200, -300]], engine.dtype)
    value, gradient, expected, expected_gradient = both(ce, torch_ce, logits, np.array([label]))
    engine.agree("loss", value, expected)
    engine.agree("gradient", gradient, expected_gradient)
