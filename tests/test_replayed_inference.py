"""sn.for_inference on the CPU: images of a shape that was seen before are kernels without the Python between; the same bits."""

import copy
import pickle
import threading

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.backend import kernels
from scratchnet.inference import replay
from scratchnet.kernels.cpu import recording, threads
from scratchnet.layers import (BatchNorm, Concat, Conv2D, Dense, DepthwiseConv2D, Dropout, Flatten, GlobalAvgPool2D,
                               LocalResponseNorm, MaxPool2D, Residual, Sequential, Tanh)

SHAPE = (20, 20, 3)


def branches():
    return Sequential(
        Conv2D(16, 5, strides=2, activation="relu"), LocalResponseNorm(), BatchNorm(), MaxPool2D(3, 2, padding=1),
        Concat(Conv2D(24, 3, padding="same"), Sequential(DepthwiseConv2D(3, padding="same"), Tanh())),
        Residual(Sequential(Conv2D(40, 3, padding=1, activation="relu"), Conv2D(40, 3, padding=1)), activation="relu"),
        Flatten(), Dropout(0.5), Dense(7))


MODELS = {"branches": branches, "a sum of branches": lambda: Sequential(
              Residual(Conv2D(3, 3, padding=1), scale=0.5), GlobalAvgPool2D(), Dense(3)),
          "few channels": lambda: Sequential(Conv2D(6, 5, activation="tanh"), MaxPool2D(2), Conv2D(16, 3), Flatten(), Dense(30))}


def made(name="branches"):
    model = MODELS[name]()
    model.init(0, SHAPE)
    return sn.for_inference(model)


def images(batch, seed=0):
    return np.random.default_rng(seed).standard_normal((batch, *SHAPE)).astype("float32")


def kinds(predict):
    return [shape[0] for shape, _ in predict._replays.recordings]


@pytest.mark.parametrize("name", MODELS)
def test_the_third_call_is_a_replay_with_the_same_bits_and_its_result_is_the_callers(name):
    predict, results = made(name), []
    for batch in (1, 17):
        for seed in range(4):
            results.append((predict(images(batch, seed)), batch, seed))
            assert kinds(predict) == [1, 17][:(batch > 1) + (seed > 0)], predict._replays.why
    for y, batch, seed in results:
        assert y.tobytes() == predict._run(images(batch, seed)).tobytes()


def test_a_replay_runs_no_step(monkeypatch):
    predict = made()
    for _ in range(2):
        predict(images(2))
    monkeypatch.setattr(predict, "_steps", None)
    predict(images(2))


def test_images_that_do_not_lie_in_order_are_replayed_too():
    predict, turned = made(), images(3).transpose(0, 2, 1, 3)
    for _ in range(2):
        predict(images(3))
    assert predict(turned).tobytes() == predict._run(np.ascontiguousarray(turned)).tobytes()


def test_with_another_number_of_threads_it_is_recorded_anew():
    predict, before = made(), threads.threads()
    try:
        for count in (1, min(2, before)):
            threads.set_threads(count)
            results = [predict(images(5, seed)) for seed in range(3)]
            assert results[2].tobytes() == predict._run(images(5, 2)).tobytes()
        assert [key[1] for key in predict._replays.recordings] == sorted({1, min(2, before)})
    finally:
        threads.set_threads(before)


def test_what_computes_outside_of_kernels_unsaid_is_not_replayed(monkeypatch):
    predict = made()
    monkeypatch.setattr("scratchnet.kernels.cpu.local_response_norm", lambda x, *settings: (x / 2, None))
    expected = [predict._run(images(2, seed)) for seed in range(4)]
    assert all(predict(images(2, seed)).tobytes() == expected[seed].tobytes() for seed in range(4))
    assert not kinds(predict) and "outside of the kernels" in predict._replays.why


def test_a_recording_made_while_all_images_were_zero_holds_for_others():
    model = Sequential(Conv2D(16, 3, padding=1), Conv2D(32, 3, padding=1), Conv2D(64, 1), GlobalAvgPool2D(), Dense(4))
    model.init(0, SHAPE)
    predict, x = sn.for_inference(model), images(16)
    for _ in range(3):
        predict(np.zeros_like(x))
    assert kinds(predict) == [16], predict._replays.why
    assert predict(x).tobytes() == predict._run(x).tobytes()


def test_a_layer_of_ones_own_is_called_each_time():
    class Noted(sn.Layer):
        def forward(self, x, training=True):
            calls.append(len(x))
            return x, None
    calls, model = [], Sequential(Conv2D(4, 3), Noted())
    model.init(0, SHAPE)
    predict = sn.for_inference(model)
    for _ in range(4):
        predict(images(2))
    assert calls == [2] * 4


def test_a_method_of_ones_own_is_called_each_time():
    model, calls = Sequential(Conv2D(4, 3), LocalResponseNorm()), []
    model.init(0, SHAPE)
    itself = model[1].forward
    model[1].forward = lambda x, training=True: (calls.append(len(x)), itself(x, training))[1]
    predict = sn.for_inference(model)
    for _ in range(4):
        predict(images(2))
    assert calls == [2] * 4


def test_images_are_memory_of_a_recording_too(monkeypatch):
    monkeypatch.setattr(recording, "MOST", images(64).nbytes - 1)
    model = Sequential(GlobalAvgPool2D(), Dense(3))
    model.init(0, SHAPE)
    predict = sn.for_inference(model)
    for _ in range(3):
        predict(images(64))
    assert not kinds(predict) and "take more than" in predict._replays.why


def test_recordings_take_little_memory_and_the_oldest_is_forgotten(monkeypatch):
    predict = made()
    for batch in (4, 9):
        predict(images(batch)), predict(images(batch))
    one, two = (recorded.bytes for recorded in predict._replays.recordings.values())
    assert 0 < one < two
    for most, left in ((one + two, [9, 4]), (two, [4]), (one - 1, [])):
        predict = made()
        monkeypatch.setattr(recording, "MOST", most)
        for batch in (9, 4):
            predict(images(batch)), predict(images(batch))
        assert kinds(predict) == left, (most, predict._replays.why)
    assert predict._replays.why == f"RuntimeError: its arrays take more than {one - 1:,} bytes"
    monkeypatch.undo()
    monkeypatch.setattr(replay, "RECORDINGS", 1)
    predict = made()
    for batch in (2, 1):
        predict(images(batch)), predict(images(batch))
    assert kinds(predict) == [1]


def test_a_copy_and_one_from_a_pickle_record_for_themselves():
    predict = made()
    for _ in range(2):
        predict(images(2))
    for other in (copy.deepcopy(predict), pickle.loads(pickle.dumps(predict))):
        assert not kinds(other)
        for seed in range(3):
            assert other(images(2, seed)).tobytes() == predict(images(2, seed)).tobytes()
        assert kinds(other) == [2]


def test_while_one_thread_replays_another_one_runs_the_steps():
    predict = made()
    expected = [predict(images(2, seed)) for seed in range(3)]
    found = []
    with predict._replays.lock:                  # what a replay holds
        other = threading.Thread(target=lambda: found.append(predict(images(2, 1))))
        other.start()
        other.join()
    assert found[0].tobytes() == expected[1].tobytes()


def test_the_kernels_of_what_the_host_repeats_are_launched_by_it_alone():
    x, sums = np.ones(8, np.float32), []

    def function(x):
        total = recording.computed(lambda: kernels("cpu").add(x, x, 1.0))
        recording.each_time(lambda: sums.append(kernels("cpu").add(total, x, 1.0)[0]))
        return kernels("cpu").add(total, x, 1.0)
    recorded = recording.Recorded(function, x)
    assert len(recorded.steps) == 3 and recorded(2 * x).tolist() == [6] * 8 and sums == [3, 6]


def test_a_recording_repeats_what_the_host_does_where_it_is_said():
    counted, numbers = [], iter(range(10))

    def function(x):
        recording.each_time(lambda: counted.append(float(x[0])))
        number = recording.varying(lambda: next(numbers))
        doubled = recording.computed(lambda: x * 2)
        pair = recording.computed(lambda: (doubled + 1, x.sum(keepdims=True)))
        out = np.empty(1)
        recording.each_time(lambda: np.copyto(out, int(number)))
        return doubled, *pair, out
    recorded = recording.Recorded(function, np.array([1.0, 2.0]))
    assert counted == [1] and recording.recording() is None
    results = recorded(np.array([5.0, 7.0]))
    assert [result.tolist() for result in results] == [[10, 14], [11, 15], [12], [1]] and counted == [1, 5]
    with pytest.raises(ZeroDivisionError):
        recording.Recorded(lambda x: 1 / 0, np.ones(1))
    assert recording.recording() is None
    assert recording.varying(lambda: 3) == 3 and recording.computed(lambda: 4) == 4
