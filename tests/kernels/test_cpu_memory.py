"""Recycled memory: blocks are used again when, and only when, nobody sees them any more."""

import gc
import os
import subprocess
import sys
import threading

import numpy as np
import pytest

from scratchnet.kernels.cpu import memory

SHAPE = (300, 1000)                                          # 1.2 MB


def address(array):
    return array.__array_interface__["data"][0]


@pytest.fixture(autouse=True)
def start_empty():
    gc.collect()
    memory.clear()


def test_a_block_is_used_again_when_its_array_dies():
    first = memory.empty(SHAPE)
    where = address(first)
    assert type(first) is np.ndarray and where % 64 == 0 and first.flags.carray
    del first
    assert address(memory.empty(SHAPE)) == where


@pytest.mark.parametrize("view", [lambda a: a[5:7], lambda a: a.reshape(-1), lambda a: a.T, lambda a: a.view("i4"),
                                  lambda a: np.asarray(a)[::2], lambda a: memoryview(a), lambda a: np.frombuffer(a)])
def test_a_block_is_not_used_again_while_any_view_lives(view):
    array = memory.zeros(SHAPE)
    where, kept = address(array), view(array)
    del array
    other = memory.empty(SHAPE)
    other.fill(7)
    assert address(other) != where and not np.asarray(kept).any()


def test_live_and_free_bytes_are_counted():
    live = memory.live_bytes()
    arrays = [memory.empty(SHAPE) for _ in range(3)]
    size = (memory.live_bytes() - live) // 3
    assert 1_200_000 <= size <= 1_200_000 * 9 / 8
    del arrays[0]
    assert memory.live_bytes() == live + 2 * size and memory.free_bytes() == size
    memory.clear()
    assert memory.free_bytes() == 0 and memory.live_bytes() == live + 2 * size


def test_like_sizes_share_blocks_and_unlike_sizes_do_not_pile_up():
    array = memory.empty((1000, 1010))
    where = address(array)
    del array
    array = memory.empty((1000, 1000))
    assert address(array) == where
    del array
    for rows in range(10, 30_000, 500):
        memory.empty((rows, 1000))
        assert memory.live_bytes() + memory.free_bytes() <= memory.peak_bytes() + memory.SLACK
    assert memory.free_bytes() >= memory.SLACK, "the sizes above do not reach the limit"


def test_neighbours_that_died_make_room_for_a_larger_one():
    kept = memory.empty(100_000)
    arrays = [memory.empty(2_000_000 + 100_000 * index) for index in range(4)]       # 8 MB and more each, side by side
    assert [address(a) for a in arrays] == sorted(address(a) for a in arrays)
    first, last = address(arrays[0]), address(arrays[-1])
    del arrays[2], arrays[0], arrays[0]                                # the second is the last to die
    large = memory.empty(6_000_000)
    assert address(large) == first and last > first + large.nbytes
    large.fill(1)
    kept.fill(2)
    arrays[0].fill(3)
    assert (large == 1).all() and (kept == 2).all()


def test_the_smallest_piece_that_is_large_enough_is_cut():
    arrays = [memory.empty(size) for size in (9_000_000, 10_000, 6_000_000, 10_000)]
    wanted = address(arrays[2])
    del arrays[2], arrays[0]
    assert address(memory.empty(5_000_000)) == wanted


def test_what_lives_while_all_is_cleared_goes_when_it_dies():
    kept, other = memory.empty(5_000_000), memory.zeros(5_000_000)
    kept.fill(1)
    del other
    memory.clear()
    new = memory.zeros(5_000_000)
    assert (kept == 1).all() and not np.shares_memory(kept, new)
    where = address(kept)
    del kept
    assert memory.free_bytes() == 0 and address(memory.empty(5_000_000)) != where


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="Windows has no limit of addresses")
def test_where_addresses_are_few_no_more_are_taken_than_fit():
    code = """
import resource
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
from scratchnet.kernels.cpu import memory
arrays = [memory.zeros(50_000_000) for _ in range(5)]           # 200 MB each, in more than one region
assert 1 < len(memory._regions) < 5
try:
    memory.empty(3_000_000_000)
except MemoryError as error:
    print(error)
assert memory.live_bytes() > 1_000_000_000 and not arrays[0].any()
"""
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.startswith("no 12,") and "use a smaller batch" in run.stdout, run.stderr


def test_small_arrays_are_left_to_numpy():
    before = memory.live_bytes()
    kept = memory.empty((4, 4))
    assert memory.live_bytes() == before and kept.flags.owndata


@pytest.mark.parametrize("shape, dtype", [((0, 5), "f4"), ((), "f4"), ((100, 100), "u1"), ((64, 64, 16), "f8")])
def test_any_shape_and_dtype(shape, dtype):
    array = memory.zeros(shape, dtype)
    assert array.shape == shape and array.dtype == dtype and not array.any()


def test_a_list_is_a_shape_too():
    assert memory.zeros([100, 200]).shape == (100, 200) and memory.zeros([2, 3]).shape == (2, 3)


def test_threads_never_share_a_block():
    wrong = []

    def work(number):
        for _ in range(300):
            array = memory.empty((100, 100 + number % 3))
            array.fill(number)
            other = memory.empty((100, 100))
            other.fill(-number)
            if not (array == number).all() or not (other == -number).all():
                wrong.append(number)
    workers = [threading.Thread(target=work, args=(number,)) for number in range(1, 7)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong
