"""The files in a .zip, .tar or .tar.gz, read one by one in memory; nothing is ever extracted to the disk."""

import gzip
import posixpath
import re
import stat
import tarfile
import zipfile
import zlib

from scratchnet.data.idx import GZIP_MAGIC, DataError
from scratchnet.data.images import MOST_BYTES
from scratchnet.data.sources import Listing, hidden, printable

# A compressed tar can only be read from its beginning, so its files are kept in memory, as they are stored: this
# many bytes of them. The same limit ends the unpacking of a bomb.
MOST_UNPACKED = 2 << 30


def is_archive(path):
    """Whether a file is one of those that `list_archive` reads, by its first bytes."""
    return _tar_mode(path) is not None or zipfile.is_zipfile(path)


def list_archive(path):
    """The Listing of an archive. DataError, with the member's name, for what might do harm or cannot be read:
    names with "..", absolute ones, links, encrypted or too large members."""
    try:
        # tar first: the end of a zip file inside one looks like the end of a zip file
        return _list_tar(path) if _tar_mode(path) else _list_zip(path)
    except DataError:
        raise
    except OSError as error:
        if error.errno is not None:
            raise DataError(f"{path}: expected an archive that can be read, got {error.strerror}; check its "
                            "permissions") from None
        raise _damaged(path, error) from None
    except Exception as error:  # the readers raise whatever the bytes of a file lead them into
        raise _damaged(path, error) from None


class ZipSource:
    """A member of a zip file; ZipFile lets several threads read."""

    def __init__(self, archive, info, name):
        self.archive, self.info, self.name, self.size = archive, info, name, info.file_size

    def read(self, limit=None):
        try:
            with self.archive.open(self.info) as file:
                return file.read(self.size + 1 if limit is None else limit)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError) as error:
            raise _damaged(self.name, error) from None


class SliceSource:
    """A member of an uncompressed tar file: a stretch of it."""

    def __init__(self, path, name, start, size):
        self.path, self.name, self.start, self.size = path, name, start, size

    def read(self, limit=None):
        try:
            with open(self.path, "rb") as file:  # one for each read, so that several threads may
                file.seek(self.start)
                content = file.read(self.size if limit is None else min(limit, self.size))
        except OSError as error:
            raise _damaged(self.name, error) from None
        return content


class MemorySource:
    """A member of a compressed tar file, kept as it was stored there."""

    def __init__(self, content):
        self.content, self.size = content, len(content)

    def read(self, limit=None):
        return self.content[:limit]


def _list_zip(path):
    archive = zipfile.ZipFile(path)  # stays open: it is read for as long as the dataset is used
    listing = Listing({}, set(), [])
    for info in archive.infolist():
        name = _safe_name(path, info.filename.replace("\\", "/"))  # some programs write them the Windows way
        if info.is_dir():
            _add_folders(listing, name)
            continue
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise _refused(path, name, "a link or a special file")
        if info.flag_bits & 1:
            raise _refused(path, name, "an encrypted one", "store it without a password")
        _add(path, listing, name, ZipSource(archive, info, f"{path}: {printable(name)}"), info.file_size)
    return listing


def _list_tar(path):
    listing = Listing({}, set(), [])
    packed = _tar_mode(path) == "gz"
    with open(path, "rb") as file:
        content = Forwards(gzip.GzipFile(fileobj=file), path) if packed else file
        with tarfile.open(fileobj=content, mode="r:", encoding="utf-8", errors="surrogateescape") as archive:
            for member in archive:
                name = _safe_name(path, member.name)
                if member.isdir():
                    _add_folders(listing, name)
                elif not member.isreg() or member.issparse():
                    raise _refused(path, name, "a link or a special file")
                elif packed:
                    _check_size(path, name, member.size)
                    wanted = not any(map(hidden, name.split("/")))
                    source = MemorySource(archive.extractfile(member).read() if wanted else b"")
                    _add(path, listing, name, source, member.size)
                else:
                    source = SliceSource(path, f"{path}: {printable(name)}", member.offset_data, member.size)
                    _add(path, listing, name, source, member.size)
            # tarfile takes a header that is cut short or damaged for the end; the true end is a block of zeros.
            if not packed:
                file.seek(archive.offset)
            if (content.last if packed else file.read(tarfile.BLOCKSIZE)) != bytes(tarfile.BLOCKSIZE):
                raise tarfile.ReadError(f"no end after {len(listing.files):,} files")
    return listing


def _add(path, listing, name, source, size):
    if any(map(hidden, name.split("/"))):
        listing.skipped.append(name)
        return
    _check_size(path, name, size)
    if name in listing.files:
        raise _refused(path, name, "two of this name", "make the archive again")
    listing.files[name] = source
    _add_folders(listing, posixpath.dirname(name))


def _add_folders(listing, name):
    """The folder and all above it; archives need not mention them."""
    while name and name not in listing.folders:
        if not any(map(hidden, name.split("/"))):
            listing.folders.add(name)
        name = posixpath.dirname(name)


def _safe_name(path, name):
    parts = re.split(r"[/\\]", name)
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name) or ".." in parts:
        raise _refused(path, name, "a name that leads out of it")
    return "/".join(part for part in name.split("/") if part not in ("", "."))


def _check_size(path, name, size):
    if size > MOST_BYTES:
        raise _refused(path, name, f"one of {size:,} bytes", f"leave out what has more than {MOST_BYTES:,} bytes")


def _refused(path, name, got, advice="make the archive again, without it"):
    return DataError(f"{path}: expected plain files of a dataset, got {got}: {printable(name)!r}; {advice}")


def _damaged(path, error):
    words = printable(" ".join(str(error).split()) or type(error).__name__)[:200]       # some quote the archive
    return DataError(f"{path}: expected a whole archive, got one that is damaged or cut short ({words}); "
                     "download or make it again")


def _tar_mode(path):
    """"gz", "plain", or None for no tar file."""
    with open(path, "rb") as file:
        start = file.read(512)
        packed = start.startswith(GZIP_MAGIC)
        if packed:
            file.seek(0)
            try:
                start = gzip.GzipFile(fileobj=file).read(512)
            except (OSError, EOFError, zlib.error):
                return "gz"  # reading it will say what is wrong
    return ("gz" if packed else "plain") if start[257:262] == b"ustar" else None


class Forwards:
    """A compressed file that is read forwards, no more than MOST_UNPACKED bytes in all; `last` is the last read."""

    def __init__(self, file, path):
        self.file, self.path, self.last = file, path, b""

    def tell(self):
        return self.file.tell()

    def seek(self, position):
        while self.file.tell() < position:
            if not self.read(min(1 << 20, position - self.file.tell())):
                break
        if self.file.tell() > position:
            self.file.seek(position)  # back: the beginning, which tarfile looks at twice
        return position

    def read(self, count):
        if self.file.tell() + count > MOST_UNPACKED:
            raise DataError(f"{self.path}: expected at most {MOST_UNPACKED:,} bytes in a compressed tar file, which "
                            "is kept in memory, got more; make it a .tar or .zip, or unpack it")
        self.last = self.file.read(count)
        return self.last
