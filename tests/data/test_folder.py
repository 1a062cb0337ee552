"""Images of one's own in folders: splits and classes as they lie there, everything odd named."""

import os
import socket
from hashlib import sha256

import numpy as np
import pytest
from picture_folder import FULL, PLAIN, picture, pictures, write
from PIL import Image

from scratchnet.data import Batches, DataError, is_path, load
from scratchnet.data import folder as folder_module
from scratchnet.data.folder import load_folder
from scratchnet.data.images import read_pixels


def refused(root, message):
    with pytest.raises(DataError, match=message) as caught:
        load_folder(root, 0.1).sized(8, 8)
    assert "\n" not in str(caught.value) and "; " in str(caught.value)


def test_splits_and_classes_are_as_they_lie_there(tmp_path):
    splits = load(write(tmp_path / "pets", FULL))
    assert (splits.name, splits.class_names, splits.notes) == ("pets", ["cat", "dog"], [])
    assert (len(splits.train), len(splits.validation), len(splits.test)) == (11, 4, 5)
    assert splits.train.labels.tolist() == [0] * 6 + [1] * 5 and splits.test.labels.tolist() == [0] * 3 + [1] * 2
    assert splits.files["validation"] == ["val/cat/0.png", "val/cat/1.png", "val/dog/0.png", "val/dog/1.png"]
    assert splits.image_shape is None and splits.channels == 3
    sized = splits.sized(6, 7)
    for split in ("train", "validation", "test"):
        part = getattr(sized, split)
        for image, name in zip(part.images.take(np.arange(len(part))), splits.files[split]):
            np.testing.assert_array_equal(image, read_pixels(FULL[name], name, (6, 7)))
    (x, y), = Batches(sized.test.images, sized.test.labels, 9, shuffle=False).epoch(0)
    assert x.shape == (5, 6, 7, 3) and y.tolist() == [0, 0, 0, 1, 1]


@pytest.mark.parametrize("spelling", ["val", "valid", "validation"])
def test_the_validation_folder_has_three_spellings(tmp_path, spelling):
    splits = load(write(tmp_path, {name.replace("val/", f"{spelling}/"): content for name, content in FULL.items()}))
    assert len(splits.validation) == 4 and splits.notes == []


def test_missing_splits_are_made_of_each_class_alike_and_said(tmp_path):
    splits = load(write(tmp_path / "pets", PLAIN), tmp_path / "elsewhere", validation_fraction=0.1)
    assert np.bincount(splits.test.labels).tolist() == [2, 3] == np.bincount(splits.validation.labels).tolist()
    assert np.bincount(splits.train.labels).tolist() == [16, 24]
    assert sorted(sum(splits.files.values(), [])) == sorted(PLAIN)
    assert "elsewhere was not looked at" in splits.notes[2]
    assert "has no test images: 5 of" in splits.notes[0] and "has no validation images: 5 of" in splits.notes[1]
    for split, part in (("test", slice(2)), ("validation", slice(2, 4))):
        by_hash = sorted((f"cat/{i}.png" for i in range(20)), key=lambda name: sha256(name.encode()).hexdigest())
        assert splits.files[split][:2] == sorted(by_hash[part])
    only_validation = {name: content for name, content in FULL.items() if not name.startswith("val")}
    splits = load(write(tmp_path / "two", only_validation), validation_fraction=0.2)
    assert len(splits.test) == 5 and np.bincount(splits.validation.labels).tolist() == [1, 1]
    assert all(name.startswith("train/") for name in splits.files["validation"]) and len(splits.notes) == 1


@pytest.mark.parametrize("there, chosen", [("train val test", "test"), ("train val", "val"), ("train", "train"),
                                           ("val", "val"), ("test", "test"), ("", "")])
def test_where_nothing_is_trained_all_images_that_are_not_set_aside_already_are_for_the_test(tmp_path, there, chosen):
    files = {name: content for name, content in FULL.items() if name.startswith(tuple(there.split()))} or PLAIN
    splits = load(write(tmp_path / "pets", files), validation_fraction=None)
    assert splits.files == {"train": [], "validation": [], "test": [name for name in sorted(files)
                                                                    if name.startswith(chosen)]}
    assert len(splits.sized(8, 8).test) == len(splits.files["test"]) and splits.notes == []
    assert splits.class_names == ["cat", "dog"] and set(splits.test.labels) == {0, 1}


def test_a_new_file_moves_few_others(tmp_path):
    before = load(write(tmp_path, PLAIN), validation_fraction=0.2).files
    (tmp_path / "cat" / "new.png").write_bytes(picture("new"))
    after = load(tmp_path, validation_fraction=0.2).files
    assert len(set(before["test"]) ^ set(after["test"]) - {"cat/new.png"}) <= 2     # at the most one leaves, one comes


def test_the_test_images_do_not_depend_on_the_validation_fraction(tmp_path):
    first, second = (load(write(tmp_path, PLAIN), validation_fraction=f) for f in (0.1, 0.3))
    assert first.files["test"] == second.files["test"] and first.checksum == second.checksum
    assert set(first.files["validation"]) < set(second.files["validation"])


def test_the_split_is_the_same_whatever_the_order_on_the_disk(tmp_path, monkeypatch):
    expected = load(write(tmp_path, PLAIN))
    list_folder = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: list_folder(path)[::-1])
    again = load(tmp_path)
    assert again.files == expected.files and again.checksum == expected.checksum


def test_the_checksum_sees_names_classes_and_contents(tmp_path, monkeypatch):
    write(tmp_path, FULL)
    first = load(tmp_path).checksum
    assert load(tmp_path).checksum == first and len(first) == 64
    for full in (True, False):
        monkeypatch.setattr(folder_module, "READ_IN_FULL", 1 << 30 if full else 0)
        first = load(tmp_path).checksum
        (tmp_path / "train/cat/0.png").write_bytes(picture("other"))
        changed = load(tmp_path).checksum
        (tmp_path / "train/cat/0.png").write_bytes(FULL["train/cat/0.png"])
        (tmp_path / "train/cat/0.png").rename(tmp_path / "train/cat/00.png")     # still the first
        renamed = load(tmp_path).checksum
        (tmp_path / "train/cat/00.png").rename(tmp_path / "train/cat/0.png")
        assert len({first, changed, renamed}) == 3 and load(tmp_path).checksum == first


def test_a_large_dataset_is_not_read_in_full_for_its_checksum(tmp_path, monkeypatch):
    write(tmp_path, {**PLAIN, "cat/large.bmp": picture("large", "BMP", (300, 300))})
    monkeypatch.setattr(folder_module, "READ_IN_FULL", 1000)
    asked = set()
    read = folder_module.read_header
    monkeypatch.setattr(folder_module, "read_header", lambda head, name: asked.add(len(head)) or read(head, name))
    load(tmp_path)
    assert max(asked) == folder_module.HEAD


def test_a_header_at_the_end_of_a_large_file_is_found(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_module, "READ_IN_FULL", 0)
    monkeypatch.setattr(folder_module, "HEAD", 64)
    files = {name: content for folder, kind in (("a", "TIFF"), ("b", "WEBP"), ("c", "PNG"), ("d", "JPEG"))
             for name, content in pictures({folder: 4}, kind=kind).items()}
    assert load(write(tmp_path, files)).channels == 3


def test_one_channel_if_all_are_grey_else_three(tmp_path):
    write(tmp_path, pictures({"a": 3, "b": 3}, mode="L"))
    splits = load(tmp_path).sized(4, 4)
    assert splits.image_shape == (4, 4, 1)
    write(tmp_path, {"b/colour.png": picture("colour")})
    assert load(tmp_path).sized(4, 4).image_shape == (4, 4, 3)


def test_hidden_files_are_left_out_and_text_beside_the_images_too(tmp_path):
    more = {"train/cat/.DS_Store": b"x", "train/dog/Thumbs.db": b"x", "__MACOSX/train/cat/0.png": b"x",
            ".git/config": b"x", "test/cat/desktop.ini": b"x", "train/.ipynb_checkpoints/1.png": b"x"}
    splits = load(write(tmp_path, {**FULL, **more, "README.txt": b"x", "train/cat/labels.csv": b"x"}))
    assert sorted(sum(splits.files.values(), [])) == sorted(FULL)
    assert any("hidden files left out" in note for note in splits.notes)
    assert any("2 text files beside the images left out, the first is README.txt" in note for note in splits.notes)


def test_folders_inside_a_class_belong_to_it(tmp_path):
    splits = load(write(tmp_path, {**pictures({"cat": 5, "dog/small": 3, "dog/large/old": 3})}))
    assert splits.class_names == ["cat", "dog"] and len(sum(splits.files.values(), [])) == 11


def test_a_folder_around_everything_is_looked_into(tmp_path):
    inner = load(write(tmp_path / "around" / "pets", PLAIN))
    outer = load(tmp_path / "around")
    assert outer.files == inner.files and outer.checksum == inner.checksum


BAD = {
    "an empty folder": ({}, "expected folders train, val, test, .* got none"),
    "images beside the classes": ({**FULL, "train/a.png": b""}, "got 1 file beside these folders.*train/a.png"),
    "images beside the splits": ({**PLAIN, "b.png": b"", "a.png": b""}, "got 2 files beside .*first is a.png"),
    "no train": (pictures({"val/a": 3, "test/a": 3}), "expected a folder train, got test, val"),
    "a split too many": ({**FULL, **pictures({"extra/cat": 1})}, "got also 'extra'"),
    "validation twice": ({**FULL, **pictures({"valid/cat": 1, "valid/dog": 1})}, "another spelling"),
    "a class that is only in test": ({**FULL, **pictures({"test/cow": 1})}, "'cow' is only in test"),
    "a class that is missing in val": ({name: content for name, content in FULL.items()
                                        if not name.startswith("val/dog")}, "'dog' is only in train"),
    "too few to split": (pictures({"cat": 10, "dog": 1}), "class 'dog' for train and test, got 1; add some"),
    "no images at all": ({**PLAIN, "cow/x.bin": b"hello", "cow/y.bin": b"", "cow/z.bin": b""},
                         "cow/x.bin: expected an image"),
    "several of another kind": ({**PLAIN, **{f"dog/{i}.bin": b"x" for i in range(3)}},
                                r"dog/0.bin: expected an image .*another kind of file.*\(and 2 more such files\)"),
    "no image although named so": ({**PLAIN, "cat/3.png": b"<html>"}, r"cat/3.png: expected an image \(PNG"),
    "an empty file": ({**PLAIN, "cat/3.png": b""}, "cat/3.png: expected an image"),
    "control characters": ({**PLAIN, **pictures({"c\x1b[31mow": 3})}, r"got 'c\\x1b\[31mow', with control"),
    "a line break": ({**PLAIN, **pictures({"c\now": 3})}, r"got 'c\\now', with control"),
    "not UTF-8": ({**PLAIN, **pictures({os.fsdecode(b"caf\xe9"): 3})}, r"got 'caf\\udce9', with control .* UTF-8"),
    "two spellings of an accent": (pictures({"caf\u00e9": 3, "cafe\u0301": 3}), "expected one folder of each name"),
}


@pytest.mark.parametrize("kind", BAD)
def test_what_is_not_where_it_should_be_is_named(tmp_path, kind):
    files, message = BAD[kind]
    (tmp_path / "pets").mkdir()
    try:
        write(tmp_path / "pets", files)
    except (OSError, UnicodeError) as error:  # Windows and macOS have no such names
        pytest.skip(f"this file system refuses it: {error}")
    refused(tmp_path / "pets", f"(?s)^pets.*{message}")


def test_a_single_class_is_nothing_to_tell_apart(tmp_path):
    write(tmp_path, pictures({"train/cat": 6, "test/cat": 3}))
    refused(tmp_path, "expected at least two classes to tell apart, got one, 'cat'")


def test_a_channel_that_never_changes_is_left_as_it_is(tmp_path):
    red = np.zeros((6, 6, 3), np.uint8)
    for index in range(12):
        red[..., 0] = 20 * index
        place = tmp_path / "red" / "ab"[index % 2]
        place.mkdir(parents=True, exist_ok=True)
        Image.fromarray(red).save(place / f"{index}.png")
    mean, std = load(tmp_path / "red").sized(6, 6).statistics()
    assert mean[1:] == (0, 0) and std[1:] == (1, 1) and std[0] > 0.1


def test_an_empty_class_is_named(tmp_path):
    (write(tmp_path / "pets", FULL) / "train" / "cow").mkdir()
    refused(tmp_path / "pets", "^pets: expected images in every class, got none in train/cow; ")


@pytest.mark.parametrize("split, when", [("test", "sized"), ("val", "sized"), ("train", "used")])
def test_a_truncated_image_in_a_folder_is_named(tmp_path, split, when):
    name = f"{split}/dog/1.png"
    write(tmp_path / "pets", {**FULL, name: FULL[name][:-100]})
    splits = load(tmp_path / "pets")
    message = f"^pets/{name}: expected a whole image, got one that is damaged or cut short"
    if when == "sized":
        with pytest.raises(DataError, match=message):
            splits.sized(8, 8)
        return
    sized = splits.sized(8, 8)
    with pytest.raises(DataError, match=message):
        list(Batches(sized.train.images, sized.train.labels, 4).epoch(0))


def test_a_file_that_went_away_is_named(tmp_path):
    splits = load(write(tmp_path / "pets", FULL)).sized(8, 8)
    (tmp_path / "pets/train/dog/1.png").unlink()
    with pytest.raises(DataError, match="train/dog/1.png: expected a file or folder that can be read, got No such"):
        splits.train.images.take(np.arange(11))


def test_an_unreadable_file_is_named(tmp_path):
    write(tmp_path / "pets", PLAIN)
    (tmp_path / "pets/cat/3.png").chmod(0)
    if os.access(tmp_path / "pets/cat/3.png", os.R_OK):
        pytest.skip("this user may read everything")
    refused(tmp_path / "pets", "^cat/3.png: expected a file .*got Permission denied; check its permissions")


@pytest.mark.skipif(os.name == "nt", reason="links need rights on Windows")
def test_links_are_followed_but_not_for_ever(tmp_path):
    write(tmp_path / "elsewhere", {f"{i}.png": picture(str(i)) for i in range(5)})
    write(tmp_path / "pets", PLAIN)
    (tmp_path / "pets/cow").symlink_to(tmp_path / "elsewhere")
    assert load(tmp_path / "pets").class_names == ["cat", "cow", "dog"]
    (tmp_path / "elsewhere/again").symlink_to(tmp_path / "pets")
    refused(tmp_path / "pets", "^cow/again/: expected a folder of images, got a link to a folder that it lies in; ")
    (tmp_path / "elsewhere/again").unlink()
    (tmp_path / "pets/cat/gone.png").symlink_to(tmp_path / "nowhere.png")
    refused(tmp_path / "pets", "^cat/gone.png: expected .* got No such file.*or the link if it is one")


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes here")
def test_a_pipe_is_refused_and_not_waited_for(tmp_path):
    write(tmp_path / "pets", PLAIN)
    os.mkfifo(tmp_path / "pets/cat/pipe.png")
    refused(tmp_path / "pets", "^cat/pipe.png: expected a file or folder, got a pipe, socket or device; ")


def test_odd_names_do_no_harm(tmp_path):
    odd = {f"cat/{name}.png": picture(name) for name in ("caf\u00e9", "a b", "100%{x}", "\u732b", "\U0001f408")}
    splits = load(write(tmp_path, {**PLAIN, **odd}))
    assert set(odd) <= set(sum(splits.files.values(), []))
    try:
        for name in (b"cat/caf\xe9.png", b"cat/\x1b[31m.png", b"cat/two\nlines.png"):
            with open(os.path.join(os.fsencode(tmp_path), name), "wb") as file:
                file.write(picture("odd"))
    except OSError as error:
        pytest.skip(f"this file system refuses them: {error}")
    names = sum(load(tmp_path).sized(4, 4).files.values(), [])
    assert {r"cat/caf\udce9.png", r"cat/\x1b[31m.png", r"cat/two\nlines.png"} <= set(names)
    "\n".join(names).encode("utf-8")


def test_a_path_is_told_from_a_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path / "mnist", PLAIN)
    write(tmp_path / "pets", PLAIN)
    assert is_path("pets") and is_path("./mnist") and is_path(tmp_path / "nowhere") and is_path("no/where")
    assert not is_path("mnist") and not is_path("cifar10") and not is_path("nowhere")
    assert load("pets").name == "pets" and load("./mnist").name == "mnist-folder"   # it is not MNIST
    with pytest.raises(DataError, match="no/where: expected a folder of images.* got neither a file nor a folder; "):
        load("no/where")
    with pytest.raises(ValueError, match="dataset 'nowhere'"):
        load("nowhere")
    (tmp_path / "a.txt").write_text("hello")
    with pytest.raises(DataError, match="a.txt: expected a folder of images, or a .zip.* got another kind of file"):
        load("a.txt")


def test_a_socket_is_no_dataset(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)     # names of sockets may not be long
    if not hasattr(socket, "AF_UNIX"):
        pytest.skip("there are none here")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("s")
        with pytest.raises(DataError, match="got neither a file nor a folder"):
            load("./s")
