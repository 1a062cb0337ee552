"""sn.for_inference on a GPU: how many launches, weights rounded once, shapes replayed. Here on the stand-ins."""

import copy
import threading

import ml_dtypes
import numpy as np
import pytest
from engines import normal

import scratchnet as sn
from scratchnet import backend
from scratchnet.kernels.cuda import cast, launch


def bottleneck():
    """ResNet's: a 1x1 convolution at the end of a residual, everything folded into three convolutions."""
    model = sn.Sequential(block=sn.Residual(sn.Sequential(
        a=sn.Conv2D(4, 1, use_bias=False), an=sn.BatchNorm(activation="relu"),
        b=sn.Conv2D(4, 3, padding=1, use_bias=False), bn=sn.BatchNorm(activation="relu"),
        c=sn.Conv2D(8, 1, use_bias=False), cn=sn.BatchNorm()), activation="relu"), flat=sn.Flatten(), fc=sn.Dense(3))
    model.init(0, (5, 6, 8))
    for norm in (leaf for leaf in model.leaves() if isinstance(leaf, sn.BatchNorm)):
        norm.buffer("running_mean")[...] = normal(1, norm.input_shape[-1])
    return model, normal(2, 3, 5, 6, 8)


@pytest.fixture
def on_device(cupy, monkeypatch):
    """(predict, images there, what the model says, {kernel: launches} so far)."""
    import cupy as module

    model, images = bottleneck()
    expected, counts, run = model(images), {}, launch.launch

    def counted(file, name, *rest, **arguments):
        counts[name] = counts.get(name, 0) + 1
        return run(file, name, *rest, **arguments)
    for user in ("bias", "batch_norm", "conv", "conv_tensor", "cast", "depthwise", "activation", "arithmetic"):
        users = backend.kernels(f"cuda.{user}")
        if hasattr(users, "launch"):
            monkeypatch.setattr(users, "launch", counted)
    monkeypatch.setattr(launch, "launch", counted)
    return sn.for_inference(sn.to_device(model, "cuda")), module.asarray(images), expected, counts


def test_bias_residual_and_relu_are_one_launch_behind_a_product(on_device):
    predict, images, expected, counts = on_device
    counts.clear()
    np.testing.assert_allclose(predict(images).get(), expected, rtol=1e-4, atol=1e-5)
    # a and fc: product, add_bias; b: all in one; c: product, then residual and ReLU by the batch norm's kernel
    assert counts == {"add_bias": 2, "conv2d": 1, "batch_norm_apply": 1}


def test_a_depthwise_convolution_with_a_bias_alone_is_one_launch(on_device):
    import cupy as module
    model = sn.Sequential(depthwise=sn.DepthwiseConv2D(3, padding=1))
    model.init(0, (5, 6, 4))
    model["depthwise"].bias.value = normal(1, 4)
    images, counts = normal(2, 2, 5, 6, 4), on_device[3]
    predict = sn.for_inference(sn.to_device(model, "cuda"))
    counts.clear()
    y = predict(module.asarray(images))
    assert sum(counts.values()) == 1, counts
    np.testing.assert_allclose(y.get(), sn.to_device(model, "cpu")(images), rtol=1e-4, atol=1e-5)


def test_in_bfloat16_weights_are_rounded_at_the_first_call_only(on_device, monkeypatch):
    predict, images, expected, counts = on_device
    predict._replays.fits = False                # call by call
    with sn.use_precision("bf16"):
        first, counted = predict(images), counts.pop("to_bfloat16")
        assert predict(images).get().tobytes() == first.get().tobytes()
    assert counted - counts["to_bfloat16"] == 4 and first.dtype == np.float32            # four layers with weights
    assert np.abs(first.get() - expected).max() < 0.1 * expected.std()
    np.testing.assert_allclose(predict(images).get(), expected, rtol=1e-4, atol=1e-5)     # float32 weights are there


def test_another_stream_finds_rounded_weights_and_none_that_are_only_about_to_be(on_device):
    import cupy as module
    predict, images, _, _ = on_device
    predict._replays.fits = False                # call by call
    with sn.use_precision("bf16"):
        expected, late = copy.deepcopy(predict)(images).get(), module.cuda.Stream(non_blocking=True)
        late.late = True
        with late:
            first = predict(images)
        assert predict(images).get().tobytes() == expected.tobytes()
        assert late.queue                        # it has not done all that it was told
        with late:
            assert first.get().tobytes() == expected.tobytes()


def test_a_shape_that_was_seen_is_replayed_and_what_was_returned_stays(on_device, monkeypatch):
    predict, images, expected, counts = on_device
    recorded, run = [], predict._run
    monkeypatch.setattr(predict, "_run", lambda x: recorded.append(x.shape) or run(x))
    results = [predict(images), predict(images)]
    assert recorded == [(3, 5, 6, 8)] * 2 and predict._replays.recordings                     # once to record it
    counts.clear()
    results += [predict(images), predict(images * np.float32(2)), predict(images)]
    assert not counts and len(recorded) == 2                                              # not a launch by Python
    for result in (*results[:3], results[4]):
        np.testing.assert_allclose(result.get(), expected, rtol=1e-4, atol=1e-5)
    assert np.abs(results[3].get() - expected).max() > 0.1
    assert predict(images[:2].copy()).shape == (2, 3)
    with sn.use_precision("bf16"):
        predict(images)
        predict(images)
    assert {key[2] for key in predict._replays.recordings} == {"float32", "bf16"}
    np.testing.assert_allclose(copy.deepcopy(predict)(images).get(), expected, rtol=1e-4, atol=1e-5)


def test_graphs_are_bounded_and_a_recording_that_fails_is_not_tried_again(on_device, monkeypatch):
    from scratchnet.inference import replay
    predict, images, expected, _ = on_device
    monkeypatch.setattr(replay, "RECORDINGS", 1)
    for count in (1, 1, 2, 2, 3, 3):
        predict(images[:count].copy())
    assert [key[0][0] for key in predict._replays.recordings] == [3]
    tries = []
    monkeypatch.setattr("scratchnet.kernels.cuda.graph.Captured", lambda *_: tries.append(1) or 1 / 0)
    for count in (2, 1, 2):
        np.testing.assert_allclose(predict(images[:count].copy()).get(), expected[:count], rtol=1e-4, atol=1e-5)
    assert len(tries) == 1 and predict._replays.why == "ZeroDivisionError: division by zero"


def test_images_that_a_graph_has_no_memory_for_run_as_before_and_others_are_replayed(on_device, monkeypatch):
    from scratchnet.inference import replay
    from scratchnet.kernels.cuda import graph
    predict, images, expected, _ = on_device
    record, room, tries = graph.Captured, [], []

    def recorded(run, x):
        assert len(room) == len(tries) + 1
        tries.append(len(x))
        if len(x) == 3:
            raise MemoryError("Out of memory\nallocating")
        return record(run, x)
    monkeypatch.setattr(graph, "Captured", recorded)
    monkeypatch.setattr(graph, "make_room", lambda: room.append(1))
    monkeypatch.setattr(replay, "SEEN", 2)
    for count in (3, 3, 3, 2, 2, 2):
        np.testing.assert_allclose(predict(images[:count].copy()).get(), expected[:count], rtol=1e-4, atol=1e-5)
    assert tries == [3, 2] and predict._replays.why == "MemoryError: Out of memory"
    assert [key[0][0] for key in predict._replays.recordings] == [2]
    predict(images[:1].copy())
    assert [key[0][0] for key in predict._replays.ran] == [2, 1]


def test_a_layer_of_somebody_elses_is_never_recorded(cupy):
    import cupy as module

    class Halved(sn.Layer):
        def forward(self, x, training=True):
            return x * x.dtype.type(0.5), None
    model = sn.Sequential(half=Halved(), fc=sn.Dense(3))
    model.init(0, (4,))
    predict, images = sn.for_inference(sn.to_device(model, "cuda")), module.asarray(normal(0, 2, 4))
    for _ in range(3):
        predict(images)
    assert not predict._replays.recordings


def test_several_threads_call_it(on_device):
    predict, images, expected, _ = on_device
    inputs = [images * np.float32(scale) for scale in (1, 2, 3)]
    alone = [predict(x).get() for x in inputs]
    found = {}

    def calls(index):
        found[index] = [predict(inputs[index]).get() for _ in range(3)]
    threads = [threading.Thread(target=calls, args=(index,)) for index in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, results in found.items():
        for result in results:
            np.testing.assert_allclose(result, alone[index], rtol=1e-6, atol=1e-6)
    assert len(found) == 3


def test_rounded_weights_are_the_nearest(cupy):
    w = launch.device.upload(normal(3, 4, 5))
    assert (cast.cast(w, launch.bfloat16()).get() == normal(3, 4, 5).astype(ml_dtypes.bfloat16)).all()
