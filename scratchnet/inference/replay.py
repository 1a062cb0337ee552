"""On a GPU: all steps for images of one shape recorded as a CUDA graph, one launch where the steps are dozens."""

import threading

from scratchnet.backend import is_cupy, kernels, ops

GRAPHS = 8                                       # kept at once; each holds the memory of its arrays
SEEN = 64                                        # kinds of images that are remembered


class Replays:
    """y = replays(images, run) is run(images), which runs the `steps`, in one launch where that has been run on a GPU
    before for images of this shape, in this precision. Several threads may call it; what it returns is the caller's.
    `why`: the first line of the exception that the last recording that failed ended with, or None."""

    def __init__(self, steps):
        self.steps, self.lock = steps, threading.Lock()
        self.ran, self.graphs = {}, {}           # events behind the first runs, None: not to be recorded; and graphs
        self.done = self.why = None              # done: the event behind the last replay
        # A layer of the user's own may do on the host what a graph knows nothing of.
        self.fits = all(type(step.layer).__module__.partition(".")[0] == "scratchnet" for step in steps)

    def __reduce__(self):
        """A copy, or one from a pickle, has no graphs yet."""
        return Replays, (self.steps,)

    def __call__(self, images, run):
        if not self.fits or not is_cupy(images) or ops(images) is not kernels("cuda") or not images.size:
            return run(images)
        from scratchnet.kernels.cuda.graph import recording
        from scratchnet.kernels.cuda.precision import precision
        if recording():                          # who records a graph of its own has the steps in it
            return run(images)
        key = images.shape, images.dtype, precision.name
        with self.lock:
            if key in self.graphs or self.fits and self.ran.get(key) and self._record(key, images, run):
                return self._replay(self.graphs[key], images)
        y = run(images)
        with self.lock:
            if key not in self.ran:
                if len(self.ran) >= SEEN:
                    del self.ran[next(iter(self.ran))]
                self.ran[key] = _event()
        return y

    def _record(self, key, images, run):
        """Whether there is a graph now."""
        from scratchnet.kernels.cuda.graph import Captured, make_room
        self.ran[key].synchronize()              # what the first run rounded and laid out, maybe on another stream
        if len(self.graphs) >= GRAPHS:
            if self.done is not None:
                self.done.synchronize()          # the oldest may be running
            del self.graphs[next(iter(self.graphs))]
        try:
            make_room()
            self.graphs[key] = Captured(run, images)
        except Exception as error:               # of CuPy, of CUDA, of a layer: nothing has happened on the device
            self.why = f"{type(error).__name__}: {error}".splitlines()[0]
            self.ran[key] = None
            self.fits = isinstance(error, MemoryError)       # smaller images may find room
        return key in self.graphs

    def _replay(self, captured, images):
        """Its arrays are written to at every call: on the device this one waits for the one before, of any stream."""
        import cupy

        if self.done is not None:
            cupy.cuda.get_current_stream().wait_event(self.done)
        y = captured(images).copy()
        self.done = _event()
        return y


def _event():
    """One behind all that this thread's stream has been told to do."""
    import cupy
    event = cupy.cuda.Event(disable_timing=True)
    event.record()
    return event
