"""Fashion-MNIST: 70,000 grey pictures of clothes in MNIST's format.  Xiao, Rasul & Vollgraf 2017,
arXiv 1708.07747."""

import hashlib
import struct

from scratchnet.data.idx import DataError
from scratchnet.data.idx_sets import IdxFile, make_splits
from scratchnet.data.mnist import FILES as MNIST_FILES
from scratchnet.data.published import NotFound, not_found, obtain

# In the order of MNIST's; the checksums are those of https://github.com/zalandoresearch/fashion-mnist.
FILES = (
    IdxFile("train-images-idx3-ubyte", (60000, 28, 28), packed_md5="8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
    IdxFile("train-labels-idx1-ubyte", (60000,), packed_md5="25c81989df183df01b3e8a0aad5dffbe"),
    IdxFile("t10k-images-idx3-ubyte", (10000, 28, 28), packed_md5="bef4ecab320f06d8554ea6380940ec79"),
    IdxFile("t10k-labels-idx1-ubyte", (10000,), packed_md5="bb300cfdad3c16e7a12a480ee83cd310"),
)
MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
)
CLASS_NAMES = ("T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
               "Ankle boot")
# The files have the names of MNIST's, so a folder of its own comes first; the first is torchvision's.
PLACES = ("FashionMNIST/raw", "fashion-mnist", ".")


def load_fashion_mnist(data_dir=None, cache=None, mirrors=MIRRORS, patience=20.0, files=FILES,
                       not_these=MNIST_FILES):
    """Fashion-MNIST as Splits. DataError where it cannot be had, with what was tried.

    As for load_mnist; unpacked files, whose checksum nobody published, are taken from a named folder unless
    they are `not_these`, MNIST's.
    """
    notes = []
    try:
        arrays, source = obtain("fashion-mnist", files, data_dir, cache, mirrors, patience, PLACES, notes)
    except NotFound:
        raise not_found("fashion-mnist", [file.remote for file in files], notes) from None
    for array, file in zip(arrays, not_these):
        header = bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape)
        if hashlib.sha256(header + array.tobytes()).hexdigest() == file.sha256:
            raise DataError(f"fashion-mnist: expected its own {file.name} in {source}, got MNIST's; put "
                            f"Fashion-MNIST's files into its {PLACES[1]}")
    return make_splits("fashion-mnist", arrays, CLASS_NAMES, source, notes)
