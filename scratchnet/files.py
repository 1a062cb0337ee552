"""Writing files so that nobody ever sees half of one, whatever happens meanwhile."""

import contextlib
import hashlib
import json
import os
import threading
from pathlib import Path


def write_atomically(path, content):
    """`content` (bytes) under the name `path`: the old file or the whole new one, also after a power cut."""
    with atomic_file(path) as file:
        file.write(content)


@contextlib.contextmanager
def atomic_file(path):
    """The same for a file that is written piece by piece inside the `with`.

    Written beside it under a temporary name, forced to the disk, then renamed over it. OSError where that
    fails; the temporary file is removed then.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_native_id()}.part")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _sync_folder(path.parent)


def write_json(path, values):
    """A dict as indented UTF-8 JSON, atomically."""
    write_atomically(path, (to_json(values, indent=2) + "\n").encode("utf-8"))


def to_json(values, indent=None):
    """`values` as JSON text. ValueError for NaN and infinity, which JSON has not got."""
    return json.dumps(values, indent=indent, ensure_ascii=False, allow_nan=False)


def sha256(path):
    """Of a file's content, in hexadecimal."""
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def remove_leftovers(folder):
    """The temporary files of writers that were killed. Only who holds the folder's lock may do this."""
    for path in Path(folder).glob(".*.part"):
        path.unlink(missing_ok=True)


def _sync_folder(folder):
    """Make the rename itself last. Windows cannot open a folder, and some network drives cannot sync one."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        except OSError:
            pass
        finally:
            os.close(handle)
