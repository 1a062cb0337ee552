"""The conscience of the engine: every gradient against central differences.

For L(x) = Σ dy · f(x), with a random dy, the gradient that backward computes must agree with

    dL/dx_i ≈ (L(x + ε e_i) - L(x - ε e_i)) / 2ε        (error of order ε² + rounding/ε)

dy is random because a constant one hides errors: the sum of a batch that was normalised does not depend on its input, so
a batch norm whose backward lacks a term passes a check with dy = 1.  Bengio 2012, section 4.3.
"""

import copy
import dataclasses
import warnings

import numpy as np

from scratchnet.layers.base import Layer
from scratchnet.backend import use_kernels

TOLERANCES = {"float64": (1e-5, 1e-7), "float32": (1e-3, 1e-4)}      # rtol, atol: rounding of that many bits


@dataclasses.dataclass
class Report:
    """What was compared: {name: (elements compared, largest |analytic - numeric|, largest |numeric|)}."""

    dtype: str
    compared: dict

    @property
    def largest_error(self):
        return max(error for _, error, _ in self.compared.values())

    def __str__(self):
        rows = [f"{name:<24} {count:>7} elements   largest error {error:.1e} of {size:.1e}"
                for name, (count, error, size) in self.compared.items()]
        return "\n".join([f"gradcheck in {self.dtype}: backward agrees with central differences", *rows])


class GradientError(AssertionError):
    """A gradient that differs from central differences; the message has name, index and both values."""


def gradcheck(layer_or_loss, x, dtype="float64", eps=1e-6, rtol=None, atol=None, samples=None, seed=0, training=True,
              labels=None):
    """Compare backward with central differences in float64, for dx and every trainable parameter; return a Report.

    layer_or_loss: a Layer (initialised from `seed` if it is not yet), or a function x -> (loss, gradient). x: a batch,
    away from kinks. dtype="float32" computes the gradient with the fast float32 kernels, the differences still in
    float64 on the reference. An element passes where |a - n| <= atol + rtol |n|, by default rtol 1e-5 and atol 1e-7 in
    float64, 1e-3 and 1e-4 in float32. samples: how many elements of each array are compared (default: all). labels: L
    is model.loss(x, labels), auxiliary classifiers and all, which has a gradient for the parameters only.
    Batch norms must see more than a few values a channel: of two, the slope changes within eps.
    The layer is as before afterwards: a copy is checked. Raises GradientError with name, index and both values, and
    where every gradient is zero; a single parameter without any gradient is a warning with its name.
    """
    if dtype not in TOLERANCES:
        raise ValueError(f"gradcheck: dtype must be 'float64' or 'float32', got {dtype!r}")
    rtol = TOLERANCES[dtype][0] if rtol is None else rtol
    atol = TOLERANCES[dtype][1] if atol is None else atol
    x = np.asarray(x)
    if x.dtype.kind != "f" or x.size == 0:
        raise TypeError(f"gradcheck: x must be a float array with elements, got {x.dtype} {x.shape}")
    rng = np.random.default_rng([seed, 1])              # a stream of its own: users draw x, and init weights, from seed
    checked = _LayerUnderCheck(layer_or_loss, x, dtype, seed, training, labels) \
        if isinstance(layer_or_loss, Layer) else _LossUnderCheck(layer_or_loss, dtype)
    x64 = x.astype(dtype).astype(np.float64)            # the point that both sides can represent
    dy, analytic = checked.gradients(x64, rng)
    arrays = {"x": x64, **checked.values()}
    compared = {}
    for name, gradient in analytic.items():
        values, places = arrays[name], _places(arrays[name].shape, samples, rng)
        numeric = np.array([_difference(checked, x64, values, place, dy, eps) for place in places])
        given = np.array([gradient[place] for place in places], np.float64)
        error = np.abs(given - numeric)
        wrong = ~(error <= atol + rtol * np.abs(numeric))          # "not <=", so that a NaN is wrong
        if wrong.any():
            worst = int(np.argmax(np.where(wrong, np.nan_to_num(error, nan=np.inf), -1.0)))
            place = tuple(map(int, places[worst]))
            raise GradientError(f"gradcheck: {checked.name}: dL/d{name}{list(place)} is {given[worst]:.9g} from "
                                f"backward but {numeric[worst]:.9g} from central differences ({wrong.sum()} of "
                                f"{len(places)} compared elements of {name} differ)")
        compared[name] = (len(places), float(error.max()), float(np.abs(numeric).max()))
    silent = [name for name, (_, _, size) in compared.items() if size <= atol]
    if len(silent) == len(compared):
        raise GradientError(f"gradcheck: {checked.name}: every gradient is zero, so nothing was checked; "
                            "use an x where the output depends on it")
    for name in silent:
        if name != "x":
            warnings.warn(f"gradcheck: {checked.name}: {name} has no gradient here (as a bias before a batch norm)",
                          stacklevel=2)
    return Report(dtype, compared)


class _LayerUnderCheck:
    """A copy of a layer in float64 for L(x), and one in `dtype` for the gradients of L."""

    def __init__(self, layer, x, dtype, seed, training, labels):
        self.name, self.training, self.dtype, self.labels = layer.label(), training, dtype, labels
        fast = copy.deepcopy(layer)
        if fast.input_shape is None:
            fast.init(seed, x.shape[1:])
        for parameter in fast.parameters().values():
            parameter.clear_grad()
        self.fast = fast.astype(dtype)
        self.exact = copy.deepcopy(fast).astype("float64")
        self.state = self.exact.state_dict()

    def values(self):
        """The float64 parameters, which _difference moves in place."""
        return {name: p.value for name, p in self.exact.parameters().items() if p.trainable}

    def gradients(self, x, rng):
        x, dy, gradients = x.astype(self.dtype), None, {}
        if self.labels is not None:
            self.fast.loss(x, self.labels)[2]()
        else:
            y, backward = self.fast.forward(x, self.training)
            dy = rng.standard_normal(y.shape).astype(self.dtype)
            gradients["x"] = backward(dy.copy())
        for name, parameter in self.fast.parameters().items():
            if parameter.trainable:
                gradients[name] = np.zeros_like(parameter.value) if parameter.grad is None else parameter.grad
        return dy, gradients

    def loss(self, x, dy):
        for name, own, key in self.exact._entries("_buffers"):     # the same dropout mask and statistics every time
            own[key][...] = self.state[name]
        with use_kernels("reference"):
            if self.labels is not None:
                return float(self.exact.loss(x, self.labels)[0])
            y, _ = self.exact.forward(x, self.training)
        return float((y * dy).sum())                    # dy in float32 times y in float64 is exact in float64


class _LossUnderCheck:
    """A function x -> (loss, gradient)."""

    def __init__(self, function, dtype):
        self.function, self.dtype, self.name = function, dtype, getattr(function, "__name__", "loss")

    def values(self):
        return {}

    def gradients(self, x, rng):
        return None, {"x": self.function(x.astype(self.dtype))[1]}

    def loss(self, x, dy):
        with use_kernels("reference"):
            return float(self.function(x)[0])


def _difference(checked, x, values, place, dy, eps):
    """(L(… + ε) - L(… - ε)) / 2ε, moving one element of `values` in place and back."""
    original = values[place]
    values[place] = original + eps
    above = checked.loss(x, dy)
    values[place] = original - eps
    below = checked.loss(x, dy)
    values[place] = original
    return (above - below) / (2 * eps)


def _places(shape, samples, rng):
    """The indices that are compared: all, or `samples` of them drawn without repetition."""
    count = int(np.prod(shape))
    chosen = np.arange(count) if samples is None or samples >= count else np.sort(rng.choice(count, samples, False))
    return list(zip(*np.unravel_index(chosen, shape)))
