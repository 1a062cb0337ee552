"""bench --device cuda on stand-ins: in one process, our kernels on the host, PyTorch on the CPU, events by the clock.
What a device alone can say, its times, its memory, and whether torch.compile works there, is not tested."""

import sys
import time
import types

import numpy as np
import pytest

import scratchnet as sn
from scratchnet import backend, bench, bench_ceilings, bench_mnist, bench_report, bench_results, cli, contest, rivals
from scratchnet.kernels.cuda import probe
from scratchnet.rivals import meters, mnist, ours
from scratchnet.rivals.workload import Workload

SHORT = ["lenet5", "--device", "cuda", "--batch", "2", "--rounds", "2", "--seconds", "0.001"]


class Here:
    """contest.Remote in this process; as in one of its own, no precision is in force but the one it asks for."""

    def __init__(self, make, *arguments):
        with sn.use_precision("float32"):
            self.made = make(*arguments)

    def call(self, method, *arguments):
        with sn.use_precision("float32"):
            return getattr(self.made, method)(*arguments)

    def close(self):
        """There is no process."""


def by_the_clock():
    def seconds_of(step, count):
        started = time.perf_counter()
        for _ in range(count):
            step()
        return time.perf_counter() - started
    return meters.OnGPU(seconds_of, lambda: None, lambda: 3_000_000)


@pytest.fixture
def torch():
    """All of it, before the stand-in of CuPy is there, at whose sight some of its modules look closer."""
    pytest.importorskip("torch._dynamo")
    return pytest.importorskip("torch")


@pytest.fixture
def bench_here(torch, cupy, monkeypatch, tmp_path):
    """run(*words) -> the result that bench saves."""
    import cupy as module

    from scratchnet.rivals import torch_engine

    class Random:
        def __init__(self, seed):
            self.rng = np.random.default_rng(seed)

        def standard_normal(self, shape, dtype):
            return module.asarray(self.rng.standard_normal(shape, dtype=dtype))
    module.random = type("random", (), {"default_rng": Random})
    module.copyto = lambda there, here: None
    monkeypatch.setattr(bench_ceilings, "COPIED", 1000)
    monkeypatch.setattr(bench_ceilings, "SIDE", 16)
    monkeypatch.setattr(bench, "REST", 0)
    monkeypatch.setattr(ours, "recorded", [])
    monkeypatch.setattr(contest, "WARM_UP", 0.001)
    for user in (bench, bench_mnist):
        monkeypatch.setattr(user, "Remote", Here)
    for engine in (ours, torch_engine):
        monkeypatch.setattr(engine, "meter", by_the_clock)
    monkeypatch.setattr(torch_engine, "place", lambda workload: torch.device("cpu"))
    monkeypatch.setattr(probe, "facts", lambda: {"gpu memory": "1.5 GiB", "gpu driver": "580.1"})
    file = tmp_path / "gpu.jsonl"

    def run(*words):
        assert bench.main([*SHORT, *words, "--save", str(file)]) == 0
        return bench_results.load(file)[-1]
    yield run
    torch_engine.set_precision("float32")


@pytest.mark.parametrize("precision, mode", [("float32", "training"), ("bf16", "training"), ("tf32", "inference")])
def test_a_run_has_rows_errors_ceilings_and_a_table(precision, mode, bench_here, capsys):
    result = bench_here("--precision", precision, "--mode", mode, "--eager")
    rows = {row["engine"]: row for row in result["rows"]}
    assert list(rows) == ["scratchnet", "torch", "torch channels_last"]
    assert result["precision"] == precision and result["gpu"] == "NumPy in disguise"
    assert "in float64" in result["compared"]
    assert result["machine"]["gpu driver"] == "580.1" and len(result["date"]) == 10
    assert (rows["scratchnet"]["peak_bytes"], len(ours.recorded)) == (3_000_000, 1)
    graph, = ours.recorded[0]()                  # the step was recorded, and its replays were timed
    assert rows["scratchnet"]["replayed"] is True and "replayed" not in rows["torch"]
    assert graph.pool
    limit = {"float32": 1e-5, "tf32": 1e-2, "bf16": 1e-1}[precision]
    for row in rows.values():
        assert 0 <= row["error"] < limit and row["ratio"] > 0 and row["peak_bytes"] == 3_000_000
        assert row["share_of_ceiling"] == pytest.approx(row["gflops"] / result["ceiling_gflops"])
        assert row["share_of_copy"] == pytest.approx(
            1e-9 * result["bytes_per_image"] * row["images_per_second"] / result["ceiling_copy_gbytes"])
    if precision != "float32":                   # so each really computed in that precision
        assert rows["scratchnet"]["error"] > 1e-5
    if precision == "bf16":
        assert rows["torch"]["error"] > 1e-4
    said = capsys.readouterr().out
    assert f"lenet5 {mode}, batch 2, {precision} on NumPy in disguise" in said and "a copy, read and written" in said
    assert "count for nothing" not in said and "of a copy" in said
    table = bench_results.gpu_table([result])
    assert result["eager"] is True and "the fastest of those measured" in table and ", compiled modes left out" in table
    assert "NumPy in disguise, gpu memory 1.5 GiB, gpu driver 580.1" in table and f"| {precision} |" in table


def test_an_epoch_takes_turns_too_and_says_that_its_digits_are_not_mnist(bench_here, monkeypatch, capsys):
    monkeypatch.setattr(mnist, "IMAGES", 9)
    result = bench_here("--mode", "epoch", "--sample", "--against", "torch,ncnn")
    ours_, torch, ncnn = result["rows"]
    assert 0 < ours_["lowest"] <= ours_["seconds"] and torch["ratio"] > 0 and ncnn["why"] == "measured on the CPU only"
    assert "not MNIST" in result["data"] and "not MNIST" in capsys.readouterr().out
    table = bench_results.gpu_table([result, result | {"data": "MNIST"}])
    assert "an epoch of the package's 8,000 digits" in table and "an epoch of MNIST, batch 2" in table


@pytest.mark.parametrize("engine", ["Ours", "Torch"])
def test_training_ends_with_the_first_epoch_that_reaches_the_goal(engine, bench_here, monkeypatch):
    monkeypatch.setattr(mnist, "IMAGES", 40)
    monkeypatch.setattr(mnist, "EPOCHS", 3)
    for goal, most in ((0.0, 1), (1.1, 3)):
        monkeypatch.setattr(mnist, "GOAL", goal)
        made = getattr(mnist, engine)(Workload("lenet5", "training", 20, 1), mnist.SAMPLE)
        if engine == "Ours":
            made.test, epochs = made.train, []
            monkeypatch.setattr(sn.data.Batches, "epoch", lambda self, k, start=0, run=sn.data.Batches.epoch:
                                epochs.append(k) or run(self, k, start))
            share = made.reach()
            assert max(epochs) == most - 1
        else:
            made.test, epochs, run = made.train, [], made.epoch
            made.epoch = lambda schedule: epochs.append(1) or run(schedule)
            share = made.reach()
            assert len(epochs) == most
        assert 0 <= share <= 1


def test_the_way_to_the_goal_is_timed_from_the_start_of_processes(bench_here, monkeypatch, capsys, tmp_path):
    said = []

    def run(program, *words):
        said.append(words)
        compile(program, "program", "exec")
        return (2.0, b"0.9912\n") if words[0] == "Ours" else (5.0, b"0.9799\n")
    monkeypatch.setattr(bench_mnist.bench_start, "run", run)
    result = bench_here("--mode", "accuracy", "--data-dir", str(tmp_path), "--precision", "tf32")
    mine, theirs = result["rows"]
    assert mine["seconds"] == 2 and theirs["ratio"] == 2.5 and mine["lowest_accuracy"] == 0.9912
    assert said[0][1:5] == (str(tmp_path), 2, cli.cores(), "cuda")
    assert [words[-1] for words in said] == [0, 0, 1, 1, 2, 2]
    assert "torch did not get there in every round: 97.99%" in capsys.readouterr().out
    row = bench_results.gpu_table([result]).splitlines()[-1]
    assert "to 99% of MNIST, batch 2 | tf32 | 2.00 s |" in row
    assert row.count("5.00 s, did not get there (97.99%): **2.50 x**") == 2        # eager, and the fastest


def test_a_rival_that_fails_on_mnist_is_a_row_and_scratchnet_keeps_its_times(bench_here, monkeypatch, tmp_path):
    def no_gpu(*arguments):
        raise rivals.Unavailable("PyTorch sees no GPU")
    monkeypatch.setattr(mnist, "IMAGES", 9)
    monkeypatch.setattr(bench_mnist, "Torch", no_gpu)
    mine, theirs = bench_here("--mode", "epoch", "--sample")["rows"]
    assert mine["seconds"] > 0 and theirs == {"engine": "torch", "why": "PyTorch sees no GPU"}

    def run(program, engine, *words):
        if engine == "no_gpu":
            raise RuntimeError("a program that was timed failed")
        return 2.0, b"0.9912\n"
    monkeypatch.setattr(bench_mnist.bench_start, "run", run)
    mine, theirs = bench_here("--mode", "accuracy", "--data-dir", str(tmp_path))["rows"]
    assert mine["seconds"] == 2 and "failed" in theirs["why"]
    with pytest.raises(RuntimeError, match="scratchnet"):
        bench_mnist.give_up("scratchnet", {}, [], "it failed")


def test_a_result_that_is_too_far_from_the_truth_is_said():
    def doubts(ours_, theirs, precision, mode="training"):
        rows = [{"engine": "scratchnet", "error": ours_}, {"engine": "torch", "error": theirs}]
        return "\n".join(bench_report.doubts({"rows": rows, "precision": precision, "mode": mode}))
    assert doubts(1e-2, 2e-2, "bf16") == ""
    assert "2.1e+00 from float64, more than the 2.0e-01 that bf16" in doubts(2.1, 0.1, "bf16")
    assert "count for nothing" in doubts(float("nan"), 1e-3, "tf32")
    assert "turns so many ReLUs" in doubts(1.1, 1.2, "bf16") and "count for nothing" not in doubts(1.1, 1.2, "bf16")


def test_steps_that_are_not_replayed_are_said(monkeypatch):
    monkeypatch.setattr(ours, "recorded", [lambda: []])
    assert not ours.replayed()
    rows = [{"engine": "scratchnet", "replayed": False}]
    assert "not replayed from a CUDA graph" in "".join(bench_report.doubts({"rows": rows, "mode": "inference"}))


def test_a_turn_on_a_device_is_long_enough_and_gives_its_memory_back():
    counts, freed = [], []

    def seconds_of(step, count):
        counts.append(count)
        return 0.01 * count
    meter = meters.OnGPU(seconds_of, lambda: freed.append(1), iter([5, 9, 7, 1]).__next__)
    assert meter.steps_per_second(None, 1.0) == pytest.approx(100) and counts == [1, 1, 10, 100]
    assert meter.steps_per_second(None, 1.0) == pytest.approx(100) and counts[4:] == [1, 111]
    meter.rest()
    meter.rest()
    assert len(freed) == 2 and meter.peak_bytes() == (9, 9)
    meter.forget_peak()
    assert meter.peak_bytes() == (1, 1)


def test_our_memory_is_that_of_the_pool_of_every_graph_and_of_cublas(monkeypatch):
    def pool(size):
        return types.SimpleNamespace(total_bytes=lambda: size, free_all_blocks=None)
    monkeypatch.setitem(sys.modules, "cupy", types.SimpleNamespace(get_default_memory_pool=lambda: pool(100)))
    monkeypatch.setattr(ours, "recorded", [lambda: [types.SimpleNamespace(pool=pool(20))], lambda: []])
    assert ours.meter().peak_bytes() == (120 + 32 * 2**20,) * 2


def test_what_moves_of_a_network_layer_by_layer():
    images, maps = 32 * 32, 6 * 28 * 28 + 6 * 14 * 14 + 16 * 10 * 10 + 16 * 5 * 5        # LeNet-5's, in and out
    numbers = images + 2 * maps + 2 * (120 + 84) + 10
    graph = Workload("lenet5", "inference", 4, 1).graph()
    assert graph.numbers_moved() == numbers and graph.weights() == 61_706
    assert Workload("lenet5", "inference", 4, 1).bytes_moved(graph) == 4 * numbers + 61_706
    workload = Workload("lenet5", "training", 4, 1, "cuda", "bf16")
    assert workload.bytes_moved(workload.graph()) == 2 * 3 * numbers + 8 * 61_706


def test_rivals_of_the_cpu_alone_say_so_and_eager_leaves_compiled_modes_out():
    assert rivals.why_not("onnxruntime", "inference", "cuda") == "measured on the CPU only"
    assert list(rivals.rows_of("torch", "cuda", compiled=False)) == ["torch", "torch channels_last"]
    assert len(rivals.rows_of("torch", "cuda")) == 4 and len(rivals.rows_of("torch", "cpu", compiled=False)) == 2


def test_no_gpu_is_a_usage_error(monkeypatch, capsys):
    monkeypatch.setitem(backend._loaded, "gpu", (False, "no such luck"))
    assert bench.main(SHORT) == 2
    assert "--device cuda: no GPU can be used: no such luck" in capsys.readouterr().err
