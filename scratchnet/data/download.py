"""Files from mirrors, tried in order, with one limit on the time spent waiting for all that do not answer.

A limit on each read is not enough: looking up a name cannot be timed out, and a server that sends a byte now
and then never times out. So a thread downloads and hands over what it gets, and the caller's thread keeps a
clock: time runs down while nothing comes and is earned back by bytes, so a slow download that moves on may
take for ever, and a stuck one may not.
"""

import queue
import threading
import time
from urllib.parse import urlsplit

from scratchnet.data.idx import DataError

SLOWEST = 4096      # bytes a second; slower than this is not moving on
CHUNK = 1024        # bytes handed over at a time
TICK = 0.1          # seconds between looks at the clock


class Mirrors:
    """`urls` in order of preference, each ending in "/"; `patience` is for silent ones, seconds in all.

    What went wrong is kept in `failures`, a line each.
    """

    def __init__(self, urls, patience=20.0):
        self.urls = list(urls)
        self.patience = patience
        self.failures = []

    def fetch(self, name, limit, accept):
        """Download `name` (at most `limit` bytes) and return (accept(content), content, url).

        `accept` raises where it does not like the content. Any error means the next mirror; none left:
        DataError. A mirror that fails after more than a second is not asked for later files.
        """
        for url in list(self.urls):
            left = len(self.urls) - self.urls.index(url)
            clock = Clock(self.patience / left)  # the mirrors after this one keep their share
            try:
                content = download(url + name, limit, clock)
                return accept(content), content, url + name
            except Exception as error:  # whatever happens on one mirror, the next one may do better
                self.failures.append(f"{url}{name}: {reason(error)}")
                self.patience -= clock.waited
                if clock.waited > 1.0:
                    self.urls.remove(url)
        raise DataError(f"{name}: no mirror has it; {'; '.join(self.failures) or 'there is none to ask'}")


class Clock:
    """Seconds waited for bytes that did not come; n bytes earn n / SLOWEST seconds back."""

    def __init__(self, limit):
        self.limit = limit
        self.waited = 0.0
        self.last = time.monotonic()

    def tick(self, received=0):
        now = time.monotonic()
        self.waited = max(0.0, self.waited + now - self.last - received / SLOWEST)
        self.last = now
        if self.waited > self.limit:
            raise TimeoutError(f"no answer, or less than {SLOWEST} bytes a second, for {self.waited:.1f} s")


class Pipe:
    """What the downloading thread writes into; raises in that thread once the reader has gone."""

    def __init__(self):
        self.chunks = queue.SimpleQueue()
        self.closed = False

    def write(self, chunk):
        if self.closed:
            raise BrokenPipeError("nobody wants this download any more")
        self.chunks.put(chunk)

    def flush(self):
        pass  # nothing is held back


def download(url, limit, clock):
    """The content of `url`, at most `limit` bytes, with a progress bar on stderr if that is a terminal."""
    from tqdm import tqdm

    pipe = Pipe()
    parts, size = [], 0
    label = f"{url.rpartition('/')[2]} from {urlsplit(url).netloc}"
    # total=limit until the server tells the size
    with tqdm(total=limit, desc=label, unit="B", unit_scale=True, leave=False, disable=None) as bar:
        # A daemon: a thread stuck in a name look-up must not keep the program from ending.
        threading.Thread(target=_run, args=(url, pipe, bar, clock.limit), daemon=True).start()
        try:
            while True:
                try:
                    chunk = pipe.chunks.get(timeout=TICK)
                except queue.Empty:
                    chunk = b""
                if chunk is None:
                    return b"".join(parts)
                if isinstance(chunk, Exception):
                    raise chunk
                clock.tick(len(chunk))
                parts.append(chunk)
                size += len(chunk)
                if size > limit:
                    raise DataError(f"expected at most {limit} bytes, got more; this is another file")
        finally:
            pipe.closed = True


def _run(url, pipe, bar, timeout):
    try:
        import pooch

        headers = {"Accept-Encoding": "identity"}  # the file as it is stored, not packed once more on the way
        # The clock decides; this limit only lets the thread end some time after it.
        fetch = pooch.HTTPDownloader(progressbar=bar, chunk_size=CHUNK, timeout=timeout + 1, headers=headers)
        fetch(url, pipe, None)
        pipe.chunks.put(None)
    except Exception as error:  # handed to the thread that waits
        pipe.chunks.put(error)


def reason(error):
    """What lies at the bottom of an error, in a line: "gaierror: [Errno -2] Name or service not known"."""
    while (below := error.__cause__ if error.__suppress_context__ else error.__context__) is not None:
        error = below
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
