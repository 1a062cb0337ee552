"""What a training step does beside its operations, on the host and, if there is one, a GPU: updates, in float64 beside the
reference; images that come as bytes; running statistics; counting; steps that are skipped."""

import numpy as np
import pytest
from engines import normal, run, updated, wide

from scratchnet import backend
from scratchnet import tally as tallies
from scratchnet.data import Preprocessing
from scratchnet.kernels import cuda, reference
from scratchnet.kernels.cuda import optim, pixels, training
from scratchnet.tally import Tally

SIZES = [(3, 5), (1,), (70, 61), (2048,), (0, 4)]                      # several blocks, one exactly, an array of nothing
RULES = {
    "sgd": (0, lambda lr, step: (lr, 0.0, False, 0.1)),
    "sgd with momentum": (1, lambda lr, step: (lr, 0.9, False, 0.0)),
    "sgd, Nesterov": (1, lambda lr, step: (lr, 0.9, True, 0.1)),
    "rmsprop": (1, lambda lr, step: (None, None, lr, 0.9, 1e-3, 0.0, 0.1)),
    "rmsprop with momentum": (2, lambda lr, step: (None, lr, 0.9, 1e-3, 0.9, 0.0)),
    "rmsprop, centred, with momentum": (3, lambda lr, step: (lr, 0.9, 1e-3, 0.9, 0.1)),
    "adam": (2, lambda lr, step: (step, lr, 0.9, 0.999, 1e-3, 0.1)),
    "adamw": (2, lambda lr, step: (step, lr, 0.9, 0.999, 1e-3, 0.1)),
}


def on_the_clock(engine, name, lr, step):
    """The operation with a Clock in the place of the word "clock", and what it leaves there: (operation, [Clock])."""
    made = []

    def operation(*arguments):
        made.append(optim.Clock([step - 1] * len(SIZES)))
        made[-1].lr = lr
        getattr(cuda, name)(*[made[-1] if isinstance(one, str) else one for one in arguments])
    return operation, made


def some_slots(rule):
    states = RULES[rule][0]
    slots = [[normal(10 * slot + index, *size) for index, size in enumerate(SIZES)] for slot in range(2 + states)]
    slots[2:] = [[np.square(array) for array in slot] for slot in slots[2:]]          # variances are not negative
    if "centred" in rule:
        slots[4] = [0.5 * np.sqrt(array) for array in slots[2]]
    return slots


@pytest.mark.parametrize("numbers", ["python", "clock", "clock with its rate on the device"])
@pytest.mark.parametrize("rule", RULES)
def test_an_update_of_many_parameters_at_once(engine, rule, numbers):
    name, settings, slots = rule.partition(" ")[0].rstrip(","), RULES[rule][1], some_slots(rule)
    head = [None] if rule == "sgd" else []
    for step in (1, 7, 20_000):
        lr, exact = 0.1, wide(slots)
        getattr(reference, name)(*exact, *head, *settings(lr, step))
        if numbers == "python":
            after = updated(engine, getattr(cuda, name), *slots, *head, *settings(lr, step))
        else:
            there = engine.to_device(np.array([lr], np.float32)) if "device" in numbers else lr
            operation, made = on_the_clock(engine, name, there, step)
            after = updated(engine, operation, *slots, *head, *settings("clock", 0))
            for clock in made:
                assert engine.to_host(clock.steps).tolist() == [step] * len(SIZES)
                assert engine.to_host(clock.skipped).tolist() == engine.to_host(clock.bad).tolist() == [0]
        for ours, theirs in zip(after[:len(slots)], exact):
            for one, other in zip(ours, theirs):
                np.testing.assert_allclose(one, other, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("time", ["first", "second"])
def test_tables_of_addresses_are_not_those_of_another_tests_device(engine, time):
    assert not optim._tables
    given = [engine.to_device(normal(seed, 3)) for seed in range(2)]
    cuda.sgd(*given, None, 0.1, 0.0, False, 0.0)
    assert len(optim._tables) == 1


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("rule", RULES)
def test_a_gradient_that_is_not_finite_changes_nothing_in_any_parameter(engine, rule, wrong):
    name, settings, slots = rule.partition(" ")[0].rstrip(","), RULES[rule][1], some_slots(rule)
    largest = max(slots[1], key=np.size)
    largest.reshape(-1)[-1] = wrong
    operation, made = on_the_clock(engine, name, 0.1, 3)
    after = updated(engine, operation, *slots, *([None] if rule == "sgd" else []), *settings("clock", 0))
    for ours, before in zip(after[:len(slots)], slots):
        for one, other in zip(ours, before):
            np.testing.assert_array_equal(one, other)
    for clock in made:
        assert engine.to_host(clock.steps).tolist() == [2] * len(SIZES) and engine.to_host(clock.skipped).tolist() == [1]
        assert engine.to_host(clock.bad).tolist() == [0], "the next step would be skipped, too"


def test_the_call_of_a_dropout_may_be_a_number_on_the_device(engine):
    x, call = normal(0, 5, 7), np.array([3], np.int32)
    for ours, theirs in zip(run(engine, lambda x, call: cuda.dropout(x, 0.5, 1, 2, call), x, call),
                            reference.dropout(x, 0.5, 1, 2, 3)):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("mean, std, padding", [((0.1307,), (0.3081,), ((2, 2), (2, 2))),
                                                ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225), ((0, 3), (1, 0)))])
def test_bytes_are_normalised_to_the_bits_of_the_host(engine, mean, std, padding):
    before, images = Preprocessing(mean, std, padding), np.arange(7 * 16 * 16 * len(mean)).astype(np.uint8)
    images = images.reshape(7, 16, 16, len(mean))                                      # each byte in each channel
    got, = run(engine, lambda *arrays: pixels.normalised(*arrays, padding), images, *before.scale_and_shift)
    assert got.dtype == np.float32 and got.tobytes() == before(images).tobytes()


@pytest.mark.parametrize("of_channels", [3, 300])
def test_running_statistics_follow_the_batchs_but_where_those_are_not_finite(engine, of_channels):
    arrays = [normal(seed, of_channels) for seed in range(4)]
    arrays[2][1], arrays[3][2] = np.nan, np.inf
    after = updated(engine, lambda *given: training.running_statistics(*given, 10, 0.1), *arrays)
    for place, unbias in ((0, 1.0), (1, 10 / 9)):
        expected = arrays[place] + 0.1 * (arrays[place + 2] * unbias - arrays[place])
        expected[1:3] = arrays[place][1:3]
        np.testing.assert_allclose(after[place], expected, rtol=1e-6)


@pytest.mark.parametrize("classes", [2, 10, 77])
def test_a_tally_has_the_loss_and_the_hits_of_a_batch(engine, classes):
    scores, labels = normal(0, 70, classes), np.random.default_rng(1).integers(0, classes, 70)
    scores[3, 1], scores[4, :] = np.nan, -np.inf
    scores[5, :] = scores[5, 0]                                                        # of equals the first
    probabilities = np.abs(normal(2, 70, classes))
    for given, true in ((labels, labels), (probabilities, probabilities.argmax(1))):
        for loss, skipped, expected in ((0.25, 0, 0.25), (0.25, 1, np.nan), (np.nan, 0, np.inf), (-np.inf, None, np.inf)):
            skipped = None if skipped is None else np.array([skipped], np.int32)
            losses, hits, *_ = updated(
                engine, lambda losses, hits, *rest: training.tally(losses, hits, 1, *rest), np.zeros(3, np.float32),
                np.zeros(3, np.int64), np.array(loss, np.float32), scores, given, skipped)
            np.testing.assert_array_equal(losses, np.array([0, expected, 0], np.float32))
            assert hits.tolist() == [0, (scores.argmax(1) == true).sum(), 0]


def test_one_array_is_updated_without_a_list(engine):
    w, g = normal(0, 5, 3), normal(1, 5, 3)
    after = updated(engine, cuda.sgd, w, g, None, 0.5, 0.0, False, 0.0)
    np.testing.assert_allclose(after[0], w - 0.5 * g, rtol=1e-6)


def test_a_tally_with_skipped_steps_goes_on_where_there_is_no_gpu():
    state = {"losses": np.array([1, np.nan, 0], np.float32), "hits": np.array([2, 0, 0]), "sizes": np.array([4, 4]),
             "first": np.int64(10)}
    tally = Tally.from_state(state)
    tally.add(np.float32(3), np.eye(4, 5, dtype=np.float32), np.array([0, 1, 2, 4]))
    assert tally.read() == (2.0, 5 / 12) and tally.skipped == 1
    with pytest.raises(FloatingPointError, match="the loss is inf at step 12 .batch 2 of 3"):
        Tally.from_state({**state, "losses": np.array([1, np.inf, 0], np.float32)}).read()


def test_many_skipped_steps_in_a_row_are_noticed_before_the_epoch_ends(engine, monkeypatch):
    monkeypatch.setattr(tallies, "LOOK", 4)
    monkeypatch.setattr(tallies, "MOST_SKIPPED", 3)
    if engine.name == "host":
        monkeypatch.setattr(backend._choice, "forced", backend.kernels("cuda"))
    scores, labels, tally = engine.to_device(normal(0, 5, 3)), engine.to_device(np.arange(5) % 3), Tally(100, 20)
    loss, skipped = engine.to_device(np.array(0.5, np.float32)), engine.to_device(np.ones(1, np.int32))
    for _ in range(2):
        tally.add(loss, scores, labels, skipped)
    assert np.isnan(tally.read()[0]) and tally.skipped == 2
    tally.add(loss, scores, labels, skipped)
    with pytest.raises(FloatingPointError, match="each of the last 3 steps up to step 23"):
        tally.add(loss, scores, labels, skipped)


def test_labels_of_another_width_are_counted_too(engine, monkeypatch):
    if engine.name == "host":
        monkeypatch.setattr(backend._choice, "forced", backend.kernels("cuda"))
    scores, tally = engine.to_device(np.eye(5, 6, dtype=np.float32)), Tally(1)
    tally.add(engine.to_device(np.array(0.5, np.float32)), scores, engine.to_device(np.array([0, 1, 2, 4, 4], np.int32)))
    assert tally.read() == (0.5, 0.8)
