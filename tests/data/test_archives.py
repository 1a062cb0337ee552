"""Images of one's own in archives: the same as in the folder, nothing extracted, nothing that might do harm."""

import gzip
import io
import os
import struct
import tarfile
import tracemalloc
import zipfile

import numpy as np
import pytest
from picture_folder import FULL, PLAIN, picture, pictures, tarred, write, zipped

from scratchnet.data import Batches, DataError, archives, load

KINDS = {"zip": zipped, "tar": tarred, "tar.gz": lambda *a, **k: tarred(*a, mode="w:gz", **k),
         "tgz": lambda *a, **k: tarred(*a, mode="w:gz", **k)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("around", ["", "pets/", "./"])
@pytest.mark.parametrize("files", [FULL, PLAIN], ids=["full", "plain"])
def test_an_archive_is_as_good_as_the_folder(tmp_path, kind, around, files):
    splits = load(KINDS[kind](tmp_path / f"pets.{kind}", files, around))
    (tmp_path / "other").mkdir()
    folder = load(write(tmp_path / "other" / "pets", files))
    assert (splits.name, splits.files, splits.checksum) == ("pets", folder.files, folder.checksum)
    a, b = (next(iter(Batches(s.train.images, s.train.labels, 50, workers=3).epoch(0)))
            for s in (splits.sized(7, 6), folder.sized(7, 6)))
    np.testing.assert_array_equal(a[0], b[0])
    np.testing.assert_array_equal(a[1], b[1])
    assert sorted(os.listdir(tmp_path)) == sorted([f"pets.{kind}", "other"])  # nothing was extracted


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_hidden_members_are_left_out_and_an_empty_class_is_named(tmp_path, kind):
    path = KINDS[kind](tmp_path / "pets", {**PLAIN, "__MACOSX/cat/._0.png": b"x", "cat/.DS_Store": b"x"})
    splits = load(path)
    assert sorted(sum(splits.files.values(), [])) == sorted(PLAIN)
    assert any("hidden files left out" in note for note in splits.notes)


def test_an_empty_class_in_an_archive_is_named(tmp_path):
    with zipfile.ZipFile(zipped(tmp_path / "a.zip", PLAIN), "a") as archive:
        archive.mkdir("cow") if hasattr(archive, "mkdir") else archive.writestr("cow/", b"")
    member = tarfile.TarInfo("cow")
    member.type = tarfile.DIRTYPE
    with tarfile.open(tarred(tmp_path / "a.tar", PLAIN), "a") as archive:
        archive.addfile(member)
    for name in ("a.zip", "a.tar"):
        with pytest.raises(DataError, match="got none in cow"):
            load(tmp_path / name)


NAMES = ["../evil.png", "cat/../../evil.png", "/etc/evil.png", "C:/evil.png", "c:evil.png", "cat/..", "..\\evil.png",
         "\\\\server\\evil.png"]


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_leads_out_of_the_archive_is_refused(tmp_path, kind, name):
    path = KINDS[kind](tmp_path / f"pets.{kind}", {**PLAIN, name: picture("evil")})
    with pytest.raises(DataError, match=rf"pets\.{kind}: expected plain files .* a name that leads out of it: '.*evil"
                       if "evil" in name else "a name that leads out of it: 'cat/..'"):
        load(path)
    assert os.listdir(tmp_path) == [f"pets.{kind}"]


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, kind, mode):
    with tarfile.open(tmp_path / "a.tar", mode) as archive:
        member = tarfile.TarInfo("cat/link.png")
        member.type, member.linkname = kind, "/etc/passwd"
        archive.addfile(member)
    with pytest.raises(DataError, match="got a link or a special file: 'cat/link.png'; "):
        load(tmp_path / "a.tar")


def test_links_in_a_zip_are_refused(tmp_path):
    link = zipfile.ZipInfo("cat/link.png")
    link.create_system, link.external_attr = 3, 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match="got a link or a special file: 'cat/link.png'; "):
        load(tmp_path / "a.zip")


def test_an_encrypted_zip_is_named(tmp_path):
    content = bytearray(zipped(tmp_path / "a.zip", PLAIN).read_bytes())
    place = 0
    while (place := content.find(b"PK\1\2", place)) >= 0:   # in each entry of the directory: flag bit 0
        content[place + 8] |= 1
        place += 4
    (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(DataError, match="a.zip: .* got an encrypted one: 'cat/0.png'; store it without a password"):
        load(tmp_path / "a.zip")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_two_members_of_one_name_are_refused(tmp_path, kind):
    path = KINDS[kind](tmp_path / "a", {**PLAIN, "./cat/0.png": picture("other")})
    with pytest.raises(DataError, match="got two of this name: 'cat/0.png'"):
        load(path)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_a_member_that_says_it_is_too_large_is_not_read(tmp_path, kind, monkeypatch):
    monkeypatch.setattr(archives, "MOST_BYTES", 99_999)
    bomb = bytes(100_000)
    path = KINDS[kind](tmp_path / "a", {**PLAIN, "cat/bomb.png": bomb})
    with pytest.raises(DataError, match="got one of 100,000 bytes: 'cat/bomb.png'; leave out"):
        load(path)


def test_a_zip_member_that_is_larger_than_it_says_is_not_unpacked(tmp_path):
    content = bytearray(zipped(tmp_path / "a.zip", {**PLAIN, "cat/bomb.png": bytes(50_000_000)}).read_bytes())
    place = content.rfind(b"PK\1\2")
    content[place + 24:place + 28] = struct.pack("<I", 1000)     # its size, unpacked, in the directory
    (tmp_path / "a.zip").write_bytes(content)
    tracemalloc.start()
    with pytest.raises(DataError, match="cat/bomb.png: expected a whole archive, got one that is damaged"):
        load(tmp_path / "a.zip")
    assert tracemalloc.get_traced_memory()[1] < 10_000_000
    tracemalloc.stop()


def test_a_compressed_tar_that_unpacks_to_too_much_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(archives, "MOST_UNPACKED", 1_000_000)
    one = pictures({"cat": 4, "dog": 4})
    load(KINDS["tar.gz"](tmp_path / "good.tar.gz", one))
    path = KINDS["tar.gz"](tmp_path / "a.tar.gz", {**one, ".hidden": bytes(3_000_000)})
    with pytest.raises(DataError, match="a.tar.gz: expected at most 1,000,000 bytes in a compressed tar.* got more"):
        load(path)
    # a header that wants more memory than there should be: 2 GB of extended attributes
    header = tarfile.TarInfo("x")
    header.type, header.size = tarfile.XHDTYPE, 2_000_000_000
    (tmp_path / "b.tar.gz").write_bytes(gzip.compress(header.tobuf(tarfile.PAX_FORMAT) + bytes(2_000_000)))
    with pytest.raises(DataError, match="b.tar.gz: expected at most 1,000,000 bytes"):
        load(tmp_path / "b.tar.gz")


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize("share", [0.02, 0.5, 0.95])
def test_a_truncated_archive_is_named(tmp_path, kind, share):
    path = KINDS[kind](tmp_path / f"pets.{kind}", PLAIN)
    content = path.read_bytes()
    path.write_bytes(content[:int(len(content.rstrip(b"\0")) * share)])   # a tar ends with many zeros
    with pytest.raises(DataError, match=rf"pets\.{kind}: expected .*; "):
        load(path).sized(4, 4)


@pytest.mark.parametrize("mode", ["w", "w:gz"])
def test_a_tar_that_is_cut_between_two_members_or_damaged_there_is_not_a_smaller_dataset(tmp_path, mode):
    with tarfile.open(tarred(tmp_path / "whole.tar", PLAIN)) as archive:
        place = archive.getmember("dog/20.png").offset
    content = (tmp_path / "whole.tar").read_bytes()
    damaged = content[:place + 10] + b"x" + content[place + 11:]
    for name, content in (("cut.tar", content[:place]), ("cut.tar", content[:place + 100]), ("cut.tar", damaged)):
        (tmp_path / name).write_bytes(gzip.compress(content) if mode == "w:gz" else content)
        with pytest.raises(DataError, match=r"cut.tar: expected a whole archive, .*\(no end after 40 files\)"):
            load(tmp_path / name)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_a_changed_archive_is_an_error_or_another_dataset_and_never_a_crash(tmp_path, kind):
    path = KINDS[kind](tmp_path / "pets", PLAIN)
    content, rng, refused = path.read_bytes(), np.random.default_rng(0), 0
    for _ in range(40):
        changed = bytearray(content)
        for place in rng.integers(0, len(content), 20):
            changed[place] = rng.integers(0, 256)
        path.write_bytes(changed)
        try:
            splits = load(path).sized(4, 4)
            list(Batches(splits.train.images, splits.train.labels, 8).epoch(0))
        except DataError as error:
            refused += 1
            assert "expected" in str(error) and "\n" not in str(error)
    assert refused > 10


def test_a_zip_in_a_tar_is_a_tar(tmp_path):
    inner = zipped(tmp_path / "inner.zip", PLAIN).read_bytes()
    path = tarred(tmp_path / "a.tar", {**PLAIN, "dog/inner.bin": inner})
    with pytest.raises(DataError, match="a/dog/inner.bin: expected an image"):
        load(path)


def test_bytes_that_are_no_archive_are_refused(tmp_path):
    for content in (b"", b"PK", gzip.compress(b"hello"), b"7z\xbc\xaf\x27\x1c", io.BytesIO(b"x" * 600).getvalue()):
        (tmp_path / "a.zip").write_bytes(content)
        with pytest.raises(DataError, match="a.zip: expected a folder of images, or a .zip, .tar or .tar.gz of one"):
            load(tmp_path / "a.zip")
