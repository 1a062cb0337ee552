"""How many threads kernels use, and through which of Numba's threading layers.

GNU OpenMP starts a parallel region in 3 µs here; the workqueue needs 200 and aborts the process when two Python
threads enter it at once, hence the lock. The choice has to be made before anything runs in parallel.
"""
import os
import sys
import threading

import numba

# How often a waiting thread of GNU OpenMP looks before it sleeps: for some 50 µs, the time between two kernels. Its own
# choice is milliseconds, and where another process wants the core, each wait lasts until the scheduler steps in: with one
# busy neighbour on two cores, an elementwise kernel took 12 ms instead of 0.2.
SPINS = "2000"

# 16,000 elements take a thread some 5 µs. To start a second takes 3 µs if it spins, 90 beside a busy neighbour.
FEW = 2 ** 14

_own = threading.local()                         # Numba counts threads for each Python thread
_count = None                                    # until set_threads: as many as Numba has
_lock = None                                     # a lock, on the workqueue only
_layer = None

if numba.config.THREADING_LAYER_PRIORITY == ["tbb", "omp", "workqueue"]:     # nobody has chosen: Numba's default
    numba.config.THREADING_LAYER_PRIORITY = ["omp", "tbb", "workqueue"]


def set_threads(n):
    """All kernels use n threads from now on, whichever Python thread calls them."""
    global _count
    if not 1 <= n <= numba.config.NUMBA_NUM_THREADS:
        raise ValueError(f"threads: expected 1 to {numba.config.NUMBA_NUM_THREADS}, got {n}")
    _count = int(n)


def threads():
    """The number of threads kernels use."""
    return _count or numba.config.NUMBA_NUM_THREADS


def threading_layer():
    """"omp", "tbb" or "workqueue"; starts it if no kernel has run yet."""
    global _layer, _lock
    if _layer is None:
        _launch()
        _layer = numba.threading_layer()
        if _layer == "workqueue":
            _lock = threading.RLock()
            if numba.config.THREADING_LAYER != "workqueue":
                print("kernels run on Numba's workqueue, which is slow for small models: neither its omp nor its "
                      "tbb layer loads here", file=sys.stderr)
    return _layer


def _launch():
    """Start the threads, which settles the layer. libgomp reads its environment as it is loaded, here."""
    chosen = os.environ.get("GOMP_SPINCOUNT") or os.environ.get("OMP_WAIT_POLICY")
    if not chosen:
        os.environ["GOMP_SPINCOUNT"] = SPINS
    try:
        numba.get_num_threads()
    finally:
        if not chosen:
            del os.environ["GOMP_SPINCOUNT"]


def run(dispatcher, arguments, elements=None):
    """Calls a parallel kernel with the right number of threads, and alone where the layer wants it.

    elements: how many it has to look at once or twice each; FEW are done by one thread before a second one is awake.
    """
    if _layer is None:
        threading_layer()
    count = 1 if elements is not None and elements <= FEW else threads()
    if getattr(_own, "count", None) != count:
        numba.set_num_threads(count)
        _own.count = count
    if _lock is None:
        dispatcher(*arguments)
    else:
        with _lock:
            dispatcher(*arguments)


def chunks(size, least=1):
    """Into how many parts, one a thread, to cut `size` things, so that none has fewer than `least` of them."""
    return max(1, min(threads(), size // least))
