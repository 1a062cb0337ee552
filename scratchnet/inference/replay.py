"""On a GPU: all steps for images of one shape recorded as a CUDA graph, one launch where the steps are dozens."""

import threading

from scratchnet.backend import is_cupy, kernels, ops

GRAPHS = 8                                       # kept at once; each holds the memory of its arrays


class Replays:
    """y = replays(images, run) is run(images), which runs the `steps`, in one launch where that has been run on a GPU
    before for images of this shape, in this precision. Several threads may call it; what it returns is the caller's."""

    def __init__(self, steps):
        self.steps, self.lock = steps, threading.Lock()
        self.ran, self.graphs = {}, {}           # events behind the first runs, and graphs
        self.done = None                         # the event behind the last replay
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
        key = images.shape, images.dtype, precision.name
        with self.lock:
            if not recording() and key in self.ran:          # who records a graph of its own has the steps in it
                captured = self.graphs.get(key) or self._record(key, images, run)
                if captured is not None:
                    return self._replay(captured, images)
        y = run(images)
        if not recording():
            self.ran[key] = _event()
        return y

    def _record(self, key, images, run):
        from scratchnet.kernels.cuda.graph import Captured
        self.ran[key].synchronize()              # what the first run rounded and laid out, maybe on another stream
        if len(self.graphs) >= GRAPHS:
            self.done.synchronize()              # the oldest may be running
            del self.graphs[next(iter(self.graphs))]
        try:
            self.graphs[key] = Captured(run, images)
        except Exception:                        # of CuPy, of CUDA, of a layer: nothing has happened on the device
            self.fits = False
            return None
        return self.graphs[key]

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
