"""Ctrl-C and SIGTERM: the first finishes the batch, the second does not."""

import contextlib
import signal
import sys
import threading

NAMES = {signal.SIGINT: "Ctrl-C", signal.SIGTERM: "SIGTERM"}


class Stopped(BaseException):
    """The process was asked to end. The exit code is 128 + signum: 130 or 143."""

    def __init__(self, signum, message=""):
        super().__init__(message or f"stopped by {NAMES[signum]}")
        self.signum = signum


class Request:
    """`signum` is that of the first signal, None until it comes."""

    signum = None


@contextlib.contextmanager
def at_once():
    """Inside it each of the two signals raises Stopped where the program stands."""
    def handle(signum, frame):
        raise Stopped(signum)
    with _handling(handle):
        yield


@contextlib.contextmanager
def after_this_batch():
    """Inside it the first signal is noted in the Request for the loop to see; the second raises Stopped."""
    request = Request()

    def handle(signum, frame):
        if request.signum is not None:
            raise Stopped(signum)
        request.signum = signum
        line = "\n" if sys.stderr.isatty() else ""      # there the progress bar is in the way
        print(f"{line}{NAMES[signum]}: stopping after this batch; once more to stop at once", file=sys.stderr,
              flush=True)
    with _handling(handle):
        yield request


@contextlib.contextmanager
def _handling(handle):
    """Both signals go to `handle`, afterwards to whoever had them before. Without effect outside the main
    thread, where Python delivers none; an ignored signal (in the background of a shell script) stays so."""
    before = {}
    if threading.current_thread() is threading.main_thread():
        before = {signum: signal.getsignal(signum) for signum in NAMES}
    before = {signum: old for signum, old in before.items() if old not in (signal.SIG_IGN, None)}
    try:
        for signum in before:
            signal.signal(signum, handle)
        yield
    finally:
        for signum, old in before.items():
            signal.signal(signum, old)
