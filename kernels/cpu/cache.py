"""Where compiled kernels are kept between runs: a folder only this user can write, one per version of the sources.

Numba's own cache notices neither edits of imported helpers nor another processor's features, and its files are
pickle, so that whoever can write the folder can run code. Hence the hash in the name, and the checks of the owner.
"""
import hashlib
import os
import platform
import re
import shutil
import sys
import time
from pathlib import Path

import llvmlite
import llvmlite.binding
import numba
import numpy

KEEP_DAYS = 30


def sources():
    """Every file a kernel is compiled from."""
    here = Path(__file__).resolve().parent
    return sorted(here.glob("*.py")) + [here.parent / "shapes.py"]


def fingerprint():
    """16 hex digits of a hash of the sources, the compiler's versions and the processor."""
    features = llvmlite.binding.get_host_cpu_features().flatten()
    parts = [platform.python_implementation(), sys.version, numba.__version__, llvmlite.__version__,
             numpy.__version__, llvmlite.binding.get_host_cpu_name(), features]
    digest = hashlib.sha256("\0".join(parts).encode())
    for path in sources():
        content = path.read_bytes()
        digest.update(f"\0{path.name}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def user_cache():
    """The platform's folder for what can be made again, with our name."""
    if sys.platform == "win32":
        base = os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local"
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(base):              # the specification says to ignore a relative path
            base = Path.home() / ".cache"
    return Path(base) / "scratchnet"


def _make_private(folder, forbidden):
    """Makes `folder` with mode 0700 where it is missing. Raises OSError where it belongs to somebody else or has a
    `forbidden` mode bit: then others may have planted something in it."""
    folder.mkdir(mode=0o700, exist_ok=True)
    if hasattr(os, "geteuid"):                   # Windows keeps the folders of a profile to its user
        status = folder.stat()
        if status.st_uid != os.geteuid():
            raise PermissionError(f"{folder} belongs to another user")
        if status.st_mode & forbidden:
            raise PermissionError(f"{folder} can be written by other users")


def _remove_old(parent):
    """Removes the folders of other versions that nobody has used for KEEP_DAYS days."""
    limit = time.time() - KEEP_DAYS * 24 * 3600
    for folder in parent.iterdir():
        try:
            old = re.fullmatch("[0-9a-f]{16}", folder.name) and folder.lstat().st_mtime < limit
        except OSError:                          # another process was faster
            continue
        if old and not folder.is_symlink():
            shutil.rmtree(folder, ignore_errors=True)


def open_folder():
    """The folder for this version's kernels, made if need be. Raises OSError where none can be had."""
    root = user_cache()
    root.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    parent = root / "kernels"
    folder = parent / fingerprint()
    is_new = not folder.exists()
    _make_private(root, 0o002)                   # shared with the data sets, so a group may have been let in
    _make_private(parent, 0o022)
    _make_private(folder, 0o022)
    probe = folder / f"probe-{os.getpid()}"
    probe.touch()                                # a read-only file system shows itself here
    probe.unlink()
    os.utime(folder)                             # in use today, says _remove_old
    if is_new:
        _remove_old(parent)
    return folder
