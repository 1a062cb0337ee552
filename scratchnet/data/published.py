"""Where a published dataset is looked for: in a folder that is named, else in the user's cache, else on mirrors.

A file of such a dataset (IdxFile, BatchesFile) has: `remote`, its name on mirrors; `limit`, bytes that it can have
at most; `candidates(folder)`, the paths at which it is there; `read(source, notes=None, name=None)`, its values,
from a path or bytes, where `notes` given means that a form without a known checksum is taken, with a note; and
`kept_name(content)`, for the cache.
"""

import contextlib
import os
import tempfile
from pathlib import Path

from scratchnet.data.download import Mirrors
from scratchnet.data.idx import DataError


class NotFound(DataError):
    """Neither the cache nor a mirror has it; the notes say why."""


def obtain(dataset, files, data_dir, cache, mirrors, patience, places, notes):
    """([value of each file], source in words). `places`: where in a named folder they may lie.

    `data_dir`, else $SCRATCHNET_DATA, names a folder that must have them: DataError where it has not. Without
    one NotFound where neither `cache` (default: the user's) nor `mirrors` have them; `patience`: seconds in all to
    wait for mirrors that do not answer. What happened on the way is added to `notes`.
    """
    folder = data_dir if data_dir is not None else os.environ.get("SCRATCHNET_DATA") or None
    if folder is not None:
        advice = f"correct --data-dir (data_dir, $SCRATCHNET_DATA), or leave it out to have {dataset} downloaded"
        return [read_folder(dataset, folder, file, places, advice, notes) for file in files], f"folder {folder}"
    if cache is None:
        import pooch

        cache = Path(pooch.os_cache("scratchnet-cnn")) / dataset.lower()
    mirrors = Mirrors(mirrors, patience)
    values, sources = [], []
    try:
        for file in files:
            found = read_cached(Path(cache), file, notes)
            value, source = found or read_mirrors(mirrors, Path(cache), file, notes)
            values.append(value)
            sources.append(source)
    except DataError as error:
        notes += mirrors.failures
        raise NotFound(str(error)) from None
    return values, ", ".join(dict.fromkeys(sources))


def not_found(dataset, files, cache_notes):
    """The DataError for a dataset that has no sample to fall back on."""
    tried = "; ".join(cache_notes) or "there was nothing to ask"
    return DataError(f"{dataset}: expected its files in the cache or on a mirror, got none ({tried}); put "
                     f"{', '.join(files)} into a folder and name it with --data-dir (data_dir) or $SCRATCHNET_DATA")


def read_folder(dataset, folder, file, places, advice, notes):
    """The value of a file in a folder that must have it, in one of the `places` there."""
    if not os.path.isdir(folder):
        raise DataError(f"data folder '{folder}': expected a folder with {dataset}'s files, got none; {advice}")
    for place in places:
        for path in file.candidates(Path(folder, place)):
            try:
                return file.read(path, notes)
            except OSError as error:
                raise DataError(f"{path}: expected a file that can be read, got {error}; "
                                "check its permissions") from None
    where = "".join(f" or in its {place}" for place in places if place != ".")
    raise DataError(f"data folder '{folder}': expected {file.forms} in it{where}, got none of them; {advice}")


def read_cached(cache, file, notes):
    """(value, source) from the cache, or None; a damaged file there is as good as none."""
    for path in file.candidates(cache):
        try:
            return file.read(path), f"cache {cache}"
        except (OSError, DataError) as error:
            notes.append(f"the cache holds a bad file, which is not used: {error}")
    return None


def read_mirrors(mirrors, cache, file, notes):
    """(value, source) from the first mirror that has the right file, which is then kept in the cache."""
    value, content, url = mirrors.fetch(file.remote, file.limit,
                                        lambda content: file.read(content, name="its content"))
    try:
        keep(cache / file.kept_name(content), content)
    except OSError as error:
        note = (f"the cache {cache} cannot be written ({error.strerror}): what was downloaded is used from "
                "memory, and will be downloaded again the next time")
        if note not in notes:  # once, not for each file
            notes.append(note)
    return value, f"downloaded from {url.rpartition('/')[0]}"


def keep(path, content):
    """Write a file that is never seen half written, also with several processes at it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # A name of its own for every writer, threads of one process included.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise
