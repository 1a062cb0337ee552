"""The harness itself, with few kills; .ci/run lets it have fifty."""

import random

import numpy as np
import pytest

import kill_harness


def test_a_run_that_is_killed_and_resumed_ends_with_the_bits_of_a_whole_one(tmp_path):
    (tmp_path / "net.py").write_text(kill_harness.NET, "utf-8")
    kill_harness.make_images(tmp_path / "images", np.random.default_rng(0))
    assert kill_harness.harass(tmp_path, kill_harness.CONFIGURATIONS[0], 2, random.Random(1)) == 2


@pytest.mark.parametrize("name", ["last.safetensors", "config.json", "metrics.jsonl", "curves.png"])
def test_a_file_that_is_half_written_is_noticed(tmp_path, name):
    (tmp_path / name).write_bytes(b'{"epoch": 1, "st')
    assert [words.partition(":")[0] for words in kill_harness.half_written(tmp_path)] == [name]


def test_a_bit_that_differs_is_noticed_and_a_time_is_not(tmp_path):
    for folder, step, seconds in (("one", 1, 0.5), ("two", 1, 0.7), ("three", 2, 0.5)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "metrics.jsonl").write_text(f'{{"step": {step}, "seconds": {seconds}}}\n')
    assert list(kill_harness.differences(tmp_path / "one", tmp_path / "two")) == []
    assert list(kill_harness.differences(tmp_path / "one", tmp_path / "three")) == ["metrics.jsonl"]
    (tmp_path / "one" / ".lock").touch()
    assert list(kill_harness.differences(tmp_path / "one", tmp_path / "two")) == [".lock is in one folder only"]
