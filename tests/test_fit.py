"""fit and evaluate: what they report agrees with a loop written out here, and what is wrong is named."""

import json

import numpy as np
import pytest

import scratchnet as sn
from scratchnet.data import Batches
from scratchnet.fit import evaluate
from scratchnet.history import FIELDS
from scratchnet.layers import Dense, Dropout, Flatten, Sequential

RNG = np.random.default_rng(0)
CENTRES = RNG.standard_normal((3, 8)).astype("float32")


def blobs(n, seed):
    """Three clouds of points in eight dimensions, 90% apart."""
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 3, n)
    return CENTRES[y] + 0.7 * rng.standard_normal((n, 8)).astype("float32"), y


TRAIN, VALIDATION = blobs(150, 1), blobs(60, 2)


def model(seed=0, dropout=0.0):
    m = Sequential(Dense(16, activation="tanh"), Dropout(dropout), Dense(3))
    m.init(seed, (8,))
    return m.astype("float64")


def softmaxed():
    m = Sequential(Dense(3, activation="softmax"))
    m.init(0, (8,))
    return m


def run(m=None, **settings):
    m = m or model()
    return m, sn.fit(m, TRAIN, VALIDATION, **{"epochs": 3, "batch_size": 32, "progress": False, **settings})


def test_a_row_for_each_epoch_with_the_fields_of_metrics_jsonl():
    _, history = run()
    assert len(history) == 3
    assert all(tuple(row) == FIELDS for row in history)
    assert history["epoch"] == [1, 2, 3] and history["step"] == [5, 10, 15]      # 150 images in batches of 32
    assert json.loads(json.dumps(history)) == history


def test_it_learns():
    _, history = run(epochs=10)
    assert history["train_loss"][-1] < history["train_loss"][0] / 2
    assert history["validation_accuracy"][-1] > 0.85


def test_it_is_the_loop_one_would_write():
    fitted, history = run(schedule=lambda step: 0.1 / (step + 1), epochs=2, seed=5)
    mine = model()
    optimizer = sn.SGD(mine.parameters(), lr=0.01, momentum=0.9, nesterov=True)
    batches, step = Batches(*TRAIN, 32, seed=5), 0
    for epoch in range(2):
        losses, hits = [], 0
        for x, y in batches.epoch(epoch):
            optimizer.lr = 0.1 / (step + 1)
            loss, logits, backward = mine.loss(x.astype("float64"), y)
            losses += [float(loss)] * len(y)
            hits += int((logits.argmax(1) == y).sum())
            backward()
            optimizer.step()
            step += 1
        assert history[epoch]["train_loss"] == pytest.approx(np.mean(losses), rel=1e-12)
        assert history[epoch]["train_accuracy"] == hits / 150
    assert history["lr"] == [0.1 / 5, 0.1 / 10]
    for name, value in mine.state_dict().items():
        np.testing.assert_array_equal(value, fitted.state_dict()[name])


def test_validation_is_scored_in_inference_mode_on_every_sample():
    m, history = run(model(dropout=0.5), epochs=1)
    logits = m(VALIDATION[0].astype("float64"))
    loss, _ = sn.softmax_cross_entropy(logits, VALIDATION[1])
    assert history[0]["validation_loss"] == pytest.approx(float(loss), rel=1e-12)
    assert history[0]["validation_accuracy"] == (logits.argmax(1) == VALIDATION[1]).mean()


def test_the_same_seed_gives_the_same_bits_and_another_seed_another_order():
    states = [run(epochs=1, seed=seed)[0].state_dict() for seed in (0, 0, 1)]
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])
    assert not all(np.array_equal(states[0][name], states[2][name]) for name in states[0])


def test_gradients_that_a_step_left_behind_do_not_count():
    untouched, interrupted = model(), model()
    interrupted.loss(TRAIN[0].astype("float64"), TRAIN[1])[2]()
    states = [run(m, epochs=1)[0].state_dict() for m in (untouched, interrupted)]
    assert all(np.array_equal(states[0][name], states[1][name]) for name in states[0])


def test_without_a_validation_set_its_columns_are_none_and_there_is_no_best():
    history = sn.fit(model(), TRAIN, epochs=1, progress=False)
    assert history[0]["validation_loss"] is None and history[0]["validation_accuracy"] is None
    with pytest.raises(ValueError, match="no best epoch without a validation set"):
        history.best()


def test_the_best_row_is_the_first_with_the_highest_accuracy_and_the_lowest_loss():
    from scratchnet.history import History

    rows = [(0.8, 0.1), (0.9, 0.5), (0.9, 0.4), (0.9, 0.4)]
    history = History({"validation_accuracy": accuracy, "validation_loss": loss} for accuracy, loss in rows)
    assert history.best() is history[2]


def test_batches_of_ones_own_keep_their_batch_size():
    history = sn.fit(model(), Batches(*TRAIN, 10), epochs=1, batch_size=64, progress=False)
    assert history["step"] == [15]


def test_hooks_see_every_step_and_every_epoch_and_may_end_the_training():
    steps, epochs = [], []

    def after_epoch(position):
        epochs.append(position.epoch)
        if len(position.history) == 2:
            raise StopIteration

    with pytest.raises(StopIteration):
        run(epochs=9, after_step=lambda position: steps.append(position.step), after_epoch=after_epoch)
    assert steps == list(range(1, 11)) and epochs == [1, 2]


def test_a_loss_that_is_not_a_number_stops_with_the_step_the_layer_and_the_weights_before_it():
    m = model()
    m.parameters()["2.weight"].value[0, 0] = np.inf
    before = m.state_dict()
    words = r"loss is nan at step 1 \(batch 1 of 5 of its epoch\); .*the first layer .* is 2 \(Dense 3\)"
    with pytest.raises(FloatingPointError, match=words), np.errstate(all="ignore"):
        run(m)
    assert all(np.array_equal(before[name], value) for name, value in m.state_dict().items())


def test_images_that_are_not_finite_are_named_rather_than_a_layer():
    from scratchnet.nonfinite import culprit

    assert culprit(model(), np.full((2, 8), np.nan)) == "the images of this batch already hold NaN or infinity"


def test_a_loss_that_breaks_down_later_is_named_with_its_own_step():
    m = model()

    def after_step(position):
        if position.step == 7:
            m.parameters()["0.weight"].value[0, 0] = np.nan

    with pytest.raises(FloatingPointError, match=r"at step 8 \(batch 3 of 5 of its epoch\)"):
        run(m, after_step=after_step)


def test_parameters_that_are_not_finite_are_noticed_after_the_last_step_too():
    m = model()

    def after_step(position):
        m.parameters()["0.bias"].value[0] = np.inf if position.step == 5 else 0

    with pytest.raises(FloatingPointError, match="0.bias is not finite after step 5; lower the learning rate"):
        run(m, epochs=1, after_step=after_step)


def test_evaluate_counts_row_true_column_predicted():
    x = np.eye(3, dtype="float32")[[0, 0, 1, 2, 2, 2]]      # the network says what x says
    m = Sequential(Dense(3, use_bias=False))
    m.init(0, (3,))
    m.parameters()["0.weight"].value = np.eye(3)
    m.astype("float64")
    found = evaluate(m, Batches(x, np.array([0, 1, 1, 2, 2, 0]), 4, shuffle=False))
    assert found.confusion.tolist() == [[1, 0, 1], [1, 1, 0], [0, 0, 2]]
    assert found.predictions.tolist() == [0, 0, 1, 2, 2, 2]
    assert (found.n, found.accuracy) == (6, 4 / 6)
    loss, _ = sn.softmax_cross_entropy(x.astype("float64"), np.array([0, 1, 1, 2, 2, 0]))
    assert found.loss == pytest.approx(float(loss), rel=1e-12)


def test_uint8_images_are_served_between_0_and_1():
    images = np.array([0, 255], np.uint8).reshape(2, 1, 1, 1)
    m = Sequential(Flatten(), Dense(2, use_bias=False))
    m.init(0, (1, 1, 1))
    m.parameters()["1.weight"].value = np.array([[0.0, 1.0]])
    m.astype("float64")
    found = evaluate(m, Batches(images, np.array([0, 1]), 2, shuffle=False))
    assert found.loss == pytest.approx((np.log(2) + np.log1p(np.exp(-1))) / 2, rel=1e-6)


@pytest.mark.parametrize("settings, error, words", [
    ({"epochs": 0}, ValueError, "epochs must be a positive int, got 0"),
    ({"train": TRAIN[0]}, TypeError, r"train must be a pair \(images, labels\)"),
    ({"train": (TRAIN[0], TRAIN[1] + 1)}, ValueError, "labels run from 1 to 3, but .* has 3 outputs"),
    ({"validation": (TRAIN[0], TRAIN[1] - 1)}, ValueError, "labels run from -1 to 1"),
    ({"batch_size": 0}, ValueError, "batch_size"),
    ({"model": Sequential(Dense(3))}, RuntimeError, "not initialised"),
    ({"model": len}, TypeError, "expected a model, a Layer such as sn.Sequential, got builtin"),
    ({"validation": (TRAIN[0][:, :5], TRAIN[1])}, ValueError, r"takes images of \(8,\), got \(5,\) in validation"),
    ({"optimizer": sn.SGD(model().parameters(), lr=0.1)}, ValueError, "was made for other parameters"),
    ({"schedule": lambda step: -1.0}, ValueError, r"learning rate of at least 0 and finite, got -1.0 from schedule\(0\)"),
    ({"resume": True}, ValueError, "resume=True needs out"),
    ({"model": softmaxed()}, ValueError, "ends .* in a softmax, but the loss contains one"),
], ids=["no epochs", "no labels", "a label too high", "a negative label", "empty batches", "no init", "no model",
        "other images", "another model's optimiser", "a negative rate", "nowhere to resume", "two softmaxes"])
def test_what_cannot_be_meant_is_named_before_the_first_step(settings, error, words):
    def after_step(step):
        raise AssertionError("a step was made")

    settings = {"model": model(), "train": TRAIN, "progress": False, "after_step": after_step, **settings}
    with pytest.raises(error, match=words):
        sn.fit(**settings)


class HalfStep:
    """An optimiser of somebody's own."""

    def __init__(self, parameters):
        self.parameters, self.lr = parameters, 0.5

    def step(self):
        for parameter in self.parameters.values():
            parameter.value = parameter.value - self.lr * parameter.grad


def test_an_optimiser_of_ones_own_has_parameters_a_rate_and_step_and_no_more():
    m = model()
    m, history = run(m, optimizer=HalfStep(m.parameters()))
    assert history[-1]["train_loss"] < history[0]["train_loss"] and history["skipped_steps"] == [0] * len(history)


def test_a_network_without_parameters_is_scored_in_silence(capsys):
    class Twice(sn.Layer):
        def forward(self, x, training=True):
            return 2 * x, lambda dy, need_dx=True: 2 * dy

    m = Sequential(Flatten(), Twice())
    m.init(0, (3,))
    optimizer = sn.SGD(m.parameters())
    sn.fit(m, (np.eye(3, dtype="float32"), np.arange(3)), epochs=1, optimizer=optimizer, progress=True)
    assert "graph" not in capsys.readouterr().err


def test_progress_is_one_plain_line_an_epoch_on_stderr_or_nothing(capsys):
    run()
    assert capsys.readouterr() == ("", "")
    run(progress=True)
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.count("\n") == 3
    assert captured.err.startswith("epoch 1/3  lr 0.01") and "\r" not in captured.err


def test_on_a_terminal_a_bar_shows_the_running_loss(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    monkeypatch.setattr("scratchnet.progress.REFRESH", 0)
    run(progress=True, epochs=1)
    shown = capsys.readouterr().err
    assert "epoch 1/1" in shown and "\r" in shown and "loss " in shown.split("lr 0.01")[0]
