"""What a training run says on stderr: a bar on a terminal, and a line for each epoch everywhere."""

import contextlib
import sys

from scratchnet.history import epoch_line

REFRESH = 0.2       # seconds between looks at the running loss, which on a GPU waits for the device


class Progress:
    """The voice of `fit` over `epochs` epochs of `batches` batches. With shown=False it says nothing."""

    def __init__(self, epochs, batches, shown):
        self.epochs, self.batches, self.shown = epochs, batches, shown
        self.bar = None

    @contextlib.contextmanager
    def epoch(self, epoch, done=0):
        """A bar on a terminal while the epoch lasts, gone after it however it ends; `done` batches are behind it."""
        if self.shown and sys.stderr.isatty():
            from tqdm import tqdm       # 60 ms that nobody else needs to spend
            self.bar = tqdm(total=self.batches, initial=done, desc=f"epoch {epoch + 1}/{self.epochs}", unit="batch",
                            leave=False, mininterval=REFRESH, dynamic_ncols=True)
        try:
            yield
        finally:
            if self.bar is not None:
                self.bar.close()
                self.bar = None

    def update(self, tally):
        """One more batch. The loss is read only when the bar is drawn."""
        if self.bar is not None and self.bar.update():
            loss, accuracy = tally.read()
            self.bar.set_postfix_str(f"loss {loss:.4f}, accuracy {accuracy:.2%}", refresh=False)

    def say_of_the_graph(self, reason):
        """Why the steps of a GPU are not replayed."""
        if self.shown:
            write = print if self.bar is None else self.bar.write
            write(f"each step is launched kernel by kernel, not replayed as a CUDA graph: {reason}", file=sys.stderr)

    def say(self, row, train):
        """The epoch's row, and, where batches of `train` were made ahead by threads, whether they came in time."""
        if self.shown:
            print(epoch_line(row, self.epochs) + loading(train.waiting), file=sys.stderr, flush=True)


def loading(waiting):
    """"; decoding 600 images took 8.1 s of 2 threads, for which the steps waited 0.4 s", or nothing."""
    if waiting is None or not waiting.decoded:
        return ""
    return (f"; decoding {waiting.decoded:,} images took {waiting.worked:.1f} s of {waiting.threads} threads, for which "
            f"the steps waited {waiting.waited:.1f} s")
