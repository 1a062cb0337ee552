"""Loss and accuracy of a pass, summed where the numbers are."""

import math

import numpy as np

from scratchnet.backend import array_module, runs_on_cuda, to_host

MOST_SKIPPED = 100          # steps in a row, on a GPU, of which each had a gradient that is not finite: no rare accident
LOOK = 500                  # steps between looks at that, each of which waits for the GPU


class Tally:
    """Collects loss and hits of each of `batches` batches; in training, `first` steps were made before them.

    Both stay in arrays on the device of the logits: `add` never waits for a GPU. `read` does. The loss of a step that a
    GPU has skipped is NaN, and no part of the mean.
    """

    def __init__(self, batches, first=None):
        self.batches, self.first = batches, first
        self.sizes = []
        self.losses = self.hits = None
        self.skipped = 0                        # steps, when it was last read

    @property
    def count(self):
        """Samples so far."""
        return sum(self.sizes)

    def check(self, loss):
        """FloatingPointError for the loss of the next batch, 0-d, that is NaN or infinite. On the CPU: it reads it."""
        if array_module(loss) is np and not math.isfinite(loss):
            self._refuse(len(self.sizes), loss)

    def add(self, loss, logits, labels, skipped=None):
        """One more batch: loss 0-d, logits (N, classes), labels (N,), or (N, classes) of which the likeliest counts.

        skipped: on a GPU, an int32 array (1,), not 0 where the step has changed nothing.
        """
        xp, on_cuda = array_module(logits), runs_on_cuda(logits)
        if self.losses is None:
            dtype = "float32" if on_cuda else logits.dtype
            self.losses, self.hits = xp.zeros(self.batches, dtype), xp.zeros(self.batches, "int64")
        elif array_module(self.losses) is not xp:           # it comes from a checkpoint
            self.losses, self.hits = xp.asarray(self.losses), xp.asarray(self.hits)
        index = len(self.sizes)
        if on_cuda:
            from scratchnet.kernels.cuda.training import tally
            loss, logits = xp.asarray(loss, dtype="float32"), logits.astype("float32", copy=False)
            given = labels.astype("int64" if labels.ndim == 1 else "float32", copy=False)
            tally(self.losses, self.hits, index, loss, logits, given, skipped)
        else:
            self.check(loss)
            loss = xp.asarray(loss, dtype=logits.dtype)
            true = labels if labels.ndim == 1 else labels.argmax(axis=1)
            self.losses[index] = loss if xp is np else xp.where(loss == loss, loss, xp.inf)
            self.hits[index] = (logits.argmax(axis=1) == true).sum()
        self.sizes.append(len(labels))
        if on_cuda and skipped is not None and len(self.sizes) % LOOK == 0:
            self.read()

    def read(self):
        """(mean loss, accuracy) of the samples so far; `skipped` counts the steps whose loss is not in the mean.

        FloatingPointError for a loss that is NaN or infinite otherwise, and for too many skipped steps in a row.
        """
        losses, hits = self.losses[:len(self.sizes)].tolist(), self.hits[:len(self.sizes)].tolist()
        in_a_row, taken = 0, []
        for index, (loss, size) in enumerate(zip(losses, self.sizes)):
            in_a_row = in_a_row + 1 if math.isnan(loss) else 0
            if math.isinf(loss) or in_a_row == min(MOST_SKIPPED, self.batches):
                self._refuse(index, loss, in_a_row)
            if not in_a_row:
                taken.append((loss, size))
        self.skipped = len(losses) - len(taken)
        samples = sum(size for _, size in taken)
        return math.fsum(l * n for l, n in taken) / samples if samples else math.nan, sum(hits) / self.count

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

    def _refuse(self, index, loss, skipped=0):
        where = f"batch {index + 1} of {self.batches}"
        if self.first is None:
            raise FloatingPointError(f"the loss of {where} is {float(loss)} in scoring; the last update of "
                                     "the parameters went wrong, or there are NaN or infinity in the data")
        step, advice = self.first + index + 1, "lower the learning rate, or look for NaN and infinity in the data"
        if skipped:
            raise FloatingPointError(f"a gradient was not finite in each of the last {skipped} steps up to step {step} "
                                     f"({where} of its epoch), which were skipped; {advice}")
        raise FloatingPointError(f"the loss is {float(loss)} at step {step} ({where} of its epoch); {advice}")
