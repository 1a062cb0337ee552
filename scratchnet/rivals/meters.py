"""Time and memory of an engine: on the CPU by the clock and the system, on a GPU by its events and its allocator.

A meter has steps_per_second(step, seconds); rest(), after which an engine that waits holds as little memory as it can;
forget_peak() and peak_bytes(), the peak since then: (what the engine took, of the whole process), None if unknown.
"""

import math
import time

from scratchnet.rivals import peak_memory as memory


class OnCPU:
    def __init__(self):
        self.imported = memory.resident()        # make it once the engine is imported

    def steps_per_second(self, step, seconds):
        """Over at least `seconds`, by the clock."""
        steps, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            step()
            steps += 1
        return steps / (time.perf_counter() - started)

    def rest(self):
        """Nobody else wants this process's memory."""

    def forget_peak(self):
        memory.forget_peak()

    def peak_bytes(self):
        peak = memory.peak()
        return (None, None) if peak is None else (peak - self.imported, peak)


class OnGPU:
    """seconds_of(step, count) of so many steps by device events; free() gives unused memory back; reserved() bytes were
    held at the most since the last free()."""

    def __init__(self, seconds_of, free, reserved):
        self.seconds_of, self.free, self.reserved = seconds_of, free, reserved
        self.steps, self.peak = 1, 0

    def steps_per_second(self, step, seconds):
        """Over at least `seconds` of steps that wait for nothing but each other. One before them is not counted: it
        takes the memory again that rest() gave up."""
        self.seconds_of(step, 1)
        while True:
            steps = self.steps
            taken = self.seconds_of(step, steps)
            self.steps = min(10 * steps, max(1, math.ceil(1.1 * steps * seconds / max(taken, 1e-6))))
            if taken >= seconds or self.steps <= steps:
                return steps / taken

    def rest(self):
        self.peak = max(self.peak, self.reserved())
        self.free()

    def forget_peak(self):
        self.free()
        self.peak = 0

    def peak_bytes(self):
        peak = max(self.peak, self.reserved())
        return peak, peak
