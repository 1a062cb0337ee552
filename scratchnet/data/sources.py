"""Where the files of a dataset are: names of a folder's files, and how to read each of them."""

import os
import stat
from pathlib import Path
from typing import NamedTuple

from scratchnet.data.idx import DataError
from scratchnet.data.images import MOST_BYTES


class Listing(NamedTuple):
    """`files` {relative name with "/": source}, `folders` their names, and `skipped`, files that are hidden.

    A source has `size` in bytes and `read(limit=None)` -> bytes, at most `limit` of them, from any thread.
    """

    files: dict
    folders: set
    skipped: list


class FileSource:
    """A file on the disk."""

    def __init__(self, path, name, size):
        self.path, self.name, self.size = path, name, size

    def read(self, limit=None):
        try:
            with open(self.path, "rb") as file:
                return file.read(MOST_BYTES + 1 if limit is None else limit)
        except OSError as error:
            raise unreadable(self.name, error) from None


def list_folder(root):
    """The Listing of a folder. Links are followed, but not into a folder that they lie in (DataError)."""
    listing = Listing({}, set(), [])
    _walk(Path(root), "", (), listing)
    return listing


def _walk(folder, prefix, above, listing):
    here = os.path.realpath(folder)
    if here in above:
        raise DataError(f"{printable(prefix)}: expected a folder of images, got a link to a folder that it lies in; "
                        "remove the link")
    try:
        entries = sorted(os.listdir(folder))
    except OSError as error:
        raise unreadable(prefix or str(folder), error) from None
    for entry in entries:
        name, path = prefix + entry, folder / entry
        if hidden(entry):
            listing.skipped.append(name)
            continue
        try:
            status = os.stat(path)  # of what a link leads to
        except OSError as error:
            raise unreadable(name, error) from None
        if stat.S_ISDIR(status.st_mode):
            listing.folders.add(name)
            _walk(path, f"{name}/", (*above, here), listing)
        elif stat.S_ISREG(status.st_mode):
            listing.files[name] = FileSource(path, printable(name), status.st_size)
        else:  # opening a pipe or a device could wait for ever
            raise DataError(f"{printable(name)}: expected a file or folder, got a pipe, socket or device; remove it")


def hidden(entry):
    """Whether a file or folder of this name is made by an operating system, for itself."""
    return entry.startswith(".") or entry in ("__MACOSX", "Thumbs.db", "ehthumbs.db", "desktop.ini")


def unreadable(name, error):
    """DataError for an OSError."""
    return DataError(f"{printable(name)}: expected a file or folder that can be read, got {error.strerror or error}; "
                     "check its permissions, or the link if it is one")


def printable(name):
    """The name with what cannot be printed or encoded as its code: "\\x1b", "\\udce9"."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(name))
