"""The cache and the mirrors: whatever they do, the data is right, or it is the sample and says so."""

import gzip
import io
import os
import re
import socket
import subprocess
import sys
import threading
import time

import pytest

from scratchnet.data.mnist import load_mnist

TRAIN = "train-images-idx3-ubyte"


def test_a_download_is_kept_and_read_from_the_cache_the_next_time(tmp_path, small, mirror):
    server, cache = mirror(small.gz), tmp_path / "a" / "cache"
    splits = load_mnist(cache=cache, mirrors=[server.url], files=small.files)
    small.check(splits)
    assert server.url.rstrip("/") in splits.source and splits.notes == []
    assert sorted(os.listdir(cache)) == sorted(small.gz)  # and no temporary file
    splits = load_mnist(cache=cache, mirrors=(), files=small.files)
    small.check(splits)
    assert splits.source == f"cache {cache}" and len(server.asked) == 4


def cut(content):
    """Announces more than it sends, then closes."""
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:len(content) // 2])
    return answer


def wrong(small):
    changed = bytearray(small.raw[TRAIN])
    changed[-1] ^= 1
    return gzip.compress(bytes(changed))


FAILURES = {
    "404": (lambda small: 404, "404"),
    "500": (lambda small: 500, "500"),
    "wrong checksum": (wrong, "expected sha256"),
    "cut short": (lambda small: small.gz[f"{TRAIN}.gz"][:-20], "cut short"),
    "closed in the middle": (lambda small: cut(small.gz[f"{TRAIN}.gz"]), "IncompleteRead|cut short"),
    "too long": (lambda small: bytes(2_000_000), "expected at most 27867 bytes"),
    "a bomb": (lambda small: gzip.compress(small.raw[TRAIN] + bytes(9_000_000)), "got more"),
    "labels": (lambda small: small.gz["train-labels-idx1-ubyte.gz"], "expected images"),
    "a web page": (lambda small: b"<html>sign in</html>", "not IDX"),
}


@pytest.mark.parametrize("kind", FAILURES)
def test_whatever_is_wrong_with_a_mirror_the_next_one_is_asked(tmp_path, small, mirror, kind):
    answer, message = FAILURES[kind]
    bad = mirror({**small.gz, f"{TRAIN}.gz": answer(small)})
    good = mirror(small.gz)
    splits = load_mnist(cache=tmp_path, mirrors=[bad.url, good.url], files=small.files)
    small.check(splits)
    assert good.asked == [f"{TRAIN}.gz"] and len(bad.asked) == 4  # for the other files the first one is fine
    assert sorted(os.listdir(tmp_path)) == sorted(small.gz)
    # Alone, the bad mirror leads to the sample, with the reason.
    splits = load_mnist(cache=tmp_path / "other", mirrors=[bad.url], files=small.files)
    assert splits.name == "mnist-sample"
    assert [note for note in splits.notes if bad.url in note]
    assert re.search(f"{re.escape(bad.url + TRAIN)}.gz: .*({message})", "\n".join(splits.notes))


def test_a_mirror_may_compress_again_or_not_at_all(tmp_path, small, mirror):
    again = {f"{name}.gz": gzip.compress(content, 1, mtime=5) for name, content in small.raw.items()}
    plain = {f"{name}.gz": content for name, content in small.raw.items()}
    for answers, kept in ((again, sorted(small.gz)), (plain, sorted(small.raw))):
        cache = tmp_path / kept[0]
        small.check(load_mnist(cache=cache, mirrors=[mirror(answers).url], files=small.files))
        assert sorted(os.listdir(cache)) == kept
        small.check(load_mnist(cache=cache, mirrors=(), files=small.files))


def test_a_mirror_that_unpacks_on_the_way_is_understood(tmp_path, small, mirror):
    def encoded(content):
        def answer(handler):
            handler.send_response(200)
            handler.send_header("Content-Encoding", "gzip")
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            handler.wfile.write(content)
        return answer

    server = mirror({name: encoded(content) for name, content in small.gz.items()})
    small.check(load_mnist(cache=tmp_path, mirrors=[server.url], files=small.files))


def hang(handler):
    handler.server.stop.wait(30)


def trickle(handler):
    """A byte every 20 ms: no single read ever times out."""
    handler.send_response(200)
    handler.end_headers()
    while not handler.server.stop.wait(0.02):
        handler.wfile.write(b"\x1f")
        handler.wfile.flush()


def stall(content):
    """Half of the file at once, then nothing."""
    def answer(handler):
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content[:len(content) // 2])
        handler.wfile.flush()
        handler.server.stop.wait(30)
    return answer


@pytest.mark.parametrize("kind", ["hang", "trickle", "stall"])
def test_mirrors_that_keep_us_waiting_are_given_up_within_the_limit_for_all(tmp_path, small, mirror, kind):
    answer = {"hang": hang, "trickle": trickle, "stall": stall(small.gz[f"{TRAIN}.gz"])}[kind]
    servers = [mirror({name: answer for name in small.gz}) for _ in range(3)]
    began = time.monotonic()
    splits = load_mnist(cache=tmp_path, mirrors=[s.url for s in servers], patience=2.0, files=small.files)
    took = time.monotonic() - began
    assert splits.name == "mnist-sample"
    assert 1.5 < took < 3.3  # 2 s and a busy machine; 3.7 s if what the first ones took were not subtracted
    assert sum("TimeoutError: no answer" in note for note in splits.notes) == 3
    assert [len(s.asked) for s in servers] == [1, 1, 1]


def test_a_mirror_that_hangs_leaves_time_for_the_next_and_is_not_asked_again(tmp_path, small, mirror):
    silent, good = mirror({name: hang for name in small.gz}), mirror(small.gz)
    small.check(load_mnist(cache=tmp_path, mirrors=[silent.url, good.url], patience=3.0, files=small.files))
    assert len(silent.asked) == 1 and len(good.asked) == 4


def test_a_name_look_up_that_hangs_is_given_up_too(tmp_path, small, monkeypatch):
    stop = threading.Event()

    def look_up(*args, **kwargs):
        stop.wait(30)
        raise socket.gaierror("too late")

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    began = time.monotonic()
    splits = load_mnist(cache=tmp_path, mirrors=["http://example.invalid/"], patience=0.5, files=small.files)
    assert splits.name == "mnist-sample" and time.monotonic() - began < 2.5
    stop.set()


def test_a_slow_download_that_moves_on_may_take_longer_than_the_limit(tmp_path, small, mirror):
    def slow(content):
        def answer(handler):
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(content)))
            handler.end_headers()
            for begin in range(0, len(content), 2048):  # 2 KB each 0.1 s: 20 KB a second, 5 times SLOWEST
                handler.wfile.write(content[begin:begin + 2048])
                handler.wfile.flush()
                time.sleep(0.1)
        return answer

    server = mirror({**small.gz, f"{TRAIN}.gz": slow(small.gz[f"{TRAIN}.gz"])})
    began = time.monotonic()
    splits = load_mnist(cache=tmp_path, mirrors=[server.url], patience=0.7, files=small.files)
    assert time.monotonic() - began > 1.0  # else this test shows nothing
    small.check(splits)


def test_an_unreachable_mirror_is_named_with_its_reason_and_the_sample_takes_over(tmp_path, small, mirror):
    server = mirror({})
    url = server.url
    server.shutdown()
    server.server_close()
    splits = load_mnist(cache=tmp_path, mirrors=[url], files=small.files)
    assert splits.name == "mnist-sample" and len(splits.train) == 8000
    text = "\n".join(splits.notes)
    assert f"{url}{TRAIN}.gz: ConnectionRefusedError: " in text
    assert "sample" in text and "--data-dir" in text and "$SCRATCHNET_DATA" in text


def test_a_damaged_file_in_the_cache_is_downloaded_again_and_replaced(tmp_path, small, mirror):
    server = mirror(small.gz)
    small.write(tmp_path, {**small.gz, f"{TRAIN}.gz": b"half a fi"})
    splits = load_mnist(cache=tmp_path, mirrors=[server.url], files=small.files)
    small.check(splits)
    assert server.asked == [f"{TRAIN}.gz"]
    assert len(splits.notes) == 1 and f"{TRAIN}.gz" in splits.notes[0]
    assert (tmp_path / f"{TRAIN}.gz").read_bytes() == small.gz[f"{TRAIN}.gz"]


def test_a_cache_that_cannot_be_written_is_said_once_and_the_data_is_used(tmp_path, small, mirror):
    (tmp_path / "file").write_bytes(b"")  # nothing can be made below a file, not even by root
    server = mirror(small.gz)
    splits = load_mnist(cache=tmp_path / "file" / "cache", mirrors=[server.url], files=small.files)
    small.check(splits)
    assert len(splits.notes) == 1 and "cannot be written" in splits.notes[0]


def test_a_full_disk_leaves_no_half_file(tmp_path, small, mirror, monkeypatch):
    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    splits = load_mnist(cache=tmp_path, mirrors=[mirror(small.gz).url], files=small.files)
    small.check(splits)
    assert os.listdir(tmp_path) == [] and "No space left" in splits.notes[0]


RACER = """
import sys
from pathlib import Path
from scratchnet.data.mnist import IdxFile, load_mnist
cache, url, *files = sys.argv[1:]
files = [IdxFile(name, tuple(map(int, shape.split("x"))), sha)
         for name, shape, sha in (file.split(",") for file in files)]
splits = load_mnist(cache=Path(cache), mirrors=[url], files=files)
print(splits.name, splits.checksum)
"""


def test_processes_and_threads_may_download_at_once(tmp_path, small, mirror):
    server, cache = mirror(small.gz), tmp_path / "cache"
    files = [f"{name},{'x'.join(map(str, shape))},{sha}" for name, shape, sha, _ in small.files]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", RACER, str(cache), server.url, *files]
    racers = [subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    results = []
    threads = [threading.Thread(target=lambda: results.append(load_mnist(
        cache=cache, mirrors=[server.url], files=small.files))) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    said = {racer.communicate(timeout=60)[0] for racer in racers}
    assert {splits.name for splits in results} == {"mnist"} and len(results) == 6
    assert said == {f"mnist {results[0].checksum}\n"}
    assert sorted(os.listdir(cache)) == sorted(small.gz)
    small.check(load_mnist(cache=cache, mirrors=(), files=small.files))


@pytest.mark.parametrize("terminal", [True, False])
def test_only_a_terminal_sees_a_progress_bar(tmp_path, small, mirror, monkeypatch, terminal):
    stderr = io.StringIO()
    stderr.isatty = lambda: terminal
    monkeypatch.setattr(sys, "stderr", stderr)
    load_mnist(cache=tmp_path, mirrors=[mirror(small.gz).url], files=small.files)
    assert ("t10k-labels-idx1-ubyte.gz from 127.0.0.1" in stderr.getvalue()) == terminal
