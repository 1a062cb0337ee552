"""The fuzzer finds nothing wrong in some hundred cases, and finds what is planted. (All: python tests/fuzz.py.)"""

import os
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import fuzz
import fuzz_cases
from scratchnet import checkpoint
from scratchnet.data import DataError

# The numbers of the first cases of a kind.
IDX, IMAGE, CHECKPOINT, DATASET = (
    [number for number in range(100) if fuzz_cases.kind_of(number) == kind]
    for kind in ("idx", "image", "checkpoint", "dataset"))


def test_300_cases_pass():
    assert fuzz.run(0, list(range(300))) == {}


# -- what is planted: each runs in the fuzzer's process before its cases ---------------------------------------------

def leave_all_whole():
    fuzz_cases.WHOLE = 1


def forget_the_checksum():
    checkpoint._digest = lambda metadata, tensors: "the same for all"


def forget_the_length():
    fuzz_cases.read_idx = lambda source, shape, sha256=None, name=None: np.zeros(shape, np.uint8)


def fail_without_a_name():
    def load(path):
        raise DataError("something is wrong with a file")
    fuzz_cases.data.load = load


def raise_another_error():
    def load(path):
        raise KeyError("__metadata__")
    checkpoint.load = load


def give_another_shape():
    fuzz_cases.read_pixels = lambda *arguments: np.zeros((1, 1, 1), np.uint8)


def crash():
    fuzz_cases.read_header = lambda source, name: os.abort()


def hang():
    fuzz_cases.read_header = lambda source, name: time.sleep(600)


def take_all_memory():
    fuzz_cases.read_header = lambda source, name: np.ones(1 << 30)              # 8 GiB


def write_elsewhere():
    def load(path):
        Path("..", "escaped.png").write_bytes(b"")
        raise DataError("broken-set: refused, but too late")
    fuzz_cases.data.load = load


def change_a_file_elsewhere():
    def load(path):
        Path("..", "..", "..", "outside").write_bytes(b"")
        raise DataError("broken-set: refused, but too late")
    fuzz_cases.data.load = load


# -- and found -------------------------------------------------------------------------------------------------------

def test_files_that_are_left_whole_are_all_read():
    assert fuzz.run(0, list(range(150)), plant=leave_all_whole) == {}


@pytest.mark.parametrize("plant, numbers, words", [
    (forget_the_checksum, CHECKPOINT, "neither an error nor the checkpoint that was saved"),
    (forget_the_length, IDX, "other values than those in the file"),
    (fail_without_a_name, DATASET[:2], "its message names no file"),
    (raise_another_error, CHECKPOINT[:2], "KeyError: '__metadata__'"),
    (give_another_shape, IMAGE, r"expected \(.*got uint8 \(1, 1, 1\)"),
    (write_elsewhere, DATASET[:2], r"changed outside its folder: .*escaped\.png"),
    (change_a_file_elsewhere, DATASET[:2], "changed outside its folder: .*outside"),
], ids=lambda value: getattr(value, "__name__", None))
def test_it_finds(plant, numbers, words):
    found = fuzz.run(0, numbers, plant=plant)
    assert found, "nothing was found"
    with pytest.raises(AssertionError, match=words):
        raise AssertionError("\n".join(found.values()))


def test_it_goes_on_after_a_crash():
    found = fuzz.run(0, IMAGE[:2] + IDX[:1], plant=crash)
    assert list(found) == IMAGE[:2] and all("the process ended with exit code" in words for words in found.values())


def test_it_goes_on_after_a_hang(monkeypatch):
    monkeypatch.setattr(fuzz, "HANG", 4)
    assert fuzz.run(0, [*IMAGE[:1], *IDX[:1]], plant=hang) == {IMAGE[0]: "no end after 4 s"}


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="memory is limited on Linux only")
def test_it_finds_what_takes_too_much_memory():
    assert "MemoryError" in fuzz.run(0, IMAGE[:1], plant=take_all_memory)[IMAGE[0]]


def test_it_reports_how_many_passed_and_how_to_see_one_again(capsys, monkeypatch):
    monkeypatch.setattr(fuzz, "run", lambda seed, numbers, jobs, say: {7: "it is wrong"})
    assert fuzz.main(["--cases", "10", "--seed", "3"]) == 1
    assert capsys.readouterr().out.splitlines() == [
        "case 7: it is wrong; again: python tests/fuzz.py --seed 3 --only 7", "9 of 10"]
