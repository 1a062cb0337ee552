"""The cache of compiled kernels, their signatures, and threads; in processes of their own where they start fresh."""

import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from unittest import mock

import numba
import numpy as np
import pytest

from scratchnet.kernels import cpu
from scratchnet.kernels.cpu import cache, compile, gather, packed, threads, winograd, winograd_weights

ROOT = Path(compile.__file__).resolve().parents[2]
TANH_OF_3 = "import numpy as np; from scratchnet.kernels import cpu; print(cpu.tanh(np.full(5, 3, 'f4'))[0].round(3))"
ADVICE = "compiling kernels (first run only)"


def python(code, cwd, cache_home, **variables):
    """Run `code` in a tree that holds scratchnet/ and kernels/, with a cache of its own."""
    environment = {**os.environ, "PYTHONPATH": str(cwd), "XDG_CACHE_HOME": str(cache_home), "LOCALAPPDATA": str(cache_home),
                   **variables}
    done = subprocess.run([sys.executable, "-c", code], cwd=cwd, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip(), done.stderr


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """A copy of the sources, laid out as a checkout, whose files may be edited."""
    tree = tmp_path_factory.mktemp("tree")
    package = Path(sys.modules["scratchnet"].__file__).parent
    kernels = Path(cpu.__file__).parents[1]
    ignore = shutil.ignore_patterns("__pycache__", "kernels" if kernels.parent == package else "__pycache__")
    shutil.copytree(package, tree / "scratchnet", ignore=ignore)
    shutil.copytree(kernels, tree / "kernels", ignore=shutil.ignore_patterns("__pycache__"))
    return tree


def test_an_edit_of_a_helper_module_changes_the_next_result(tree, tmp_path):
    assert python(TANH_OF_3, tree, tmp_path)[0] == "0.995"
    output, messages = python(TANH_OF_3, tree, tmp_path)
    assert (output, messages) == ("0.995", ""), "the second run compiles nothing and says nothing"
    helper = tree / "kernels" / "cpu" / "exponential.py"             # which activation.py's kernels import
    source = helper.read_text(encoding="utf-8")
    stamp = helper.stat()
    edited = source.replace("TANH_LIMIT = float32(9.02)", "TANH_LIMIT = float32(0.5)")
    assert edited != source
    try:
        helper.write_text(edited, encoding="utf-8")
        os.utime(helper, ns=(stamp.st_atime_ns, stamp.st_mtime_ns))       # not even the time stamp tells
        output, messages = python(TANH_OF_3, tree, tmp_path)
        assert output == "0.462" and messages.strip() == ADVICE
    finally:
        helper.write_text(source, encoding="utf-8")
    assert python(TANH_OF_3, tree, tmp_path)[0] == "0.995"


def test_compiling_is_announced_once(tree, tmp_path):
    code = TANH_OF_3 + "; cpu.add(np.ones(3, 'f4'), np.ones(3, 'f4'), 1.0)"
    assert python(code, tree, tmp_path)[1].strip() == ADVICE


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such file modes")
def test_a_cache_that_others_can_write_is_not_used(tree, tmp_path):
    folder = tmp_path / "scratchnet" / "kernels"
    folder.mkdir(parents=True)
    folder.chmod(0o777)
    output, messages = python(TANH_OF_3, tree, tmp_path)
    assert output == "0.995" and "can be written by other users" in messages and messages.count("\n") == 1
    assert not list(folder.iterdir())


def test_a_cache_folder_that_cannot_be_made_is_said_once(tree, tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("")
    output, messages = python(TANH_OF_3, tree, blocked)
    assert output == "0.995" and messages.startswith("compiling kernels (in every run: ") and messages.count("\n") == 1


def test_a_cache_file_that_a_crash_cut_short_is_survived(tree, tmp_path):
    python(TANH_OF_3, tree, tmp_path)
    files = list(tmp_path.rglob("*.nb?"))
    assert len(files) == 2                                           # an index and a kernel
    for file in files:
        file.write_bytes(file.read_bytes()[:100])
    output, messages = python(TANH_OF_3, tree, tmp_path)
    assert output == "0.995" and "to repair it, delete it" in messages


def test_the_cache_is_private_and_named_by_the_sources(tmp_path, monkeypatch):
    monkeypatch.setattr(cache, "user_cache", lambda: tmp_path / "scratchnet")
    folder = cache.open_folder()
    assert folder.name == cache.fingerprint() and folder.stat().st_mode & 0o777 == (0o700 if os.name == "posix" else 0o777)
    names = {path.name for path in cache.sources()}
    assert {"gemm.py", "conv.py", "shapes.py", "compile.py"} <= names


def test_users_own_jitted_functions_keep_their_cache_folder():
    assert numba.config.CACHE_DIR == os.environ.get("NUMBA_CACHE_DIR", "")


def exercise_everything():
    """Every operation twice, with arrays that differ in all that could make another signature."""
    read_only = np.ones((2, 6, 6, 4), np.float32)
    read_only.flags.writeable = False
    pair, none = (2, 2), ((0, 0), (0, 0))
    for x in (read_only, np.asfortranarray(np.random.default_rng(0).standard_normal((2, 6, 6, 4), dtype=np.float32))):
        w, rows = np.ones((3, 3, 4, 4), np.float32), np.ascontiguousarray(x[:, 0, 0])
        y = cpu.conv2d(x, w, None, (1, 1), none, (1, 1), 1)
        cpu.conv2d(x, w, w[0, 0, 0], (1, 1), none, (1, 1), 1)
        cpu.conv2d_backward_data(y, w, x.shape, (1, 1), none, (1, 1), 1)
        cpu.conv2d_backward_weights(y, x, w.shape, (1, 1), none, (1, 1), 1)
        images = np.repeat(x, 10, axis=0)        # enough of them for the vectors
        images.flags.writeable = x.flags.writeable
        y = cpu.conv2d(images, w, None, (1, 1), none, (1, 1), 1)
        cpu.conv2d(y, w, w[0, 0, 0], (1, 1), none, (1, 1), 1, "tanh")
        cpu.conv2d_backward_data(y, w, images.shape, (1, 1), none, (1, 1), 1)
        cpu.conv2d_backward_weights(y, images, w.shape, (1, 1), none, (1, 1), 1)
        cpu.avg_pool2d_backward(cpu.avg_pool2d(y, pair, pair, none, False, True), y.shape, pair, pair, none, False, True)
        cpu.bias_backward(y), cpu.relu_bias_backward(y, y), cpu.tanh_bias_backward(y, y), cpu.contiguous(y)
        dense = cpu.flatten(y), np.ones((y[0].size, 3), np.float32)
        cpu.flatten_backward(dense[0], y.shape)
        cpu.dense_backward(cpu.dense(*dense, None), cpu.dense(*dense, w[0, 0, 0, :3], "tanh"), *dense, "tanh", (True,) * 3)
        d = w[:, :, :1]
        y = cpu.depthwise_conv2d(x, d, None, (1, 1), none, (1, 1))
        cpu.depthwise_conv2d_backward_data(y, d, x.shape, (1, 1), none, (1, 1))
        cpu.depthwise_conv2d_backward_weights(y, x, d.shape, (1, 1), none, (1, 1))
        cpu.dense(rows, w[0, 0], None), cpu.dense_backward_data(rows, w[0, 0]), cpu.dense_backward_weights(rows, rows)
        with mock.patch.object(sys.modules["scratchnet.kernels.cpu.dense"], "CACHED", 0):
            cpu.dense_backward_data(rows, w[0, 0])
        cpu.bias_backward(x), cpu.bias_backward(rows), cpu.relu_bias_backward(x, x)
        y, winners = cpu.max_pool2d(x, pair, pair, none, (1, 1), False)
        cpu.max_pool2d_backward(y, winners, x.shape, pair, pair, none, (1, 1))
        many = np.repeat(x, 16, axis=3)          # 64 channels, as what is above for few
        many.flags.writeable = x.flags.writeable
        cpu.dense_backward_weights(many[0, 0], many[0, 0])
        for image, size in ((many, 1), (np.tile(many, (1, 4, 4, 1)), 3)):                # (2, 24, 24, 64) by Winograd
            w = np.ones((size, size, 64, 64), np.float32)
            y = cpu.conv2d(image, w, None, (1, 1), none, (1, 1), 1)
            cpu.conv2d(image, w, w[0, 0, 0], (1, 1), none, (1, 1), 1)
            cpu.conv2d_backward_data(y, w, image.shape, (1, 1), none, (1, 1), 1)
            cpu.conv2d_backward_weights(y, image, w.shape, (1, 1), none, (1, 1), 1)
            layer = packed.PackedConv2D(w, None, (1, 1), (1, 1), 1)
            layer(np.array(image), none), layer(np.array(image), none, y, True, np.empty_like(y))
        with mock.patch.object(winograd, "LARGE", 0), mock.patch.object(winograd_weights, "LARGE", 0):   # shared tiles
            image = np.ascontiguousarray(image[:1, :12, :12])
            y = winograd.convolve(image, winograd.filters(w, 4), gather.pack_bias(None, 64), None, np.empty_like(image), 4,
                                  (1, 1))
            winograd_weights.backward_weights(image, y, 4, (1, 1))
        layer = packed.PackedDense(many[0, 0], None)
        layer(np.ones((3, 6), np.float32)), layer(np.ones((1, 6), np.float32), True)
        y, winners = cpu.max_pool2d(many, pair, pair, none, (1, 1), False)
        cpu.max_pool2d_backward(y, winners, many.shape, pair, pair, none, (1, 1))
        cpu.avg_pool2d_backward(cpu.avg_pool2d(x, pair, pair, none, False, True), x.shape, pair, pair, none, False, True)
        cpu.adaptive_avg_pool2d_backward(cpu.adaptive_avg_pool2d(x, pair), x.shape)
        cpu.global_avg_pool2d_backward(cpu.global_avg_pool2d(x), x.shape)
        gamma = np.ones(4, np.float32)
        y, mean, var = cpu.batch_norm(x, gamma, gamma, 1e-5)
        cpu.batch_norm(x, gamma, gamma, 1e-5, x, True)
        cpu.batch_norm_backward(y, x, gamma, gamma, mean, var, 1e-5)
        cpu.batch_norm_inference(x, gamma, gamma, mean, var, 1e-5)
        cpu.batch_norm_inference_backward(y, x, gamma, gamma, mean, var, 1e-5)
        y, scale = cpu.local_response_norm(x, 5, 1e-4, 0.75, 1)
        cpu.local_response_norm_backward(y, x, scale, 5, 1e-4, 0.75)
        for pieces in ((0, None, 0), (0.1, 6, 1)):
            cpu.relu_backward(x, cpu.relu(x, *pieces), *pieces)
        for name in ("tanh", "sigmoid", "softmax"):
            getattr(cpu, f"{name}_backward")(x, getattr(cpu, name)(x))
        cpu.softmax_cross_entropy(rows, np.array([0, 1]), 0.0), cpu.softmax_cross_entropy(rows, rows / 4, 0.1)
        cpu.binary_cross_entropy(rows / 9, rows / 9, False), cpu.binary_cross_entropy(rows, rows, True)
        cpu.mean_squared_error(rows, rows)
        y, mask = cpu.dropout(x, 0.5, 1, 2, 3)
        cpu.dropout_backward(x, mask, 0.5)
        for mode in ("zeros", "reflect", "replicate", "circular"):
            cpu.pad2d_backward(cpu.pad2d(x, ((1, 2), (0, 1)), mode), ((1, 2), (0, 1)), mode)
        cpu.add(x, x, 1.0), cpu.concat_backward(cpu.concat([x, x]), [4, 4])
        a, b, c, e = (np.ones(5, np.float32) for _ in range(4))
        cpu.accumulate(a, b), cpu.sgd(a, b, None, 0.1, 0.0, False, 0.0), cpu.sgd(a, b, c, 0.1, 0.9, True, 0.1)
        cpu.rmsprop(a, b, c, None, None, 0.1, 0.9, 1e-7, 0.0, 0.0), cpu.rmsprop(a, b, c, c.copy(), e, 0.1, 0.9, 1e-7, 0.9, 0.1)
        cpu.adam(a, b, c, e, 1, 0.1, 0.9, 0.999, 1e-8, 0.0), cpu.adamw(a, b, c, e, np.int64(2), 0.1, 0.9, 0.999, 1e-8, 0.1)
        cpu.sgd([a, b], [b, c], [c, e], 0.1, 0.9, True, 0.1)


def test_every_kernel_has_one_signature():
    exercise_everything()
    counts = {}
    for name, module in list(sys.modules.items()):
        if name.startswith("scratchnet.kernels.cpu."):
            counts.update({f"{name}.{key}": len(value.dispatcher.signatures) for key, value in vars(module).items()
                           if isinstance(value, compile.Kernel)})
    assert len(counts) > 30
    assert {name for name, count in counts.items() if count != 1} == set()


@pytest.mark.parametrize("images", [9, 40], ids=["pixels along the vectors", "images along the vectors"])
def test_the_same_bits_from_run_to_run_and_nearly_for_any_number_of_threads(images):
    rng = np.random.default_rng(0)
    x, dy = rng.standard_normal((images, 12, 12, 5), dtype="f4"), rng.standard_normal((images, 10, 10, 7), dtype="f4")

    def gradients():
        return cpu.conv2d_backward_weights(dy, x, (3, 3, 5, 7), (1, 1), ((0, 0), (0, 0)), (1, 1), 1), cpu.bias_backward(dy)
    before, results = threads.threads(), {}
    try:
        for count in range(1, numba.config.NUMBA_NUM_THREADS + 1):
            threads.set_threads(count)
            results[count], again = gradients(), gradients()
            assert all(np.array_equal(a, b) for a, b in zip(results[count], again))
    finally:
        threads.set_threads(before)
    for result in results.values():
        for got, expected in zip(result, results[1]):
            np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-4)          # the order of 900 terms


def test_few_elements_are_one_threads_work_and_many_are_not():
    before = threads.threads()
    try:
        threads.set_threads(numba.config.NUMBA_NUM_THREADS)
        for size, count in ((threads.FEW, 1), (threads.FEW + 1, numba.config.NUMBA_NUM_THREADS)):
            cpu.tanh(np.zeros(threads.FEW, np.float32))          # compiled, and not the one that sets the count
            cpu.tanh(np.zeros(size, np.float32))
            assert numba.get_num_threads() == count
    finally:
        threads.set_threads(before)


def test_threads_must_be_there():
    with pytest.raises(ValueError, match="expected 1 to"):
        threads.set_threads(0)
    with pytest.raises(ValueError, match="expected 1 to"):
        threads.set_threads(numba.config.NUMBA_NUM_THREADS + 1)


TWO_THREADS = """
import threading, numpy as np
from scratchnet.kernels import cpu
from scratchnet.kernels.cpu import threads
x, wrong = np.ones((64, 100), 'f4'), []
cpu.tanh(x)
def work():
    for _ in range(200):
        if abs(cpu.tanh(x) - np.tanh(x)).max() > 1e-6: wrong.append(1)
workers = [threading.Thread(target=work) for _ in range(4)]
[w.start() for w in workers]; [w.join() for w in workers]
print(threads.threading_layer(), len(wrong))
"""


def test_the_workqueue_survives_several_python_threads(tree, tmp_path):
    output, _ = python(TWO_THREADS, tree, tmp_path, NUMBA_THREADING_LAYER="workqueue")
    assert output == "workqueue 0"


def test_float64_is_refused_not_converted():
    with pytest.raises(TypeError, match="expected an array of float32, got float64"):
        cpu.tanh(np.ones(3))


def test_several_threads_may_call_a_kernel_for_the_first_time():
    def double(x):
        for i in numba.prange(x.size):
            x[i] *= 2
    for _ in range(3):
        kernel, start, failed = compile.Kernel(double), threading.Barrier(4), []
        kernel.dispatcher = compile._parallel(double, None)                  # compiled, not loaded: that takes its time
        arrays = [np.ones(5, np.float32) for _ in range(4)]

        def call(array):
            start.wait()
            try:
                kernel(array)
            except RuntimeError as error:
                failed.append(str(error))
        callers = [threading.Thread(target=call, args=[array]) for array in arrays]
        for caller in callers:
            caller.start()
        for caller in callers:
            caller.join()
        assert not failed and all((array == 2).all() for array in arrays)
