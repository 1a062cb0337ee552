"""On a GPU: all steps for images of one shape recorded as a CUDA graph, which is one launch where the steps are dozens."""

import threading

from scratchnet.backend import is_cupy, kernels, ops

GRAPHS = 8                                       # kept at once; each holds the memory of its arrays


class Replays:
    """y = replays(images), or None where run(images) has to be called: on the CPU, for a shape and precision that are new,
    and after a recording that failed. Several threads may call it; what it returns is the caller's."""

    def __init__(self, run, steps):
        self.run, self.lock = run, threading.Lock()
        self.seen, self.graphs, self.done = set(), {}, None
        # A layer of the user's own may do on the host what a graph knows nothing of.
        self.fits = all(type(step.layer).__module__.partition(".")[0] == "scratchnet" for step in steps)

    def __call__(self, images):
        if not self.fits or not is_cupy(images) or ops(images) is not kernels("cuda") or not images.size:
            return None
        from scratchnet.kernels.cuda.graph import recording
        from scratchnet.kernels.cuda.precision import precision
        key = images.shape, images.dtype, precision.name
        with self.lock:
            if recording() or key not in self.seen:          # who records a graph of its own has the steps in it
                self.seen.add(key)
                return None
            captured = self.graphs.get(key) or self._record(key, images)
            return None if captured is None else self._replay(captured, images)

    def _record(self, key, images):
        import cupy

        from scratchnet.kernels.cuda.graph import Captured
        try:
            cupy.cuda.Device().synchronize()     # what the first call rounded and laid out, maybe on another stream
            captured = Captured(self.run, images)
        except Exception:                        # of CuPy, of CUDA, of a layer: nothing has happened on the device
            self.fits = False
            return None
        if len(self.graphs) >= GRAPHS:
            cupy.cuda.Device().synchronize()     # the oldest may be running
            del self.graphs[next(iter(self.graphs))]
        self.graphs[key] = captured
        return captured

    def _replay(self, captured, images):
        """Its arrays are written to at every call: this one waits on the device for the one before, on whatever stream."""
        import cupy

        if self.done is None:
            self.done = cupy.cuda.Event(disable_timing=True)
        cupy.cuda.get_current_stream().wait_event(self.done)
        y = captured(images).copy()
        self.done.record()
        return y
