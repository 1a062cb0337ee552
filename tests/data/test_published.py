"""Fashion-MNIST and CIFAR-10: looked for as MNIST is, checked as far as checksums are known, no sample instead."""

import gzip
import hashlib
import io
import os
import tarfile
from pathlib import Path

import numpy as np
import pytest

from scratchnet.data import DataError, cifar10, fashion_mnist, load
from scratchnet.data.cifar10 import BATCHES, BatchesFile, load_cifar10
from scratchnet.data.fashion_mnist import load_fashion_mnist
from scratchnet.data.idx_sets import IdxFile


def md5(content):
    return hashlib.md5(content).hexdigest()


class Fashion:
    """The small MNIST under the rules of Fashion-MNIST: what is known is the md5 of the packed files."""

    def __init__(self, small):
        self.small, self.raw, self.packed = small, small.raw, small.gz
        self.files = [IdxFile(file.name, file.shape, packed_md5=md5(small.gz[f"{file.name}.gz"]))
                      for file in small.files]

    def load(self, *args, **options):
        return load_fashion_mnist(*args, files=self.files, not_these=[], **options)

    def check(self, splits):
        assert splits.name == "fashion-mnist" and splits.class_names[9] == "Ankle boot"
        np.testing.assert_array_equal(splits.train.images[..., 0], self.small.arrays["train-images-idx3-ubyte"])
        np.testing.assert_array_equal(splits.test.labels, self.small.arrays["t10k-labels-idx1-ubyte"])


class Cifar:
    """An archive of six files of 7 records each; record i has the label i and three planes that can be told."""

    records = 7

    def __init__(self, labels=range(7), members=BATCHES):
        self.raw, self.images = {}, []
        for batch in members:
            rng = np.random.default_rng(len(self.raw))
            planes = rng.integers(0, 256, (7, 3, 32, 32)).astype(np.uint8)
            self.images.append(planes)
            self.raw[batch] = b"".join(bytes([label]) + plane.tobytes() for label, plane in zip(labels, planes))
        content = io.BytesIO()
        with tarfile.open(fileobj=content, mode="w:gz") as archive:
            for batch, values in {**self.raw, "readme.html": b"hello"}.items():
                member = tarfile.TarInfo(f"cifar-10-batches-bin/{batch}")
                member.size = len(values)
                archive.addfile(member, io.BytesIO(values))
        self.content = content.getvalue()
        self.packed = {"cifar-10-binary.tar.gz": self.content}
        self.file = BatchesFile(len(self.content), hashlib.sha256(self.content).hexdigest(), 7)

    def load(self, *args, **options):
        return load_cifar10(*args, file=self.file, **options)

    def check(self, splits):
        assert splits.name == "cifar10" and splits.class_names[0] == "airplane" and len(splits.class_names) == 10
        assert splits.train.images.shape == (35, 32, 32, 3) and splits.train.images.flags.c_contiguous
        assert splits.train.labels.tolist() == list(range(7)) * 5 and splits.test.labels.tolist() == list(range(7))
        for place, batch, i in ((0, 0, 0), (34, 4, 6)):
            for channel in range(3):    # red, green, blue planes one after the other
                plane = splits.train.images[place, ..., channel]
                np.testing.assert_array_equal(plane, self.images[batch][i, channel])
        np.testing.assert_array_equal(splits.test.images[3, ..., 1], self.images[5][3, 1])


@pytest.fixture(params=["fashion-mnist", "cifar10"])
def dataset(request, small):
    return Fashion(small) if request.param == "fashion-mnist" else Cifar()


def write(folder, contents):
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    return folder


def test_a_download_is_kept_and_read_from_the_cache_the_next_time(tmp_path, dataset, mirror):
    server = mirror(dataset.packed)
    splits = dataset.load(cache=tmp_path / "cache", mirrors=[server.url])
    dataset.check(splits)
    assert splits.notes == [] and server.url.rstrip("/") in splits.source
    assert sorted(os.listdir(tmp_path / "cache")) == sorted(dataset.packed)
    again = dataset.load(cache=tmp_path / "cache", mirrors=())
    dataset.check(again)
    assert again.checksum == splits.checksum and len(server.asked) == len(dataset.packed)


def test_a_bad_mirror_is_followed_by_the_next(tmp_path, dataset, mirror):
    name = next(iter(dataset.packed))
    changed = bytearray(dataset.packed[name])
    changed[len(changed) // 2] ^= 1
    for bad in (404, bytes(changed), dataset.packed[name][:-10], dataset.packed[name] + b"x", b"<html>"):
        splits = dataset.load(cache=tmp_path / str(len(os.listdir(tmp_path))),
                              mirrors=[mirror({name: bad}).url, mirror(dataset.packed).url])
        dataset.check(splits)


def test_a_damaged_cache_is_not_used_and_said(tmp_path, dataset, mirror):
    cache = write(tmp_path, {name: content[:-5] for name, content in dataset.packed.items()})
    splits = dataset.load(cache=cache, mirrors=[mirror(dataset.packed).url])
    dataset.check(splits)
    assert "the cache holds a bad file" in splits.notes[0]


def test_without_a_mirror_it_says_what_was_tried_and_what_to_do(tmp_path, dataset, mirror):
    server = mirror({})
    with pytest.raises(DataError) as caught:
        dataset.load(cache=tmp_path, mirrors=[server.url])
    words = str(caught.value)
    assert server.url in words and "404" in words and "\n" not in words
    assert "--data-dir" in words and "$SCRATCHNET_DATA" in words and next(iter(dataset.packed)) in words


PLACES = {"fashion-mnist": ["FashionMNIST/raw", "fashion-mnist", "."], "cifar10": [".", "cifar10"]}


@pytest.mark.parametrize("form", ["packed", "raw"])
def test_a_named_folder_is_read_in_each_layout(tmp_path, dataset, mirror, form):
    for place in PLACES["cifar10" if isinstance(dataset, Cifar) else "fashion-mnist"]:
        folder = tmp_path / place.replace("/", "-")
        write(folder / place, getattr(dataset, form))
        splits = dataset.load(folder, mirrors=())
        dataset.check(splits)
        # nobody published checksums of the unpacked files
        assert bool(splits.notes) == (form == "raw") and all("could only be checked" in n for n in splits.notes)


def test_a_named_folder_must_have_it(tmp_path, dataset, mirror):
    server = mirror(dataset.packed)
    with pytest.raises(DataError, match="data folder '.*': expected .* in it or in its .*, got none of them"):
        dataset.load(tmp_path, cache=tmp_path / "cache", mirrors=[server.url])
    with pytest.raises(DataError, match="data folder .*nowhere': expected a folder with .*, got none; correct"):
        dataset.load(tmp_path / "nowhere", mirrors=[server.url])
    assert server.asked == []


def test_the_environment_names_a_folder(tmp_path, dataset, monkeypatch):
    monkeypatch.setenv("SCRATCHNET_DATA", str(write(tmp_path, dataset.packed)))
    dataset.check(dataset.load())


def test_changed_files_in_a_named_folder_are_an_error(tmp_path, dataset):
    name = next(iter(dataset.packed))
    changed = bytearray(dataset.packed[name])
    changed[-1] ^= 1
    with pytest.raises(DataError, match=f"{name}: expected .*(md5|sha256) .*got .*; this is another"):
        dataset.load(write(tmp_path, {**dataset.packed, name: bytes(changed)}))


def test_an_unpacked_cifar_folder_is_found_under_its_own_name(tmp_path):
    cifar = Cifar()
    write(tmp_path / "cifar-10-batches-bin", cifar.raw)
    cifar.check(cifar.load(tmp_path))
    (tmp_path / "cifar-10-batches-bin" / "data_batch_4.bin").unlink()
    with pytest.raises(DataError, match="data_batch_4.bin: expected six files"):
        cifar.load(tmp_path)


@pytest.mark.parametrize("change, message", [
    (lambda raw: raw[:-1], "21511 bytes, 7 records of 3073, got 21510; "),
    (lambda raw: raw + b"x", "got more; "),
    (lambda raw: b"", "got 0; "),
    (lambda raw: b"\x0a" + raw[1:], "labels from 0 to 9, got 10; "),
    (lambda raw: raw[:3 * 3073] + b"\xff" + raw[3 * 3073 + 1:], "got 255; "),
], ids=["truncated", "oversized", "empty", "label 10", "label 255"])
def test_a_bad_cifar_file_is_named(tmp_path, change, message):
    cifar = Cifar()
    write(tmp_path, {**cifar.raw, "data_batch_2.bin": change(cifar.raw["data_batch_2.bin"])})
    with pytest.raises(DataError, match=f"data_batch_2.bin: expected .*{message}"):
        cifar.load(tmp_path)


def test_a_label_without_a_class_is_an_error(tmp_path, small):
    fashion = Fashion(small)
    raw = bytearray(fashion.raw["t10k-labels-idx1-ubyte"])
    raw[-1] = 10
    with pytest.raises(DataError, match="fashion-mnist: expected test labels from 0 to 9, got 10; "):
        fashion.load(write(tmp_path, {**fashion.raw, "t10k-labels-idx1-ubyte": bytes(raw)}))


def test_mnist_files_are_not_taken_for_fashion_mnist(tmp_path, small):
    fashion = Fashion(small)
    write(tmp_path, fashion.raw)
    with pytest.raises(DataError, match="expected its own train-images-idx3-ubyte in folder .*got MNIST's; put"):
        load_fashion_mnist(tmp_path, files=fashion.files, not_these=small.files)


def test_swapped_fashion_files_are_an_error(tmp_path, small):
    fashion = Fashion(small)
    raw = dict(fashion.raw)
    raw["train-images-idx3-ubyte"] = fashion.raw["t10k-images-idx3-ubyte"]
    with pytest.raises(DataError, match="expected images .*got shape"):
        fashion.load(write(tmp_path, raw))


def test_a_packed_fashion_bomb_is_refused_by_its_checksum(tmp_path, small):
    fashion = Fashion(small)
    name = "train-images-idx3-ubyte.gz"
    bomb = gzip.compress(fashion.raw[name[:-3]] + bytes(9_000_000))
    with pytest.raises(DataError, match=f"{name}: expected md5"):
        fashion.load(write(tmp_path, {**fashion.packed, name: bomb}))


def test_mirrors_and_checksums_are_the_published_ones():
    assert [file.packed_md5[:8] for file in fashion_mnist.FILES] == ["8d4fb7e6", "25c81989", "bef4ecab", "bb300cfd"]
    assert fashion_mnist.MIRRORS[1] == ("https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/"
                                        "data/fashion/")
    assert cifar10.FILE.size == 170052171 and cifar10.FILE.sha256.startswith("c4a38c50a1bc5f3a")
    assert cifar10.MIRRORS[0] == "https://www.cs.toronto.edu/~kriz/"
    assert cifar10.FILE.remote == "cifar-10-binary.tar.gz"
    assert len(fashion_mnist.CLASS_NAMES) == len(cifar10.CLASS_NAMES) == 10


@pytest.mark.parametrize("name", ["fashion-mnist", "cifar10"])
def test_load_knows_the_names(tmp_path, name):
    with pytest.raises(DataError, match="nowhere"):
        load(name, tmp_path / "nowhere")


@pytest.mark.parametrize("name, train, shape", [("fashion-mnist", 60000, (28, 28, 1)),
                                                ("cifar10", 50000, (32, 32, 3))])
def test_the_real_ones_where_there_are_any(named_folder, name, train, shape):
    if not named_folder or not Path(named_folder).is_dir():
        pytest.skip("$SCRATCHNET_DATA names no folder")
    try:
        splits = load(name, named_folder)
    except DataError as error:
        pytest.skip(str(error))
    assert splits.train.images.shape == (train, *shape)
    assert np.bincount(splits.test.labels).tolist() == [1000] * 10
