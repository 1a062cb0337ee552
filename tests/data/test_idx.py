"""IDX files are read strictly."""

import gzip
import hashlib
import struct

import numpy as np
import pytest

from scratchnet.data.idx import DataError, idx_size, read_idx


def idx(array):
    """The raw IDX file of a uint8 array."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


IMAGES = np.arange(5 * 4 * 3, dtype=np.uint8).reshape(5, 4, 3)
LABELS = np.arange(5, dtype=np.uint8)


@pytest.mark.parametrize("pack", [bytes, gzip.compress], ids=["raw", "gzip"])
def test_a_good_file_gives_its_values(tmp_path, pack):
    (tmp_path / "images").write_bytes(pack(idx(IMAGES)))
    np.testing.assert_array_equal(read_idx(tmp_path / "images", (5, 4, 3)), IMAGES)
    np.testing.assert_array_equal(read_idx(pack(idx(LABELS)), (5,)), LABELS)


def test_the_size_counts_the_header():
    assert idx_size((5, 4, 3)) == len(idx(IMAGES))
    assert idx_size((60000, 28, 28)) == 47040016  # MNIST's training images, from the page that describes them


BAD = {
    "empty": (b"", "not IDX"),
    "a web page": (b"<html>not found</html>", "not IDX.*<html>"),
    "no such type": (b"\0\0\7\3" + idx(IMAGES)[4:], "not IDX"),
    "float values": (b"\0\0\x0d\3" + idx(IMAGES)[4:], "got float32 values"),
    "labels": (idx(LABELS), "images .*got labels"),
    "other shape": (idx(IMAGES.reshape(5, 3, 4)), r"got shape \(5, 3, 4\)"),
    "header cut short": (idx(IMAGES)[:9], "9 bytes in all"),
    "cut short": (idx(IMAGES)[:-1], "76 bytes .*got 75"),
    "too long": (idx(IMAGES) + b"\0", "76 bytes .*got more"),
    "gzip cut short": (gzip.compress(idx(IMAGES))[:-9], "damaged or cut short"),
    "gzip without its checksum": (gzip.compress(idx(IMAGES))[:-8], "damaged or cut short"),
    "gzip with rubbish behind": (gzip.compress(idx(IMAGES)) + b"rubbish", "damaged or cut short"),
    "gzip with a wrong byte": (gzip.compress(idx(IMAGES))[:-8] + b"12345678", "damaged or cut short"),
    "gzip of a short file": (gzip.compress(idx(IMAGES)[:-1]), "got 75"),
    "gzip twice": (gzip.compress(gzip.compress(idx(IMAGES))), "not IDX"),
}


@pytest.mark.parametrize("kind", BAD)
@pytest.mark.parametrize("given", ["path", "bytes"])
def test_a_bad_file_is_refused_by_name(tmp_path, kind, given):
    content, message = BAD[kind]
    (tmp_path / "the-file").write_bytes(content)
    with pytest.raises(DataError, match=f"(?s)the-file: expected .*{message}.*; "):
        if given == "path":
            read_idx(tmp_path / "the-file", (5, 4, 3))
        else:
            read_idx(content, (5, 4, 3), name="the-file")


def test_images_where_labels_are_expected_are_refused():
    with pytest.raises(ValueError, match="expected labels .*got images"):
        read_idx(idx(IMAGES), (5,))


def test_other_values_of_the_same_shape_fail_the_checksum():
    sha256 = hashlib.sha256(idx(IMAGES)).hexdigest()
    read_idx(gzip.compress(idx(IMAGES)), (5, 4, 3), sha256)
    with pytest.raises(DataError, match=f"expected sha256 {sha256}.*got "):
        read_idx(gzip.compress(idx(IMAGES[::-1])), (5, 4, 3), sha256)


def test_a_bomb_is_unpacked_no_further_than_one_byte_too_far(monkeypatch):
    asked = []
    read = gzip.GzipFile.read
    monkeypatch.setattr(gzip.GzipFile, "read", lambda self, size=-1: asked.append(size) or read(self, size))
    with pytest.raises(DataError, match="got more"):
        read_idx(gzip.compress(idx(IMAGES) + bytes(10_000_000)), (5, 4, 3))
    assert asked == [77]
