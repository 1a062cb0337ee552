"""Loss and accuracy of a pass, summed where the numbers are."""

import math

import numpy as np

from scratchnet.backend import array_module, to_host


class Tally:
    """Collects loss and hits of each of `batches` batches; in training, `first` steps were made before them.

    Both stay in arrays on the device of the logits: `add` never waits for a GPU. `read` does.
    """

    def __init__(self, batches, first=None):
        self.batches, self.first = batches, first
        self.sizes = []
        self.losses = self.hits = None

    @property
    def count(self):
        """Samples so far."""
        return sum(self.sizes)

    def add(self, loss, logits, labels):
        """One more batch: loss 0-d, logits (N, classes), labels (N,), or (N, classes) of which the likeliest counts."""
        xp = array_module(logits)
        if self.losses is None:
            self.losses, self.hits = xp.zeros(self.batches, logits.dtype), xp.zeros(self.batches, "int64")
        elif array_module(self.losses) is not xp:           # it comes from a checkpoint
            self.losses, self.hits = xp.asarray(self.losses), xp.asarray(self.hits)
        index = len(self.sizes)
        true = labels if labels.ndim == 1 else labels.argmax(axis=1)
        self.losses[index] = loss
        self.hits[index] = (logits.argmax(axis=1) == true).sum()
        self.sizes.append(len(labels))
        if xp.__name__ == "numpy" and not math.isfinite(loss):
            self._refuse(index, loss)

    def read(self):
        """(mean loss, accuracy) of the samples so far. FloatingPointError where a loss is NaN or infinite."""
        losses, hits = self.losses[:len(self.sizes)].tolist(), self.hits[:len(self.sizes)].tolist()
        for index, loss in enumerate(losses):
            if not math.isfinite(loss):
                self._refuse(index, loss)
        return math.fsum(l * n for l, n in zip(losses, self.sizes)) / self.count, sum(hits) / self.count

    def state_dict(self):
        """{name: NumPy array}, from which `from_state` makes an equal Tally. Of a Tally with at least one batch."""
        return {"losses": to_host(self.losses, copy=True), "hits": to_host(self.hits, copy=True),
                "sizes": np.array(self.sizes, "int64"), "first": np.int64(self.first)}

    @classmethod
    def from_state(cls, state):
        tally = cls(len(state["losses"]), int(state["first"]))
        tally.sizes = [int(size) for size in state["sizes"]]
        tally.losses, tally.hits = state["losses"].copy(), state["hits"].copy()
        return tally

    def _refuse(self, index, loss):
        where = f"batch {index + 1} of {self.batches}"
        if self.first is None:
            raise FloatingPointError(f"the loss of {where} is {float(loss)} in scoring; the last update of "
                                     "the parameters went wrong, or there are NaN or infinity in the data")
        step = self.first + index + 1
        raise FloatingPointError(f"the loss is {float(loss)} at step {step} ({where} of its epoch); lower "
                                 "the learning rate, or look for NaN and infinity in the data")
