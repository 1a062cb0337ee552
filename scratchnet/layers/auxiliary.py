"""Auxiliary classifiers: second losses in the middle of a deep network, there for training only."""

import warnings

from scratchnet.backend import in_float32, ops
from scratchnet.layers.base import Layer
from scratchnet.layers.geometry import TooSmall
from scratchnet.layers.running import local


class Auxiliary(Layer):
    """y = x; and inside model.loss, L ← L + weight · criterion(head(x), labels), so dx = dy + weight · dL_head/dx.

    It stands in a Sequential where the classifier `head`, any layer that ends in logits, branches off. In inference,
    and in a forward outside of model.loss, the head does not run. Images too small for the head leave it out, with a
    warning.  Szegedy et al. 2014, section 5.
    No kernel but kernels/reference/arithmetic.py: add; kernels/cpu/arithmetic.py.
    """

    def __init__(self, head, weight):
        if not weight > 0:
            raise ValueError(f"Auxiliary: expected a weight above 0, got {weight!r}")
        self.add_child("head", head)
        self.head, self.weight = head, float(weight)

    def build(self, rng, input_shape):
        self._children["head"] = self.head          # again, where an earlier init had to leave it out
        if not self.trainable:                      # which it may have become while the head was not there
            self.head.trainable = False
        try:
            self.head.init(rng, input_shape)
        except TooSmall as error:
            warnings.warn(f"{self.label()} is left out: {error}", stacklevel=2)
            self._children.clear()

    def forward(self, x, training=True):
        objective = local.objective
        if not training or objective is None or not self._children:
            return x, lambda dy, need_dx=True: dy
        logits, head_backward = self.head.forward(x, training)
        loss, dlogits = objective.criterion(in_float32(logits), objective.labels)
        objective.losses.append(self.weight * loss)

        def backward(dy, need_dx=True):
            dx = head_backward(dlogits * dlogits.dtype.type(self.weight), need_dx)
            return ops(dy).add(dy, dx, 1.0) if need_dx else None
        return x, backward

    def describe(self):
        return f"Auxiliary, weight {self.weight:g}"
