"""A dataset of one's own: a folder of images, or an archive of one, as Splits of ImageFiles."""

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from scratchnet.data.ahead import cores
from scratchnet.data.archives import is_archive, list_archive
from scratchnet.data.idx import DataError
from scratchnet.data.image_files import Files, ImageFiles
from scratchnet.data.images import MOST_BYTES, read_header
from scratchnet.data.layout import all_for_test, arrange, make_missing, unwrap
from scratchnet.data.sources import list_folder, printable
from scratchnet.data.splits import Arrays, Splits

HEAD = 1 << 14                  # bytes that hold the header of most files
NEEDED_WHOLE = (b"II*\0", b"MM\0*", b"RIFF")   # TIFF, whose header may be at its end, and WebP, for its decoder
READ_IN_FULL = 1 << 30          # bytes of a whole dataset that are read for its checksum, in a second or two


def load_folder(path, validation_fraction, known=()):
    """DIR/{train,val,test}/CLASS/* or DIR/CLASS/*, or a .zip, .tar or .tar.gz of it, as Splits; call `.sized`.

    Missing validation or test images are taken from the training images (make_missing); with a validation_fraction of
    None nothing is for training, and where there is no test the images of val, or else all, are (all_for_test). Every
    file's header is read now; validation and test images are decoded when they are sized, training images when they
    are used.
    Channels: 1 if no header tells of colours, else 3. The name is the folder's, which never becomes a `known`
    one, that of another dataset. Raises DataError.
    """
    name, notes = _name(path, known), []
    listing = unwrap(_listing(path))
    if listing.skipped:
        notes.append(f"{name}: {len(listing.skipped):,} hidden files left out, the first is "
                     f"{printable(sorted(listing.skipped)[0])}")
    splits = arrange(name, listing, notes, needs_train=validation_fraction is not None)
    splits = (all_for_test(splits) if validation_fraction is None else
              make_missing(name, splits, validation_fraction, notes))
    class_names = list(splits["train"])
    if len(class_names) < 2:
        raise DataError(f"{name}: expected at least two classes to tell apart, got one, {printable(class_names[0])!r}; "
                        "give each class a folder")

    names, labels, parts = [], [], {}
    for split in ("train", "validation", "test"):
        first = len(names)
        for label, files in enumerate(splits[split].values()):
            names += files
            labels += [label] * len(files)
        parts[split] = slice(first, len(names))
    sources = [listing.files[file] for file in names]
    grey, size, digest = _read_heads(name, names, labels, sources)

    channels, labels = 1 if grey else 3, np.array(labels, np.int64)
    shown = [printable(file) for file in names]
    files = Files(sources, [f"{name}/{file}" for file in shown])
    order = np.arange(len(names))
    arrays = {split: Arrays(ImageFiles(files, order[part], channels, checked=split != "train"), labels[part])
              for split, part in parts.items()}
    return Splits(name, **arrays, class_names=class_names, checksum=digest, source=str(path), notes=notes, size=size,
                  files={split: shown[part] for split, part in parts.items()})


def _name(path, known):
    name = printable(os.path.basename(os.path.abspath(path)))
    for ending in (".zip", ".tar", ".tgz", ".tar.gz"):
        name = name.removesuffix(ending)
    name = name or "images"
    return f"{name}-folder" if name in known else name


def _listing(path):
    try:
        if os.path.isdir(path):
            return list_folder(path)
        if os.path.isfile(path) and is_archive(path):
            return list_archive(path)
    except OSError as error:
        raise DataError(f"{path}: expected data that can be read, got {error.strerror}; check its "
                        "permissions") from None
    got = "another kind of file" if os.path.isfile(path) else "neither a file nor a folder"
    raise DataError(f"{path}: expected a folder of images, or a .zip, .tar or .tar.gz of one, got {got}; "
                    "name the right one")


def _read_heads(name, names, labels, sources):
    """(whether all are grey, (H, W) of all or None, checksum): sha256 over the name, class, size and sha256 of each
    file, sorted.

    The splits do not count unless they are in the names: `files` tells them. A dataset of up to READ_IN_FULL bytes is
    read in full. Of a larger one the first HEAD bytes of each file count, for reading it all would take minutes before
    each training: an image that is made again differs in its size, or at its beginning, which holds the tables it was
    packed with.
    """
    full = sum(source.size for source in sources) <= READ_IN_FULL

    def look(place):
        source, shown = sources[place], f"{name}/{printable(names[place])}"
        try:
            if source.size > MOST_BYTES:
                raise DataError(f"{shown}: expected an image file of at most {MOST_BYTES:,} bytes, got "
                                f"{source.size:,}; store it smaller")
            head = source.read(None if full else HEAD)
            return _header(head, source, shown, full), hashlib.sha256(head).digest(), None
        except DataError as error:
            return None, None, error

    with ThreadPoolExecutor(cores()) as threads:  # they wait for the disk, or hash without Python's lock
        found = list(threads.map(look, range(len(names))))
    errors = sorted((file, str(error)) for file, (_, _, error) in zip(names, found) if error is not None)
    if errors:
        more = f" (and {len(errors) - 1:,} more such files)" if len(errors) > 1 else ""
        raise DataError(f"{errors[0][1]}{more}")
    lines = sorted((file.encode("utf-8", "surrogatepass"), label, source.size, content)
                   for file, label, source, (_, content, _) in zip(names, labels, sources, found))
    sizes = {(header.height, header.width) for header, _, _ in found}
    return (all(header.grey for header, _, _ in found), sizes.pop() if len(sizes) == 1 else None,
            hashlib.sha256(repr(lines).encode()).hexdigest())


def _header(head, source, shown, full):
    if full or len(head) == source.size:
        return read_header(head, shown)
    if not head.startswith(NEEDED_WHOLE):
        try:
            return read_header(head, shown)
        except DataError:
            pass  # a long description may come first
    return read_header(source.read(), shown)
