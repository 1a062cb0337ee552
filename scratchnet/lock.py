"""A lock on a folder that dies with its process, however that ends."""

import contextlib
import errno
import os
import sys
from pathlib import Path

NAME = ".lock"


class Locked(Exception):
    """Another process holds the lock."""


@contextlib.contextmanager
def locked(folder):
    """Hold the folder's lock. Locked at once where another process does. The operating system lets go of it when
    this process ends, by kill -9 too; where a file system knows no locks, a line on stderr says so."""
    path = Path(folder, NAME)
    handle = _acquire(path)
    try:
        yield
    finally:
        if handle is not None:
            # Removed while it is held: who has opened it meanwhile finds, after locking, that the name is gone.
            if os.name == "posix":
                path.unlink(missing_ok=True)
            os.close(handle)
            if os.name != "posix":
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)


def _acquire(path):
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(handle)
        except OSError as error:
            os.close(handle)
            if error.errno in (errno.EACCES, errno.EAGAIN, errno.EDEADLK):
                raise Locked(f"{path.parent}: another process is writing this run; wait for it, or stop it") from None
            print(f"warning: {path.parent} cannot be locked ({error}); take care that only one process writes it",
                  file=sys.stderr)
            return None
        with contextlib.suppress(OSError):
            if os.path.samestat(os.fstat(handle), os.stat(path)):
                return handle
        os.close(handle)                        # its owner removed it between our two steps


def _lock(handle):
    if os.name == "posix":
        import fcntl
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    else:
        import msvcrt
        msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
