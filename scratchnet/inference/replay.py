"""All steps for images of one shape as one recording: on a GPU a CUDA graph, one launch where the steps are dozens; on the CPU
the list of their kernels, without the Python between them, which one image's kernels drive out of the caches."""

import threading

from scratchnet.backend import is_cupy, kernels, runs_on_cpu, runs_on_cuda
from scratchnet.replay import is_ours

RECORDINGS = 8                                   # kept at once; each holds the memory of its arrays
SEEN = 64                                        # kinds of images that are remembered


class Replays:
    """y = replays(images, run) is run(images), which runs the `steps`, replayed where that has been run before for images of
    this shape, in this precision. Several threads may call it; what it returns is the caller's.
    `why`: the first line of the exception that the last recording that failed ended with, or None."""

    def __init__(self, steps):
        self.steps, self.lock = steps, threading.Lock()
        self.ran, self.recordings = {}, {}       # what the first runs left, None: not to be recorded; and recordings
        self.done = self.why = None              # done: on a GPU, the event behind the last replay
        # A layer of the user's own may do on the host what a recording knows nothing of.
        self.fits = all(is_ours(step.layer) for step in steps)

    def __reduce__(self):
        """A copy, or one from a pickle, has no recordings yet."""
        return Replays, (self.steps,)

    def __call__(self, images, run):
        if self.fits and images.size and runs_on_cpu(images):
            return self._on_the_cpu(images, run)
        if self.fits and images.size and is_cupy(images) and runs_on_cuda(images):
            return self._on_a_gpu(images, run)
        return run(images)

    def _on_the_cpu(self, images, run):
        """The arrays of a recording are one call's: a thread that comes meanwhile runs the steps."""
        if kernels("cpu.recording").recording() or not self.lock.acquire(blocking=False):
            return run(images)
        try:
            key = images.shape, kernels("cpu.threads").threads()
            if key in self.recordings:
                return self.recordings[key](images).copy(order="K")
            y = run(images)
            if self.ran.get(key):
                self._record_on_the_cpu(key, images, run, y)
            self._remember(key, True)
            return y
        finally:
            self.lock.release()

    def _record_on_the_cpu(self, key, images, run, y):
        """With other numbers than those of `images`, for which it must give y: else something was computed on the host."""
        from scratchnet.trial import SCALE, SHIFT
        cpu = kernels("cpu.recording")
        try:
            recorded = cpu.Recorded(run, images * SCALE + SHIFT)
            if recorded(images).tobytes() != y.tobytes():
                raise RuntimeError("a replay is not what was recorded: something computes outside of the kernels")
        except Exception as error:               # of memory, of np.errstate, of a layer
            self._give_up(key, error)
            return
        self.recordings[key] = recorded
        while sum(one.bytes for one in self.recordings.values()) > cpu.MOST or len(self.recordings) > RECORDINGS:
            self.ran[next(iter(self.recordings))] = None         # else shapes in turn would be recorded at every call
            self._forget_the_oldest()

    def _on_a_gpu(self, images, run):
        from scratchnet.kernels.cuda.graph import recording
        from scratchnet.kernels.cuda.precision import precision
        if recording():                          # who records a graph of its own has the steps in it
            return run(images)
        key = images.shape, images.dtype, precision.name
        with self.lock:
            if key in self.recordings or self.fits and self.ran.get(key) and self._record_on_a_gpu(key, images, run):
                return self._replay_on_a_gpu(self.recordings[key], images)
        y = run(images)
        with self.lock:
            if key not in self.ran:
                self._remember(key, _event())
        return y

    def _record_on_a_gpu(self, key, images, run):
        """Whether there is a graph now."""
        from scratchnet.kernels.cuda.graph import Captured, make_room
        self.ran[key].synchronize()              # what the first run rounded and laid out, maybe on another stream
        if len(self.recordings) >= RECORDINGS:
            if self.done is not None:
                self.done.synchronize()          # the oldest may be running
            self._forget_the_oldest()
        try:
            make_room()
            self.recordings[key] = Captured(run, images)
        except Exception as error:               # of CuPy, of CUDA, of a layer: nothing has happened on the device
            self._give_up(key, error)
            self.fits = isinstance(error, MemoryError)       # smaller images may find room
        return key in self.recordings

    def _replay_on_a_gpu(self, captured, images):
        """Its arrays are written to at every call: on the device this one waits for the one before, of any stream."""
        import cupy

        if self.done is not None:
            cupy.cuda.get_current_stream().wait_event(self.done)
        y = captured(images).copy()
        self.done = _event()
        return y

    def _forget_the_oldest(self):
        del self.recordings[next(iter(self.recordings))]

    def _remember(self, key, what):
        if key not in self.ran:
            if len(self.ran) >= SEEN:
                del self.ran[next(iter(self.ran))]
            self.ran[key] = what

    def _give_up(self, key, error):
        self.why, self.ran[key] = f"{type(error).__name__}: {error}".splitlines()[0], None


def _event():
    """One behind all that this thread's stream has been told to do."""
    import cupy
    event = cupy.cuda.Event(disable_timing=True)
    event.record()
    return event
