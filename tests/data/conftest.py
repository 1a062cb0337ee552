"""A small dataset in MNIST's files, and mirrors on loopback that misbehave as told."""

import gzip
import hashlib
import os
import struct
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

from scratchnet.data.mnist import IdxFile


def idx(array):
    """The raw IDX file of a uint8 array."""
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


class SmallMnist:
    """30 training and 12 test images of 28x28: `files` as MNIST's own table, `raw` and `gz` {name: bytes}."""

    def __init__(self):
        rng = np.random.default_rng(0)
        self.arrays, self.raw, self.files = {}, {}, []
        for split, n in (("train", 30), ("t10k", 12)):
            self.add(f"{split}-images-idx3-ubyte", rng.integers(0, 256, (n, 28, 28), np.uint8))
            self.add(f"{split}-labels-idx1-ubyte", rng.integers(0, 10, n, np.uint8))
        self.gz = {f"{name}.gz": gzip.compress(content, mtime=0) for name, content in self.raw.items()}

    def add(self, name, array):
        self.arrays[name], self.raw[name] = array, idx(array)
        self.files.append(IdxFile(name, array.shape, hashlib.sha256(self.raw[name]).hexdigest()))

    def write(self, folder, contents):
        folder.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (folder / name).write_bytes(content)
        return folder

    def check(self, splits):
        assert splits.name == "mnist"
        np.testing.assert_array_equal(splits.train.images[..., 0], self.arrays["train-images-idx3-ubyte"])
        np.testing.assert_array_equal(splits.test.labels, self.arrays["t10k-labels-idx1-ubyte"])
        assert splits.train.images.shape == (30, 28, 28, 1) and splits.train.labels.dtype == np.int64
        assert splits.class_names == list("0123456789")


@pytest.fixture
def small():
    return SmallMnist()


@pytest.fixture
def mirror(monkeypatch):
    """mirror(answers) starts a server on loopback and returns it: `.url`, `.asked` (names, in order).

    `answers` maps a name to its bytes, to a status code, or to a function of the request handler.
    """
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    servers = []

    def start(answers):
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                name = self.path.rpartition("/")[2]
                server.asked.append(name)
                answer = answers.get(name, 404)
                if callable(answer):
                    return answer(self)
                if isinstance(answer, int):
                    return self.send_error(answer)
                self.send_response(200)
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *args):
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.handle_error = lambda *args: None  # some tests are about clients that go away in the middle
        server.asked, server.url = [], f"http://127.0.0.1:{server.server_port}/mnist/"
        server.stop = threading.Event()  # set at the end, so that handlers that hang can leave
        servers.append(server)
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        return server

    yield start
    for server in servers:
        server.stop.set()
        server.shutdown()
        server.server_close()


@pytest.fixture(autouse=True)
def named_folder(monkeypatch):
    """$SCRATCHNET_DATA of whoever runs the tests, which for the test itself is not set."""
    kept = os.environ.get("SCRATCHNET_DATA")
    monkeypatch.delenv("SCRATCHNET_DATA", raising=False)
    return kept
