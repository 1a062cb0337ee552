"""A learnt array and the gradient that belongs to it."""

import numpy as np

from scratchnet.backend import converted, lasting, ops


class Parameter:
    """`value`, written in place by the engine, so that its address never changes, and `grad`.

    grad is None until a backward has added to it, and again after the optimiser's step; on a GPU its memory is used again,
    so what is to last is a copy. Assigning `value` checks the shape and drops the gradient, which belonged to the old value.
    `version` counts the changes of value: a backward that would mix old activations with new weights is refused (see
    Backward in running.py).
    """

    def __init__(self, value, trainable=True):
        self._value = value
        self._grad, self._has_grad = None, False
        self.trainable = trainable
        self.version = 0

    @property
    def value(self):
        return self._value

    @value.setter
    def value(self, new):
        if tuple(np.shape(new)) != self._value.shape:
            raise ValueError(f"Parameter: expected a value of shape {self._value.shape}, got {tuple(np.shape(new))}; "
                             "a parameter keeps the shape that init gave it")
        if type(new) is type(self._value) and new.dtype == self._value.dtype:
            self._value[...] = new
        else:                                     # another dtype or device (Layer.astype, to_device): a new array
            self._value, self._grad = new, None
        self.clear_grad()
        self.version += 1

    @property
    def grad(self):
        return self._grad if self._has_grad else None

    @grad.setter
    def grad(self, new):
        self.clear_grad()
        if new is not None:
            self.add_grad(new)

    def add_grad(self, d, own=False):
        """grad += d, where d is dL/dvalue of one use of the parameter. Without effect where `trainable` is False.

        own: the caller gives d away; where it is the first of a step it becomes the gradient, without a copy.
        """
        if not self.trainable:
            return
        d = converted(d, self._value.dtype)      # of bfloat16 activations a layer of one's own may give such a gradient
        if d.shape != self._value.shape or d.dtype != self._value.dtype:
            raise ValueError(f"Parameter: expected a gradient {self._value.dtype} {self._value.shape}, "
                             f"got {d.dtype} {d.shape}; it has the shape and dtype of the value")
        if self._has_grad:
            ops(d).accumulate(self._grad, d)
        elif self._grad is not None:
            self._grad[...] = d
        else:
            self._grad = d if own and isinstance(d, np.ndarray) and d.flags.c_contiguous else lasting(d.copy())
        self._has_grad = True

    def clear_grad(self):
        """Forget the gradient. A GPU's keeps its memory for the next one: a recorded step has built in where it is."""
        self._has_grad = False
        if isinstance(self._grad, np.ndarray):
            self._grad = None

    def __repr__(self):
        state = "with" if self._has_grad else "no"
        return f"Parameter({self._value.dtype} {self._value.shape}, {state} gradient)"


def add_gradients(layer, dw, db):
    """dw, fresh from a kernel, to the gradient of the layer's weight and db to that of its bias; None is for a frozen one,
    or none at all."""
    if dw is not None:
        layer.weight.add_grad(dw, own=True)
    if db is not None:
        layer.bias.add_grad(db, own=True)
