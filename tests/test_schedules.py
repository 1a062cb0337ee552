"""Schedules: their values at the ends and at the joints, and that they do not jump in between."""

import math

import pytest

from scratchnet import schedules

STEPS = 1000


def largest_jump(schedule):
    rates = [schedule(t) for t in range(STEPS + 1)]
    return max(abs(after - before) for before, after in zip(rates, rates[1:]))


def test_constant_is_the_same_at_every_step():
    assert {schedules.constant(0.1)(t) for t in (0, 1, 10 ** 9)} == {0.1}


def test_step_falls_by_the_factor_every_so_many_steps():
    schedule = schedules.step(0.8, every=10, factor=0.5)
    assert [schedule(t) for t in (0, 9, 10, 19, 20, 30)] == pytest.approx([0.8, 0.8, 0.4, 0.4, 0.2, 0.1])


def test_cosine_begins_at_lr_passes_the_middle_half_way_and_ends_at_final():
    schedule = schedules.cosine(0.4, STEPS, final=0.2)
    assert [schedule(t) for t in (0, STEPS // 2, STEPS)] == pytest.approx([0.4, 0.3, 0.2])
    assert schedule(STEPS // 3) == pytest.approx(0.2 + 0.1 * (1 + math.cos(math.pi * (STEPS // 3) / STEPS)))
    assert largest_jump(schedule) < 0.001


def test_one_cycle_rises_to_lr_and_falls_further_than_it_began():
    schedule = schedules.one_cycle(1.0, STEPS, rise=0.3, start_divisor=25, end_divisor=250_000)
    assert [schedule(t) for t in (0, 300, STEPS)] == pytest.approx([1 / 25, 1.0, 1 / 250_000])
    assert schedule(150) == pytest.approx((1 + 1 / 25) / 2)
    rates = [schedule(t) for t in range(STEPS + 1)]
    assert rates[:301] == sorted(rates[:301]) and rates[300:] == sorted(rates[300:], reverse=True)
    assert largest_jump(schedule) < 0.01


@pytest.mark.parametrize("schedule", [schedules.cosine(0.1, 10, 0.01), schedules.one_cycle(0.1, 10)],
                         ids=["cosine", "one_cycle"])
def test_past_its_end_a_schedule_stays_at_its_last_value(schedule):
    assert schedule(11) == schedule(10 ** 6) == schedule(10)


def test_warm_up_is_a_straight_line_from_a_first_step_above_zero_into_the_schedule():
    inner = schedules.constant(0.6)
    schedule = schedules.warm_up(inner, 5)
    assert [schedule(t) for t in range(7)] == pytest.approx([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.6])


def test_warm_up_leaves_the_schedule_as_it_is_afterwards():
    inner = schedules.cosine(0.6, STEPS)
    schedule = schedules.warm_up(inner, 100)
    assert all(schedule(t) == inner(t) for t in range(100, STEPS))
    assert largest_jump(schedule) < 0.007


@pytest.mark.parametrize("wrong, words", [
    (lambda: schedules.constant(-0.1), "constant: lr"),
    (lambda: schedules.constant(math.nan), "constant: lr"),
    (lambda: schedules.step(0.1, every=0), "step: every"),
    (lambda: schedules.cosine(0.1, 2.5), "cosine: steps"),
    (lambda: schedules.one_cycle(0.1, 10, rise=1), "one_cycle: expected 0 < rise < 1"),
    (lambda: schedules.warm_up(schedules.constant(1), 0), "warm_up: steps"),
], ids=["negative", "nan", "no step", "half a step", "rise of 1", "no warm-up"])
def test_a_setting_that_cannot_be_meant_is_named(wrong, words):
    with pytest.raises(ValueError, match=words):
        wrong()
