"""One case of the fuzzer: a file, broken or whole, is read, and what comes is judged by other means.

A case function takes (rng, box, whole): it writes into the folder `box`, reads that, and returns None or what is
wrong in words. `whole`: the file is as it should be, and must be read. Anything raised is wrong, too.
"""

import gzip
import hashlib
import io
from pathlib import Path

import numpy as np
import safetensors.numpy
from PIL import Image

import fuzz_files
import scratchnet as sn
from fuzz_files import broken
from scratchnet import checkpoint, data
from scratchnet.checkpoint import Checkpoint, CheckpointError
from scratchnet.data import DataError, Preprocessing
from scratchnet.data.idx import read_idx
from scratchnet.data.images import read_header, read_pixels
from scratchnet.weights.layout import LAYOUTS

ARRAYS = {"images": np.arange(9 * 6 * 5, dtype=np.uint8).reshape(9, 6, 5), "labels": np.arange(9, dtype=np.uint8) % 4}
IDX = {name: fuzz_files.idx(values) for name, values in ARRAYS.items()}
IMAGES = fuzz_files.images()
DATASET = fuzz_files.dataset()
PIXELS = {content: np.array(Image.open(io.BytesIO(content)).convert("RGB")) for content in DATASET.values()}
NEAR = 1            # a resized flat colour is that colour, but for rounding


def named(error, *names):
    """A documented error is right if it names the file, in a line that can be read."""
    words = str(error)
    if not any(name in words for name in names):
        return f"its message names no file: {words}"
    if not words.isprintable() or len(words) > 2000:
        return f"its message cannot be read: {words[:300]!r}"


def unexpected(whole, error):
    return f"a whole file was refused: {error}" if whole else None


# -- IDX -------------------------------------------------------------------------------------------------------------

def idx_case(rng, box, whole):
    name, other = rng.permutation(list(IDX))
    values, content, zipped = ARRAYS[name], IDX[name], rng.random() < 0.5
    if not whole and rng.random() < 0.7:
        content = broken(rng, content, IDX[other])
    content = fuzz_files.packed(content) if zipped else content
    if not whole and zipped and rng.random() < 0.7:
        content = broken(rng, content, fuzz_files.packed(IDX[other]))
    path = box / ("broken-idx.gz" if zipped else "broken-idx")
    path.write_bytes(content)
    sha256 = hashlib.sha256(IDX[name]).hexdigest() if rng.random() < 0.5 else None
    try:
        found = read_idx(content, values.shape, sha256, path.name) if rng.random() < 0.3 else \
            read_idx(path, values.shape, sha256)
    except DataError as error:
        return unexpected(whole, error) or named(error, path.name)
    if sha256 is None:                                      # the values may be others, but those that the file holds
        content = gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content
        start = len(content) - values.size
        values = np.frombuffer(content[start:], np.uint8).reshape(values.shape)
        if content[:start] != IDX[name][:start]:
            return f"read with the header {content[:start]!r}"
    if found.dtype != np.uint8 or found.shape != values.shape or not np.array_equal(found, values):
        return "other values than those in the file"


# -- checkpoints -----------------------------------------------------------------------------------------------------

def make_checkpoint(number):
    rng = np.random.default_rng(number)
    state = {"conv.weight": rng.normal(size=(3, 3, 1, 2)).astype(np.float32), "conv.bias": np.zeros(2, np.float32)}
    return Checkpoint(
        model="lenet5", input_shape=(32, 32, 1), classes=2, class_names=["a", f"class {number} é"],
        preprocessing=Preprocessing((0.1307,), (0.3081,), ((2, 2), (2, 2))), dataset={"name": "x", "checksum": "y"},
        optimizer={"kind": "SGD", "lr": 0.05}, counters={"epoch": 1, "step": 10 + number}, model_state=state,
        optimizer_state={"velocity/conv.weight": state["conv.weight"] / 3, "step": np.array(number)})


def checkpoint_case(rng, box, whole):
    path, number = box / "broken-checkpoint.safetensors", int(rng.integers(2))
    contents = []
    for k in (number, 1 - number):
        checkpoint.save(path, make_checkpoint(k))
        contents.append(path.read_bytes())
    content = contents[0]
    if not whole:
        content = fuzz_files.broken_header(rng, content) if rng.random() < 0.5 else broken(rng, *contents)
        if rng.random() < 0.1:
            content = len(content).to_bytes(8, "little") + content[8:]      # a header as long as the file
    path.write_bytes(content)
    try:
        found = checkpoint.load(path)
    except CheckpointError as error:
        return unexpected(whole, error) or named(error, path.name)
    # A splice of two may be the other one whole.
    if not any(same(found, make_checkpoint(k)) for k in (number, 1 - number)):
        return "neither an error nor the checkpoint that was saved"


def same(found, saved):
    def alike(a, b):
        if isinstance(b, dict) and all(isinstance(v, np.ndarray) for v in b.values()):
            return a.keys() == b.keys() and all(
                a[key].dtype == b[key].dtype and a[key].shape == b[key].shape and a[key].tobytes() == b[key].tobytes()
                for key in b)
        return type(a) is type(b) and a == b
    return all(alike(value, getattr(saved, name)) for name, value in vars(found).items())


# -- weights ---------------------------------------------------------------------------------------------------------

def small_network(seed):
    model = sn.Sequential(conv=sn.Conv2D(2, 3), flat=sn.Flatten(), fc=sn.Dense(4))
    model.init(seed, (4, 5, 3))
    return model


def weights_case(rng, box, whole):
    path, contents = box / "broken-weights.safetensors", []
    for layout in rng.permutation(LAYOUTS):
        sn.save_weights(small_network(1), path, layout)
        contents.append(path.read_bytes())
    content = contents[0]
    if not whole:
        content = fuzz_files.broken_header(rng, content) if rng.random() < 0.5 else broken(rng, *contents)
    path.write_bytes(content)
    model = small_network(2)
    try:
        loaded = sn.load_weights(model, path)
    except ValueError as error:
        if not same_arrays(model.state_dict(), small_network(2).state_dict()):
            return f"half a file was loaded: {error}"
        return unexpected(whole, error) or named(str(error).replace("\n", " "), path.name)
    stored = safetensors.numpy.load(content)                # raises where that reader refuses it
    if loaded.layout == "pytorch":
        stored["conv.weight"] = stored["conv.weight"].transpose(2, 3, 1, 0)                             # (O, I, KH, KW)
        stored["fc.weight"] = stored["fc.weight"].reshape(4, 2, 2, 3).transpose(2, 3, 1, 0).reshape(12, 4)  # (O, C*H*W)
    if not same_arrays(model.state_dict(), stored):
        return "other values than those in the file"


def same_arrays(ours, others):
    return ours.keys() == others.keys() and all(np.array_equal(array, others[name]) for name, array in ours.items())


# -- images ----------------------------------------------------------------------------------------------------------

def image_case(rng, box, whole):
    name, other = rng.permutation(list(IMAGES))[:2]
    content, channels = IMAGES[name], int(rng.choice([1, 3]))
    if not whole:
        content = fuzz_files.broken_chunk(rng, content) if name.startswith("png") and rng.random() < 0.6 else \
            broken(rng, content, IMAGES[other])
    path = box / f"broken-{name}"
    path.write_bytes(content)
    size = None if rng.random() < 0.5 else (int(rng.integers(1, 40)), int(rng.integers(1, 40)))
    source = content if rng.random() < 0.5 else path
    try:
        header = read_header(source, path.name)
    except DataError as error:
        if unexpected(whole, error) or named(error, path.name):
            return unexpected(whole, error) or named(error, path.name)
        header = None
    try:
        pixels = read_pixels(source, path.name, size, channels)
    except DataError as error:
        return unexpected(whole, error) or named(error, path.name)
    if header is None:
        return "pixels were read of a file whose header is refused"
    if pixels.dtype != np.uint8 or pixels.shape != (*(size or header[:2]), channels):
        return f"expected {(*(size or header[:2]), channels)}, got {pixels.dtype} {pixels.shape}"
    with Image.open(io.BytesIO(content)) as image:
        if sorted(image.size) != sorted(header[:2]):
            return f"the header was read as {header}, Pillow says {image.size}"
    if pixels.size < 1 << 20 and not np.array_equal(pixels, read_pixels(content, path.name, size, channels)):
        return "read twice, it gives other pixels: memory that nobody wrote"


# -- datasets --------------------------------------------------------------------------------------------------------

def evil_names(rng, box):
    """Names that lead out of the folder, or that no file has."""
    depth = "../" * int(rng.integers(1, 6))
    return ["..", f"{depth}escaped.png", f"train/cat/{depth}escaped.png", f"{box.parents[2]}/escaped.png", "/", "",
            "C:\\escaped.png", "train\\..\\..\\escaped.png", "train/cat/a\nb\x1b[31m.png", "train/cat/" + "x" * 300,
            "train/cat", "train/cat/0.png/1.png", "train/Cat/0.png", ".hidden/x/0.png", "train/é/0.png",
            "valid/cat/0.png", "loose.png"]


def dataset_case(rng, box, whole):
    kind = ["folder", "zip", "tar", "tar.gz"][rng.integers(4)]
    files, links, harm = dict(DATASET), (), "none" if whole else rng.choice(["archive", "file", "name", "link"])
    name = list(files)[rng.integers(len(files))]
    if harm == "file":
        files[name] = broken(rng, files[name], files["train/cat/0.png"])
    elif harm == "name":
        names = evil_names(rng, box)
        files[names[rng.integers(len(names))]] = files.pop(name)
    elif harm == "link":
        links = (name,)
    path = box / ("broken-set" if kind == "folder" else f"broken-set.{kind}")
    if kind == "folder":
        if not write_folder(path, files, links, harm == "archive" and name):
            return None
    else:
        content = fuzz_files.zipped(files, links, int(rng.choice([0, 8]))) if kind == "zip" else \
            fuzz_files.tarred(files, links)
        content = fuzz_files.packed(content) if kind == "tar.gz" else content
        path.write_bytes(broken(rng, content, content[::-1]) if harm == "archive" else content)
    try:
        splits = data.load(str(path)).sized(5, 6)
        parts = {split: (getattr(splits, split), getattr(splits, split).images.take(slice(None)))
                 for split in ("train", "validation", "test")}
    except DataError as error:
        return unexpected(whole, error) or named(error, "broken-set", name)
    total = 0
    for split, (part, pixels) in parts.items():
        total += len(pixels)
        if pixels.dtype != np.uint8 or pixels.shape != (len(part.labels), 5, 6, splits.channels):
            return f"{split}: {len(part.labels)} labels and {pixels.dtype} {pixels.shape}"
        if len(part) and not 0 <= part.labels.min() <= part.labels.max() < len(splits.class_names):
            return f"{split}: labels outside {splits.class_names}"
        # Every image is one of those in the set, unless it is the one that was broken: PNG has checksums of its own.
        strangers = 0 if splits.channels == 1 else sum(
            not any(np.abs(image - right.astype(int)).max() <= NEAR for right in PIXELS.values())
            for image in pixels)
        if strangers > (harm == "file"):
            return f"{split}: {strangers} images that are not in the set"
    if whole and (total, splits.class_names) != (len(DATASET), ["cat", "dog"]):
        return f"{total} images of {splits.class_names}"
    if total > len(DATASET):
        return f"{total} images of {len(DATASET)} files"


def write_folder(root, files, links, empty):
    """False where this system cannot have such files. Nothing is written outside of root."""
    try:
        for name, content in files.items():
            path = root / name
            if ".." in Path(name).parts or not path.is_relative_to(root) or path == root:
                return False
            path.parent.mkdir(parents=True, exist_ok=True)
            if name in links:
                path.symlink_to(root)
            else:
                path.write_bytes(b"" if name == empty else content)
    except (OSError, ValueError):
        return False
    return True


CASES = {"idx": idx_case, "checkpoint": checkpoint_case, "image": image_case, "dataset": dataset_case,
         "weights": weights_case}
WHOLE = 1 / 40      # so many are left as they are


def kind_of(number):
    return ("idx", "image", "checkpoint", "weights", "image", "dataset")[number % 6]


def run(seed, number, box):
    """None, or what is wrong with case `number`."""
    rng = np.random.Generator(np.random.Philox(key=[seed, number]))
    try:
        return CASES[kind_of(number)](rng, box, bool(rng.random() < WHOLE))
    except Exception as error:
        return f"{type(error).__name__}: {' '.join(str(error).split())[:500]}"
