"""Objects in processes of their own, for `bench`: engines must not share threads, allocators or each other's caches."""

import importlib
import multiprocessing
import signal

import numpy as np

from scratchnet.rivals import ROWS, Unavailable, meters
from scratchnet.rivals.truth import error

WARM_UP = 0.3               # seconds, one step at least, that nobody counts


class Remote:
    """make(*arguments) in a process of its own; `call` runs its methods. Unavailable where that raises anything."""

    def __init__(self, make, *arguments):
        context = multiprocessing.get_context("spawn")           # never fork: OpenMP's threads do not survive it
        self.connection, other = context.Pipe()
        self.process = context.Process(target=_serve, args=(other, make, arguments), daemon=True)
        self.process.start()
        other.close()
        try:
            self._answer()                       # made, so that one is not set up while another's first step runs
        except BaseException:
            self.close()
            raise

    def call(self, method, *arguments):
        try:
            self.connection.send((method, arguments))
        except OSError:                          # the process is gone; what it said last may be waiting
            pass
        return self._answer()

    def close(self):
        self.connection.close()
        self.process.join(10)

    def _answer(self):
        try:
            fine, answer = self.connection.recv()
        except (EOFError, OSError):
            raise Unavailable("its process ended; its message stands above") from None
        if not fine:
            raise Unavailable(answer)
        return answer


def _serve(connection, make, arguments):
    signal.signal(signal.SIGINT, signal.SIG_IGN)                 # Ctrl-C is the parent's, at whose end this one ends
    try:
        made = make(*arguments)
        connection.send((True, None))
        while True:
            method, arguments = connection.recv()
            connection.send((True, getattr(made, method)(*arguments)))
    except EOFError:                             # the parent has what it wanted
        pass
    except Unavailable as unavailable:
        connection.send((False, str(unavailable)))
    except Exception as failed:
        connection.send((False, f"{type(failed).__name__}: {failed}"))


class Contender:
    """One engine, set up, its first step done and compared with the truth in the file `truth`, if there is one."""

    def __init__(self, row, workload, truth):
        file, mode = ROWS[row]
        module = importlib.import_module(f"scratchnet.rivals.{file}")          # imports the engine
        self.module = module
        self.batch, self.meter = workload.batch, module.meter() if workload.device == "cuda" else meters.OnCPU()
        self.step, first = module.engine(workload, **mode)
        if not all(np.isfinite(array).all() for array in first.values()):
            raise Unavailable("its first step gave NaN or infinity")
        self.distance = error(first, truth) if truth else None
        del first
        self.turn(WARM_UP)
        self.meter.forget_peak()

    def error(self):
        return self.distance

    def replayed(self):
        """Whether our steps come from a CUDA graph."""
        return self.module.replayed()

    def turn(self, seconds):
        """Images a second over at least `seconds`."""
        speed = self.batch * self.meter.steps_per_second(self.step, seconds)
        self.meter.rest()
        return speed

    def peak_bytes(self):
        """(beyond what the import of the engine took, of the whole process) while it ran, or (None, None)."""
        return self.meter.peak_bytes()
