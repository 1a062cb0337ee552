"""Where a training run stands."""

import dataclasses

import numpy as np

from scratchnet.history import History
from scratchnet.tally import Tally


@dataclasses.dataclass
class Position:
    """With the states of model and optimiser, all that it takes to go on as if nothing had happened: order,
    augmentation and learning rate are functions of the step, and dropout counts its calls in the model's state."""

    step: int = 0                       # updates so far
    history: History = dataclasses.field(default_factory=History)   # a row for each finished epoch
    tally: Tally = None                 # of the epoch that is under way, None between two
    seconds: float = 0.0                # spent in it before this process went on with it

    @property
    def epoch(self):
        """Finished epochs."""
        return len(self.history)

    def state_dict(self):
        """The unfinished epoch as {name: NumPy array}; empty between two epochs."""
        return {} if self.tally is None else {**self.tally.state_dict(), "seconds": np.float64(self.seconds)}

    @classmethod
    def from_state(cls, step, history, state):
        """The Position after so many steps and finished epochs. ValueError for a state that is not one."""
        if not state:
            return cls(step, history)
        try:
            return cls(step, history, Tally.from_state(state), float(state["seconds"]))
        except (KeyError, TypeError) as error:
            raise ValueError(f"expected the state of an unfinished epoch, got {', '.join(state)}: {error}") from None
