"""Batches made by threads while the step before them runs; the same bits for any number of threads.

Threads, for Pillow lets go of Python's lock while it decodes and scales, and NumPy in long operations. A batch
is cut into pieces, so that all threads work on the batch that is wanted next: the first one comes as soon as
it can, and the threads end together.
"""

import collections
import os
import threading
import time


class Waiting:
    """What an epoch's batches cost: seconds that `threads` threads `worked`, seconds that the loop `waited`
    for them, and images `decoded`."""

    def __init__(self, threads):
        self.threads = threads
        self.worked = self.waited = 0.0
        self.decoded = 0


class Plan:
    """How to make one batch: `pieces`, functions that may run in any order and return images decoded, and then
    `finish()`, which returns the batch."""

    def __init__(self, pieces, finish):
        self.pieces, self.finish = pieces or [lambda: 0], finish
        self.left = len(self.pieces)
        self.error = None       # (number of the piece, what it raised) of the first piece that failed


def cores():
    """How many threads can run at once."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def ahead(plan, count, waiting):
    """Iterate over what plan(0) .. plan(count - 1) make, in this order, made by `waiting.threads` threads
    (0: by the caller's). At most that many batches and one more lie finished or begun.

    An error in a thread is raised here when its batch is reached. Leaving the loop stops the threads.
    """
    crew = _Crew(plan, count, waiting)
    try:
        for number in range(count):
            started = time.perf_counter()
            batch = crew.take(number)
            waiting.waited += time.perf_counter() - started
            yield batch
    finally:
        crew.stop()


class _Crew:
    def __init__(self, plan, count, waiting):
        self.plan, self.count, self.waiting = plan, count, waiting
        self.changed = threading.Condition()
        self.pieces = collections.deque()       # (number of the batch, its plan, number of the piece)
        self.begun = self.taken = 0             # batches
        self.made = {}                          # number -> (batch, error)
        self.stopped = False
        # Daemons: whoever keeps the iterator in a variable to the end must not keep the program from ending.
        self.threads = [threading.Thread(target=self._work, daemon=True) for _ in range(waiting.threads)]
        for thread in self.threads:
            thread.start()

    def take(self, number):
        """The batch of this number, as soon as it is there."""
        with self.changed:
            self.taken = number
            self.changed.notify_all()
            while number not in self.made:
                if self.threads:
                    self.changed.wait()
                elif self.pieces or self._begin():
                    self._run(*self.pieces.popleft())
            batch, error = self.made.pop(number)
        if error is not None:
            raise error
        return batch

    def stop(self):
        with self.changed:
            self.stopped = True
            self.changed.notify_all()
        for thread in self.threads:
            thread.join()

    def _work(self):
        while True:
            with self.changed:
                while not (self.stopped or self.pieces or self._begin()):
                    self.changed.wait()
                if self.stopped:
                    return
                piece = self.pieces.popleft()
            self._run(*piece)

    def _begin(self):
        """Put the pieces of the next batch up, if it is time for it. The lock is held."""
        if self.begun == self.count or self.begun > self.taken + len(self.threads) or self.pieces:
            return False
        number = self.begun
        self.begun += 1
        self.changed.notify_all()
        try:
            plan = self.plan(number)
        except BaseException as problem:         # of memory: it, too, is raised where the batch is waited for
            self.made[number] = None, problem
            return False
        self.pieces.extend((number, plan, piece) for piece in range(len(plan.pieces)))
        return True

    def _run(self, number, plan, piece):
        """One piece, and the end of the batch after its last one."""
        started = time.perf_counter()
        decoded, error = 0, None
        try:
            decoded = plan.pieces[piece]()
        except BaseException as problem:  # raised again where the batch is waited for
            error = (piece, problem)
        with self.changed:
            if error and (plan.error is None or piece < plan.error[0]):
                plan.error = error      # of several the first, whichever thread was faster
            plan.left -= 1
            last = plan.left == 0
        if last:
            made = self._finish(plan)
        with self.changed:
            self.waiting.worked += time.perf_counter() - started
            self.waiting.decoded += decoded
            if last:
                self.made[number] = made
                self.changed.notify_all()

    @staticmethod
    def _finish(plan):
        if plan.error is not None:
            return None, plan.error[1]
        try:
            return plan.finish(), None
        except BaseException as problem:
            return None, problem
