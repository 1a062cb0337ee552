"""Where MNIST is looked for, and the names of datasets. What mirrors may do is in test_download.py."""

from pathlib import Path

import numpy as np
import pytest

from scratchnet.data import DataError, load, names
from scratchnet.data.mnist import FILES, MIRRORS, load_mnist

TRAIN = "train-images-idx3-ubyte"


@pytest.mark.parametrize("place", [".", "MNIST/raw"])
@pytest.mark.parametrize("kind", ["raw", "gz"])
def test_a_named_folder_is_read_in_each_layout(tmp_path, small, place, kind):
    small.write(tmp_path / place, getattr(small, kind))
    splits = load_mnist(tmp_path, mirrors=(), files=small.files)
    small.check(splits)
    assert str(tmp_path) in splits.source and splits.notes == []


def test_the_same_data_has_the_same_checksum_wherever_it_lay(tmp_path, small):
    small.write(tmp_path / "a", small.raw)
    small.write(tmp_path / "b" / "MNIST" / "raw", small.gz)
    first = load_mnist(tmp_path / "a", files=small.files)
    assert first.checksum == load_mnist(tmp_path / "b", files=small.files).checksum
    assert len(first.checksum) == 64


def test_the_environment_names_a_folder_and_the_argument_wins(tmp_path, small, monkeypatch):
    monkeypatch.setenv("SCRATCHNET_DATA", str(small.write(tmp_path / "good", small.raw)))
    small.check(load_mnist(files=small.files))
    with pytest.raises(DataError, match="nowhere"):
        load_mnist(tmp_path / "nowhere", files=small.files)


@pytest.mark.parametrize("name", ["nowhere", ""])
def test_a_named_folder_that_is_missing_is_an_error_and_nothing_else_is_tried(tmp_path, small, mirror, name):
    server, cache = mirror(small.gz), small.write(tmp_path / "cache", small.gz)
    with pytest.raises(DataError, match=f"data folder '.*{name}': expected a folder .*got none; "):
        load_mnist(name and tmp_path / name, cache=cache, mirrors=[server.url], files=small.files)
    assert server.asked == []


def test_a_named_folder_without_one_of_the_files_is_an_error(tmp_path, small):
    small.write(tmp_path, small.gz)
    (tmp_path / "t10k-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(DataError, match="expected t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz"):
        load_mnist(tmp_path, files=small.files)


def test_a_changed_file_in_a_named_folder_is_an_error(tmp_path, small):
    changed = bytearray(small.raw[TRAIN])
    changed[-1] ^= 1
    small.write(tmp_path, {**small.raw, TRAIN: bytes(changed)})
    with pytest.raises(DataError, match=f"{TRAIN}: expected sha256 {small.files[0].sha256}"):
        load_mnist(tmp_path, files=small.files)


def test_a_directory_with_the_name_of_a_file_is_not_that_file(tmp_path, small):
    small.write(tmp_path, small.gz)
    (tmp_path / TRAIN).mkdir()
    small.check(load_mnist(tmp_path, files=small.files))


def test_an_unknown_dataset_is_answered_with_the_nearest_name():
    with pytest.raises(ValueError, match="'minst'.*did you mean 'mnist'"):
        load("minst")
    with pytest.raises(ValueError, match="expected one of mnist, mnist-sample"):
        load("imagenet")
    assert names() == ["mnist", "mnist-sample", "fashion-mnist", "cifar10"]


def test_load_hands_the_folder_on(tmp_path):
    with pytest.raises(DataError, match="nowhere"):
        load("mnist", tmp_path / "nowhere")


def test_the_mirrors_and_checksums_are_those_of_the_design():
    assert MIRRORS == ("https://ossci-datasets.s3.amazonaws.com/mnist/",
                       "https://storage.googleapis.com/cvdf-datasets/mnist/")
    assert [file.sha256[:8] for file in FILES] == ["ba891046", "65a50cbb", "0fa7898d", "ff7bcfd4"]


def test_the_real_mnist_where_there_is_one(named_folder):
    if not named_folder or not Path(named_folder).is_dir():
        pytest.skip("$SCRATCHNET_DATA names no folder with MNIST")
    splits = load("mnist", named_folder)
    assert splits.train.images.shape == (60000, 28, 28, 1) and splits.test.images.shape == (10000, 28, 28, 1)
    assert np.bincount(splits.test.labels).tolist() == [980, 1135, 1032, 1010, 982, 892, 958, 1028, 974, 1009]
    assert splits.checksum == "81b5b7068b487449d7b931d1a017285f103d3a0a4db56f3de6ac0bd9b268bdb3"
    # mean and std are rounded to 4 digits
    np.testing.assert_allclose((splits.train.images / 255).mean(), splits.mean[0], atol=5e-5)
    np.testing.assert_allclose((splits.train.images / 255).std(), splits.std[0], atol=5e-5)
