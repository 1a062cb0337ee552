"""bench: what it says, in a run that takes seconds; usage; the ceiling; the work of a network."""

import importlib.util
import json
import os
import sys
import time

import numpy as np
import pytest

import scratchnet as sn
from scratchnet import bench, bench_layers, bench_report, bench_results, cli, models, rivals
from scratchnet.contest import Remote
from scratchnet.heads import auxiliaries
from scratchnet.rivals import truth
from scratchnet.rivals.graph import Graph
from scratchnet.rivals.workload import Workload, has_dropout

SHORT = ["lenet5", "--batch", "2", "--rounds", "2", "--seconds", "0.01"]


def test_without_rivals_it_times_scratchnet_and_says_how_to_install_each(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    results = tmp_path / "results.jsonl"
    against = "torch,onnxruntime,openvino,ncnn"
    assert bench.main([*SHORT, "--mode", "inference", "--against", against, "--json", "--save", str(results)]) == 0
    captured = capsys.readouterr()
    result = json.loads(captured.out)
    ours, *others = result["rows"]
    assert ours["engine"] == "scratchnet" and ours["ratio"] == 1
    assert 0 < ours["lowest"] <= ours["images_per_second"] <= ours["highest"]
    assert ours["gflops"] == pytest.approx(2e-9 * 416_520 * ours["images_per_second"])
    assert ours["share_of_ceiling"] == pytest.approx(ours["gflops"] / result["ceiling_gflops"]) and ours["error"] < 1e-5
    assert [row["engine"] for row in others] == against.split(",")
    assert all("pip install" in row["why"] for row in others) and "torch==" in others[0]["why"]
    saved, = bench_results.load(results)
    assert {name: saved[name] for name in result} == result
    assert saved["machine"]["cores"] >= 1 and "numba" in saved["versions"] and len(saved["date"]) == 10
    bench_report.show(result)
    said = capsys.readouterr().out
    assert "lenet5 inference, batch 2" in said and "reference kernels in float64" in said
    assert f"ncnn: {others[-1]['why']}" in said and "fastest rival" not in said


def test_against_eager_pytorch_gradients_are_compared_and_layers_timed(capsys, monkeypatch):
    pytest.importorskip("torch")
    eager = rivals.RIVALS["torch"]._replace(rows={"torch": ("torch_engine", {})})
    monkeypatch.setitem(rivals.RIVALS, "torch", eager)             # compiling takes half a minute
    monkeypatch.setattr(bench_layers, "ROUNDS", 1)
    assert bench.main([*SHORT, "--against", "torch,ncnn", "--layers", "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    ours, eager, ncnn = result["rows"]
    assert (ours["engine"], eager["engine"]) == ("scratchnet", "torch") and ncnn["why"] == "has no backward passes"
    assert 0 < ours["error"] < 1e-5 and 0 < eager["error"] < 1e-5 and eager["ratio"] > 0
    if sys.platform == "linux":
        assert 0 < eager["peak_bytes"] < eager["process_peak_bytes"]
    layers = {layer["path"]: layer for layer in result["layers"]}
    assert list(layers) == ["conv1", "pool1", "conv2", "pool2", "flatten", "fc1", "fc2", "fc3"]
    assert layers["conv2"]["gflop"] == {"forward": pytest.approx(2e-9 * 2 * 240_000),
                                        "backward": pytest.approx(4e-9 * 2 * 240_000)}
    assert layers["conv1"]["gflop"]["backward"] == layers["conv1"]["gflop"]["forward"]     # nobody needs its dx
    assert all(layers["fc1"][engine][way] > 0 for engine in ("scratchnet", "torch") for way in ("forward", "backward"))
    bench_report.show(result)
    said = capsys.readouterr().out
    assert "scratchnet is" in said and "the fastest rival, torch" in said and "torch backward" in said


def test_a_mode_that_fails_is_a_row_that_says_why(capsys, monkeypatch):
    pytest.importorskip("torch")
    compiled = rivals.RIVALS["torch"]._replace(rows={"torch compiled": ("torch_engine", {"compiled": "default"})})
    monkeypatch.setitem(rivals.RIVALS, "torch", compiled)
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("TORCHINDUCTOR_FORCE_DISABLE_CACHES", "1")
    assert bench.main([*SHORT, "--mode", "inference", "--json"]) == 0
    _, row = json.loads(capsys.readouterr().out)["rows"]
    assert row["why"].startswith("torch.compile failed, it needs a C++ compiler: ")


def test_a_process_that_ends_or_raises_makes_its_engine_unavailable():
    with pytest.raises(rivals.Unavailable, match="its process ended"):
        Remote(os._exit, 3)
    with pytest.raises(rivals.Unavailable, match="ValueError: invalid literal"):
        Remote(int, "three")
    remote = Remote(int, "3")
    assert remote.call("bit_length") == 2
    remote.process.kill()
    remote.process.join()
    with pytest.raises(rivals.Unavailable, match="its process ended"):
        remote.call("bit_length")
    remote.close()


def test_a_rival_that_ends_on_the_way_leaves_a_row_that_says_why_and_the_others_times(monkeypatch, capsys):
    class Fake:
        """Contenders that always take the same time; the one named here has ended by its second turn."""

        ends, turns = "torch channels_last", 0

        def __init__(self, make, row, *arguments):
            self.row = row

        def call(self, method, *arguments):
            if method == "turn":
                self.turns += 1
                if self.row == self.ends and self.turns > 1:
                    raise rivals.Unavailable("its process ended")
            return {"words": None, "turn": 3.0, "error": None, "peak_bytes": (None, None)}[method]

        def close(self):
            """Nothing is left of it."""
    monkeypatch.setattr(bench, "Remote", Fake)
    monkeypatch.setattr(bench, "REST", 0)
    monkeypatch.setattr(bench, "why_not", lambda name, mode, device: None)
    assert bench.main([*SHORT, "--json"]) == 0
    rows = {row["engine"]: row for row in json.loads(capsys.readouterr().out)["rows"]}
    assert rows.pop("torch channels_last") == {"engine": "torch channels_last", "why": "its process ended"}
    assert len(rows) == 4 and all(row["images_per_second"] == 3 for row in rows.values())
    monkeypatch.setattr(Fake, "ends", "scratchnet")
    assert bench.main([*SHORT, "--json"]) == 1
    assert "bench: scratchnet: its process ended" in capsys.readouterr().err


def test_the_first_step_is_timed_from_the_start_of_the_process(capsys):
    against = "torch,ncnn" if importlib.util.find_spec("torch") else "ncnn"
    assert bench.main(["lenet5", "--mode", "start", "--rounds", "1", "--against", against, "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    ours, *_, ncnn = result["rows"]
    assert ours["engine"] == "scratchnet" and 0.1 < ours["lowest"] <= ours["seconds"] <= ours["highest"]
    assert ncnn["why"] == "has no backward passes"
    assert all(row["ratio"] == pytest.approx(row["seconds"] / ours["seconds"]) for row in result["rows"][:-1])
    bench_report.show(result)
    assert "process start to the end of the first training step" in capsys.readouterr().out


@pytest.mark.parametrize("words", [["--mode", "start"], ["--layers"]])
def test_what_times_the_cpu_runs_there_on_a_machine_with_a_gpu(words, monkeypatch, capsys):
    monkeypatch.setattr(cli, "choose_device", lambda args: args.device or "cuda")
    found = []

    def measure(args, workload):
        found.append(workload.device)
        raise RuntimeError("seen")
    monkeypatch.setitem(bench.MEASURES, "start", measure)
    monkeypatch.setattr(bench, "contest", measure)
    assert bench.main(["lenet5", *words]) == 1 and found == ["cpu"]


def test_without_a_truth_there_are_times_and_the_reason(monkeypatch, capsys):
    def out_of_memory(*arguments):
        raise rivals.Unavailable("OutOfMemoryError: CUDA out of memory")
    monkeypatch.setattr(bench, "Remote", out_of_memory)
    found = bench.truth_of(Workload("lenet5", "training", 2, 1), "nowhere")
    assert found == {"compared": None, "uncompared": "OutOfMemoryError: CUDA out of memory"}


def test_pytorch_that_sees_no_gpu_says_so_and_the_truth_is_ours(monkeypatch):
    torch = pytest.importorskip("torch")
    from scratchnet.rivals import torch_engine
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    workload = Workload("lenet5", "training", 2, 1, "cuda")
    assert not truth._torch_has_a_gpu(workload)
    with pytest.raises(rivals.Unavailable, match="sees no GPU"):
        torch_engine.place(workload)
    images = torch.zeros(1)
    assert not isinstance(torch_engine.casting(images, "float32"), torch.autocast)
    assert isinstance(torch_engine.casting(images, "bf16"), torch.autocast)


@pytest.mark.parametrize("words, message", [
    (["lenet"], "unknown model 'lenet'; did you mean lenet5?"),
    (["lenet5", "--against", "torch,onnxrutime"], "--against: unknown 'onnxrutime'; did you mean onnxruntime?"),
    (["lenet5", "--mode", "infer"], "argument --mode: invalid choice: 'infer'"),
    (["lenet5", "--batch", "0"], "argument --batch: expected a whole number of at least 1"),
    (["lenet5", "--save", "no/such/file"], "--save no/such/file: expected a file in a folder that is there"),
    (["lenet5", "--mode", "start", "--layers"], "--mode start times lenet5 as a whole; leave --layers out"),
    (["resnet50", "--mode", "start"], "--mode start knows lenet5 only, got 'resnet50'"),
    (["lenet5", "--device", "cuda", "--layers"], "--layers times the CPU; on a GPU there are --mode accuracy and"),
    (["lenet5", "--device", "cuda", "--mode", "start"], "--mode start times the CPU; on a GPU there are --mode accuracy"),
    (["lenet5", "--device", "cpu", "--precision", "tf32"], "--precision tf32: expected a GPU, got the CPU"),
    (["lenet5", "--mode", "epoch"], "--mode epoch needs MNIST's four files: name their folder with --data-dir or"),
    (["lenet5", "--mode", "accuracy"], "--mode accuracy needs MNIST's four files"),
    (["lenet5", "--mode", "accuracy", "--sample"], "--sample: expected --mode epoch without --data-dir; 99% is"),
    (["lenet5", "--mode", "epoch", "--sample", "--data-dir", "x"], "without --data-dir; --data-dir names MNIST itself"),
    (["vgg16", "--mode", "epoch", "--sample"], "--mode epoch knows lenet5 only, got 'vgg16'"),
])
def test_what_cannot_be_measured_is_a_usage_error(words, message, capsys):
    assert bench.main(words) == 2
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 1 and message in captured.err


# The figures: GFLOP of an image in inference and in training, where nobody needs the gradient of the images.
@pytest.mark.parametrize("name, inference, training", [
    ("lenet5", 0.00083, 0.00226), ("resnet50", 8.2, 24.3), ("vgg16", 30.9, 92.6)])
def test_the_work_of_a_network(name, inference, training):
    assert 2e-9 * Workload(name, "inference", 1, 1).graph().multiply_adds() == pytest.approx(inference, rel=5e-3)
    assert 2e-9 * Workload(name, "training", 1, 1).graph().multiply_adds() == pytest.approx(training, rel=5e-3)


@pytest.mark.parametrize("name", ["inception_v3", "googlenet", "xception", "inception_resnet_v2"])
def test_inference_takes_the_models_own_multiply_adds_and_training_those_of_auxiliary_classifiers_too(name):
    model = models.blank(name)
    assert Graph(model).multiply_adds() == model.multiply_adds(model.input_shape) and not Graph(model).heads
    graph = Workload(name, "training", 1, 1).graph()
    heads = [auxiliary.head for auxiliary in auxiliaries(model)]
    assert len(graph.heads) == len(heads) == {"inception_v3": 1, "googlenet": 2}.get(name, 0)
    first, *_ = model.leaves()
    forward = sum(layer.multiply_adds(layer.input_shape) for layer in (model, *heads))
    assert graph.multiply_adds() == 3 * forward - first.multiply_adds(model.input_shape)


def test_dropout_is_left_out_and_that_is_said(capsys):
    assert has_dropout("vgg16") and not has_dropout("lenet5")
    assert all(leaf.rate == 0 for leaf in Workload("alexnet", "training", 1, 1).network().leaves()
               if isinstance(leaf, sn.Dropout))
    bench_report.show({"model": "vgg16", "mode": "start", "batch": 1, "threads": 1, "rounds": 1, "rows": [],
                       "without_dropout": True})
    assert "dropout set to 0 in all" in capsys.readouterr().out


def test_a_value_is_forgotten_after_its_last_use_and_no_sooner():
    graph = Graph(models.blank("googlenet"))
    alive, most = {0}, 0
    for node, dead in zip(graph.nodes, graph.last_uses()):
        assert set(node.inputs) <= alive
        alive = (alive | {node.output}) - set(dead)
        most = max(most, len(alive))
    assert alive == {graph.output} and most <= 6            # four branches, their input, and what is being made


def test_dropout_and_unknown_layers_are_refused():
    class Odd(sn.Layer):
        def forward(self, x, training=True):
            return x, lambda dy, need_dx=True: dy

    model = sn.Sequential(sn.Dropout(0.5), sn.Dense(2), Odd())
    model.init(0, (3,))
    with pytest.raises(ValueError, match="masks of two engines differ"):
        Graph(model, training=True)
    pytest.importorskip("torch")
    from scratchnet.rivals.pytorch import Network
    with pytest.raises(rivals.Unavailable, match=r"2 \(Odd\) has no translation for PyTorch yet; add one to rivals"):
        Network(model, training=False)
    with pytest.raises(rivals.Unavailable, match=r"^squash1 \(Squash\) has no translation for PyTorch yet"):
        Network(models.blank("lenet5_1998"), training=False)


def test_every_public_layer_has_a_translation_or_is_walked_through():
    pytest.importorskip("torch")
    pytest.importorskip("onnx")
    from scratchnet.rivals import onnx_file, pytorch
    kinds = {kind for name, kind in vars(sn.layers).items() if name in sn.layers.__all__ and isinstance(kind, type)
             and issubclass(kind, sn.Layer)}
    walked = {sn.Layer, sn.Sequential, sn.SeparableConv2D, sn.Auxiliary, sn.Dropout, sn.Identity}
    for table in (pytorch.MODULES, onnx_file.OPERATORS):
        assert {kind for kind in table if kind != "file"} == kinds - walked


def test_errors_are_measured_against_the_truth(tmp_path):
    workload = Workload("lenet5", "training", 2, 1)
    assert "reference kernels in float64" in truth.Truth(workload, tmp_path / "gradients").words()
    with np.load(tmp_path / "gradients.npz") as file:
        exact = dict(file)
    assert truth.error(exact, tmp_path / "gradients") == 0
    assert truth.error({name: 1.01 * gradient for name, gradient in exact.items()},
                       tmp_path / "gradients") == pytest.approx(0.01)
    workload = Workload("lenet5", "inference", 3, 1)
    truth.Truth(workload, tmp_path / "logits")
    with np.load(tmp_path / "logits.npz") as file:
        exact = file["logits"]
    off = exact.copy()
    off[1, 4] += 0.5 * exact.std()
    assert truth.error({"logits": off}, tmp_path / "logits") == pytest.approx(0.5)


def test_the_ceiling_is_one_that_a_core_can_have_and_a_matrix_product_stays_below_it():
    from scratchnet.kernels.cpu import ceiling, threads
    before = threads.threads()
    threads.set_threads(1)
    try:
        one = max(ceiling.multiply_adds(0.05) for _ in range(3))
    finally:
        threads.set_threads(before)
    assert 1e8 * ceiling.LANES < one < 6e9 * 4 * ceiling.LANES       # up to 6 GHz, at most four vectors a cycle
    x = np.ones((512, 512), np.float32)
    x @ x
    started = time.perf_counter()
    x @ x
    speed = 512 ** 3 / (time.perf_counter() - started)
    assert speed < 3 * one * cli.cores()         # 3: somebody else may have had the core while the ceiling was taken
