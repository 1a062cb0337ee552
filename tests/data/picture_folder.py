"""A small dataset of generated images, as a folder and as archives, for the tests beside this file."""

import io
import tarfile
import zipfile
import zlib

import numpy as np
from PIL import Image


def picture(name, kind="PNG", size=(12, 10), mode="RGB"):
    """An image file that depends on the name."""
    rng = np.random.default_rng(zlib.crc32(name.encode("utf-8", "surrogateescape")))
    content = io.BytesIO()
    shape = (size[1], size[0], 3)
    Image.fromarray(rng.integers(0, 256, shape).astype(np.uint8)).convert(mode).save(content, kind)
    return content.getvalue()


def pictures(layout, **options):
    """{name: content} of {folder: how many}."""
    return {f"{folder}/{i}.png": picture(f"{folder}/{i}", **options)
            for folder, n in layout.items() for i in range(n)}


FULL = pictures({"train/cat": 6, "train/dog": 5, "val/cat": 2, "val/dog": 2, "test/cat": 3, "test/dog": 2})
PLAIN = pictures({"cat": 20, "dog": 30})


def write(root, files):
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(content)
    return root


def zipped(path, files, folder=""):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(folder + name, content)
    return path


def tarred(path, files, folder="", mode="w"):
    with tarfile.open(path, mode) as archive:
        for name, content in files.items():
            member = tarfile.TarInfo(folder + name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return path
