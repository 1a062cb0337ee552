"""Which of a folder's files belong to which split and class: DIR/{train,val,test}/CLASS/* or DIR/CLASS/*."""

import hashlib
import posixpath
import unicodedata

from scratchnet.data.idx import DataError
from scratchnet.data.sources import printable

SPELLINGS = {"train": "train", "val": "validation", "valid": "validation", "validation": "validation",
             "test": "test"}
# Fixed, so that no option of a training moves an image from the training set into the test set of an evaluation.
TEST_FRACTION = 1 / 10
BESIDE = (".txt", ".md", ".rst", ".csv", ".tsv", ".json", ".xml", ".yaml", ".yml", ".html", ".log", ".pdf")


def arrange(name, listing, notes, needs_train=True):
    """{split: {class: [file names]}} of a Listing, classes and files sorted; `name` is for errors.

    Text files beside the images are left out, with a note. DataError for anything that is not where it should
    be.
    """
    beside = sorted(file for file in listing.files if file.lower().endswith(BESIDE))
    if beside:
        notes.append(f"{name}: {count(beside, 'text file')} beside the images left out, the first is "
                     f"{printable(beside[0])}")
    files = sorted(set(listing.files) - set(beside))
    children = _children("", listing.folders)
    _refuse_loose(name, "", files)
    if not children:
        raise DataError(f"{name}: expected folders train, val, test, with a folder for each class, or folders of "
                        "classes, got none; put the images into such folders")
    if not any(child in SPELLINGS for child in children):
        return {"train": _classes(name, "", files, listing.folders)}
    return _splits(name, children, files, listing.folders, needs_train)


def unwrap(listing):
    """The Listing without a single folder that holds all the others, as in many archives."""
    files, folders = listing.files, listing.folders
    while len(children := _children("", folders)) == 1 and children[0] not in SPELLINGS:
        outer = children[0] + "/"
        if not _children(children[0], folders) or not all(file.startswith(outer) for file in files):
            break  # this is a class, or there is more beside it
        files = {file[len(outer):]: source for file, source in files.items()}
        folders = {folder[len(outer):] for folder in folders if folder.startswith(outer)}
    return listing._replace(files=files, folders=folders)


def _splits(name, children, files, folders, needs_train):
    splits = {}
    for child in children:
        split = SPELLINGS.get(child)
        if split is None:
            raise DataError(f"{name}: expected folders train, val and test, got also {printable(child)!r}; move it "
                            "elsewhere or rename it")
        if split in splits:
            raise DataError(f"{name}: expected one folder for {split}, got {child!r} and another spelling; "
                            "remove one")
        splits[split] = _classes(name, child, files, folders)
    if needs_train and "train" not in splits:
        raise DataError(f"{name}: expected a folder train, got {', '.join(children)}; name the training set so")
    first = "train" if "train" in splits else next(iter(splits))
    for split, classes in splits.items():
        odd = sorted(set(classes) ^ set(splits[first]))
        if odd:
            where = [f"{c!r} is only in {split if c in classes else first}" for c in odd]
            raise DataError(f"{name}: expected the classes of {first} in {split}, got others: {'; '.join(where[:3])}; "
                            "rename or move these folders")
    return splits


def _classes(name, place, files, folders):
    """{class: [file names]} of the folder `place`."""
    _refuse_loose(name, place, files)
    inside = f"{place}/" if place else ""
    contents = {}                                   # folder -> files, in one pass: there may be a million
    for file in files:
        if file.startswith(inside):
            contents.setdefault(file[len(inside):].partition("/")[0], []).append(file)
    classes = {}
    for child in _children(place, folders):
        folder = inside + child
        label = unicodedata.normalize("NFC", child)  # macOS stores accents apart
        if label in classes:
            raise DataError(f"{name}: expected one folder of each name, got two {printable(folder)!r}; join them")
        if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") for c in label):
            raise DataError(f"{name}: expected class names of plain text, got '{printable(folder)}', with control "
                            "characters or bytes that are not UTF-8; rename the folder")
        if child not in contents:
            raise DataError(f"{name}: expected images in every class, got none in {printable(folder)}; add some or "
                            "remove the folder")
        classes[label] = contents[child]
    if not classes:
        raise DataError(f"{name}: expected a folder for each class in {place}, got none; put the images into such "
                        "folders")
    return dict(sorted(classes.items()))


def _refuse_loose(name, place, files):
    loose = [file for file in files if posixpath.dirname(file) == place]
    if loose:
        raise DataError(f"{name}: expected every image in the folder of its class, got {count(loose, 'file')} beside "
                        f"these folders, the first is {printable(loose[0])}; move or remove")


def _children(place, folders):
    """The names of the folders in a folder, sorted."""
    return sorted(posixpath.basename(folder) for folder in folders if posixpath.dirname(folder) == place)


def make_missing(name, splits, validation_fraction, notes):
    """Take images of train, of each class alike, for test (TEST_FRACTION) and then for validation, where missing.

    A class's files are chosen in the order of the sha256 of class and file name: a choice that is the same
    everywhere, and in which a new file moves few others. DataError where a class has too few.
    """
    splits = dict(splits)
    for split, fraction in (("test", TEST_FRACTION), ("validation", validation_fraction)):
        if split in splits:
            continue
        train, taken = {}, {}
        for label, files in splits["train"].items():
            number = max(1, round(len(files) * fraction))
            if number >= len(files):
                raise DataError(f"{name}: expected images of class {label!r} for train and {split}, got "
                                f"{len(files)}; add some, or make the folder {split}")
            order = sorted(files, key=lambda file: _key(label, file))
            taken[label], train[label] = sorted(order[:number]), sorted(order[number:])
        splits["train"], splits[split] = train, taken
        notes.append(f"{name} has no {split} images: {sum(map(len, taken.values())):,} of the training images, "
                     f"{fraction:.3g} of each class, were set aside for it, always the same ones")
    return splits


def all_for_test(splits):
    """Nothing is trained, so nothing set aside: where there are no test images those of val are, or else all of them."""
    chosen = next(split for split in ("test", "validation", "train") if split in splits)
    none = dict.fromkeys(splits[chosen], [])
    return {split: splits[chosen] if split == "test" else none for split in ("train", "validation", "test")}


def _key(label, file):
    words = f"{label}/{posixpath.basename(file)}"
    return hashlib.sha256(words.encode("utf-8", "surrogatepass")).digest(), file


def count(things, what):
    return f"{len(things):,} {what}{'' if len(things) == 1 else 's'}"
