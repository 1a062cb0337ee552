"""The peak of this process's memory, where Linux tells it; elsewhere None."""

import contextlib
import ctypes
import gc


def resident():
    """Bytes in memory now."""
    return _status("VmRSS")


def peak():
    """The most bytes there have been since `forget_peak`."""
    return _status("VmHWM")


def forget_peak():
    """Give what is free back to the system, and let the peak start from what is left."""
    gc.collect()
    with contextlib.suppress(OSError, AttributeError, TypeError):            # another C library than GNU's
        ctypes.CDLL(None).malloc_trim(0)
    with contextlib.suppress(OSError):
        with open("/proc/self/clear_refs", "w", encoding="ascii") as file:
            file.write("5")


def _status(name):
    with contextlib.suppress(OSError):
        with open("/proc/self/status", encoding="ascii", errors="replace") as file:
            for line in file:
                if line.startswith(f"{name}:"):
                    return 1024 * int(line.split()[1])
    return None
