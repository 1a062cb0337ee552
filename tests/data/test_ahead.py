"""Making batches ahead: in order, never too far, errors where they belong, nothing left running."""

import gc
import threading
import time

import pytest

from scratchnet.data.ahead import Plan, Waiting, ahead


def numbers(n, log=None):
    """plan(k) makes [k, k, k] of three pieces."""
    def plan(number):
        out = [None] * 3

        def piece(place):
            if log is not None:
                log.append(number)
            out[place] = number
            return 1

        return Plan([lambda place=place: piece(place) for place in range(3)], lambda: list(out))
    return plan


def threads():
    return threading.active_count()


@pytest.mark.parametrize("workers", [0, 1, 2, 7])
def test_everything_comes_in_order(workers):
    waiting = Waiting(workers)
    assert list(ahead(numbers(20), 20, waiting)) == [[k, k, k] for k in range(20)]
    assert waiting.decoded == 60 and waiting.worked > 0 and waiting.waited > 0


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_work_while_the_loop_does_but_only_so_far(workers):
    log = []
    loop = ahead(numbers(50, log), 50, Waiting(workers))
    next(loop)
    deadline = time.monotonic() + 5
    while max(log) < workers and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.05)
    assert max(log) == workers      # the one that was taken, and as many more as there are threads
    loop.close()


def test_all_threads_make_the_batch_that_is_wanted_next():
    together = threading.Barrier(3)
    plan = Plan([lambda: together.wait(5) and 0 or 0 for _ in range(3)], lambda: "made")
    assert list(ahead(lambda number: plan, 1, Waiting(3))) == ["made"]


@pytest.mark.parametrize("leave", ["break", "close", "error", "forget"])
def test_threads_end_when_the_loop_is_left_early(leave):
    before = threads()
    loop = ahead(numbers(1000), 1000, Waiting(3))
    assert next(loop) == [0, 0, 0] and threads() == before + 3
    if leave == "close":
        loop.close()
    elif leave == "error":
        with pytest.raises(KeyboardInterrupt):
            loop.throw(KeyboardInterrupt)
    elif leave == "break":
        for _ in loop:
            break
        loop = None
    loop = None
    gc.collect()
    assert threads() == before


@pytest.mark.parametrize("workers", [0, 1, 4])
@pytest.mark.parametrize("where", ["plan", "piece", "finish"])
def test_an_error_is_raised_when_its_batch_is_reached_and_threads_end(workers, where):
    before = threads()

    def bad(what):
        raise ValueError(what)

    def plan(number):
        if number != 5:
            return numbers(20)(number)
        if where == "plan":
            bad("plan")
        if where == "finish":
            return Plan([lambda: 0], lambda: bad("finish"))
        # of two errors in a batch it is always the first, also if the second is faster
        return Plan([lambda: time.sleep(0.05) or bad("piece"), lambda: bad("later piece")], lambda: None)

    got = []
    with pytest.raises(ValueError, match=f"^{where}$"):
        for batch in ahead(plan, 20, Waiting(workers)):
            got.append(batch[0])
    assert got == [0, 1, 2, 3, 4] and threads() == before


def test_what_the_loop_waited_is_less_than_what_the_threads_worked_where_they_overlap():
    plan = Plan([], None)

    def slow(number):
        return Plan([lambda: time.sleep(0.02) or 1], lambda: number)

    waiting = Waiting(2)
    for _ in ahead(slow, 10, waiting):
        time.sleep(0.03)
    # ten times 20 ms of work, of which the loop waits for the first
    assert waiting.worked >= 0.2 and waiting.waited < waiting.worked / 2 and waiting.decoded == 10
    assert plan.left == 1 and plan.pieces[0]() == 0     # a batch of nothing is made too
