"""The safetensors reader: what the format says is read, everything else is a ValueError that names the file."""

import json
import struct

import numpy as np
import pytest
from safetensors_files import write, write_raw

from scratchnet.weights.tensor_file import TensorFile, widened

ENTRY = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def test_arrays_are_views_of_the_file_that_nobody_can_write(tmp_path):
    tensors = {"a": np.arange(6, dtype="f4").reshape(2, 3), "n": np.array(7, "i8"), "none": np.zeros((0, 3), "f4")}
    with TensorFile(write(tmp_path / "w", tensors, {"format": "pt"})) as file:
        assert file.metadata == {"format": "pt"}
        for name, array in tensors.items():
            assert file.tensors[name].shape == array.shape and file.array(name).dtype == array.dtype
            np.testing.assert_array_equal(file.array(name), array)
        assert not file.array("a").flags.writeable and not file.array("a").flags.owndata


def test_what_the_library_writes_is_read_as_it_says(tmp_path):
    from safetensors.numpy import save_file
    rng = np.random.default_rng(0)
    tensors = {f"{code}.{n}": (100 * rng.standard_normal((n, 3))).astype(code) for n in (0, 1, 5)
               for code in ("f8", "f4", "f2", "i8", "i4", "i2", "i1", "u8", "u4", "u2", "u1", "?")}
    save_file(tensors, tmp_path / "w", metadata={"a": "b"})
    with TensorFile(tmp_path / "w") as file:
        assert set(file.tensors) == set(tensors) and file.metadata == {"a": "b"}
        for name, array in tensors.items():
            np.testing.assert_array_equal(file.array(name), array, strict=True)


def test_bfloat16_is_widened_to_the_bit(tmp_path):
    bits = np.arange(1 << 16, dtype=np.uint32) << 16                     # every number that it has
    numbers = bits.view("f4")
    with TensorFile(write(tmp_path / "w", {"a": numbers}, bfloat16={"a"})) as file:
        np.testing.assert_array_equal(widened(file.array("a"), "BF16").view(np.uint32), bits)
    assert numbers[0x3F80] == 1 and numbers[0xC000] == -2


def test_a_header_that_ends_at_an_odd_byte_is_read(tmp_path):
    text = json.dumps({"a": ENTRY}).encode()
    path = write_raw(tmp_path / "w", text + b" " * (3 - len(text) % 4), struct.pack("<2f", 1, 2))
    with TensorFile(path) as file:
        assert file.tensors["a"].first % 4 and file.array("a").tolist() == [1, 2]


BROKEN = {
    "no length": (b"\x05", "header"),
    "a length beyond the file": (struct.pack("<Q", 100) + b"{}", "header of 100 bytes"),
    "a length of terabytes": (struct.pack("<Q", 1 << 62) + b"{}", "header of"),
    "no JSON": (b"{\"a\": ", "no JSON"),
    "not UTF-8": (b"{\"\xff\": 1}", "no JSON"),
    "deep nesting": (b"{\"a\":" + b"[" * 100_000, "no JSON"),
    "a name twice": (b'{"a": 1, "a": 2}', "twice"),
    "an entry that is a number": ({"a": 3}, "a with the entry"),
    "no shape": ({"a": {"dtype": "F32", "data_offsets": [0, 8]}}, "shape"),
    "three offsets": ({"a": ENTRY | {"data_offsets": [0, 4, 8]}}, "a with the entry"),
    "a negative size": ({"a": ENTRY | {"shape": [-2]}}, "integers >= 0"),
    "a size of true": ({"a": ENTRY | {"shape": [True]}}, "integers >= 0"),
    "a fraction": ({"a": ENTRY | {"shape": [2.0]}}, "integers >= 0"),
    "a size of 4,000 digits": ({"a": ENTRY | {"shape": [10**4000]}}, "integers"),
    "too many axes": ({"a": ENTRY | {"shape": [1] * 33}}, "integers"),
    "sizes that multiply to much": ({"a": ENTRY | {"shape": [1 << 40] * 30}}, "instead of"),
    "an unknown dtype": ({"a": ENTRY | {"dtype": "F8_E4M3"}}, "a has the dtype 'F8_E4M3'; expected one of F64"),
    "a dtype that is a list": ({"a": ENTRY | {"dtype": ["F32"]}}, "has the dtype"),
    "too few bytes for the shape": ({"a": ENTRY | {"shape": [3]}}, "8 bytes instead of 12"),
    "too many bytes for the shape": ({"a": ENTRY | {"shape": [1]}}, "8 bytes instead of 4"),
    "the end before the start": ({"a": ENTRY | {"data_offsets": [8, 0]}}, "-8 bytes"),
    "an overlap": ({"a": ENTRY, "b": ENTRY | {"data_offsets": [4, 12]}}, "overlap"),
    "a gap": ({"a": ENTRY, "b": {"dtype": "F32", "shape": [], "data_offsets": [12, 16]}}, "gap"),
    "a start beyond the file": ({"a": ENTRY | {"data_offsets": [1 << 40, (1 << 40) + 8]}}, "gap"),
    "metadata that are a list": ({"__metadata__": [], "a": ENTRY}, "metadata"),
    "metadata with a number": ({"__metadata__": {"a": 1}, "a": ENTRY}, "metadata"),
    "a name that clears the screen": ({"\x1b[2J": 3}, r"'\\x1b\[2J' with"),
}


@pytest.mark.parametrize("header, words", BROKEN.values(), ids=BROKEN)
def test_every_other_file_is_refused_with_its_name(tmp_path, header, words):
    path = tmp_path / "weights.safetensors"
    if isinstance(header, bytes) and not header.startswith(b"{"):
        path.write_bytes(header)
    else:
        write_raw(path, header, bytes(8))
    with pytest.raises(ValueError, match=f"(?s)weights.safetensors: .*{words}"):
        TensorFile(path)


def test_a_file_that_was_cut_short_or_grew_is_refused(tmp_path):
    whole = write(tmp_path / "w", {"a": np.arange(6, dtype="f4")}).read_bytes()
    for length in range(len(whole)):
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(ValueError, match="cut: expected"):
            TensorFile(tmp_path / "cut")
    (tmp_path / "long").write_bytes(whole + b"\0")
    with pytest.raises(ValueError, match="end at byte"):
        TensorFile(tmp_path / "long")
