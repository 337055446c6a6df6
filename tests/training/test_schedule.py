"""Schedules against their definitions."""

import math

import pytest

from resight.training.schedule import Constant, Cosine, Exponential, Linear, Step, factor


def rates(schedule, *, steps_per_epoch=4, epochs=5):
    return [
        factor(schedule, step=step, steps_per_epoch=steps_per_epoch, epochs=epochs)
        for step in range(steps_per_epoch * epochs)
    ]


def test_steps_fall_at_the_beginning_of_the_named_epochs():
    assert rates(Step(at=(2, 4), factor=0.1)) == pytest.approx([1] * 8 + [0.1] * 8 + [0.01] * 4)


def test_the_exponential_falls_once_an_epoch():
    assert rates(Exponential(factor=math.exp(-0.1))) == pytest.approx(
        [math.exp(-0.1 * (step // 4)) for step in range(20)]
    )


def test_warm_up_rises_in_a_line_and_begins_above_zero():
    warm = rates(Constant(warm_up=1.5))
    assert warm[:6] == pytest.approx([1 / 6, 2 / 6, 3 / 6, 4 / 6, 5 / 6, 1])
    assert warm[6:] == [1] * 14


def test_line_and_cosine_begin_after_the_warm_up_and_go_to_their_end():
    line, cosine = rates(Linear(end=0.2, warm_up=1)), rates(Cosine(end=0.2, warm_up=1))
    assert line[4] == cosine[4] == 1
    assert line[12] == pytest.approx(0.6)
    assert cosine[12] == pytest.approx(0.2 + 0.8 * (1 + math.cos(math.pi / 2)) / 2)
    assert line[-1] == pytest.approx(1 - 0.8 * 15 / 16)
    assert factor(Cosine(end=0.2), step=20, steps_per_epoch=4, epochs=5) == pytest.approx(0.2)


def test_the_cosine_of_pycls_is_its_own_code():
    """``get_epoch_lr`` of pycls, literally: once an epoch, counted from epoch 0, the warm-up from 0.1."""
    expected = []
    for epoch in range(10):
        rate = 0.5 * (1.0 + math.cos(math.pi * epoch / 10))
        if epoch < 3:
            alpha = epoch / 3
            rate *= 0.1 * (1.0 - alpha) + alpha
        expected += [rate] * 4
    schedule = Cosine(warm_up=3, rule="pycls")
    assert rates(schedule, epochs=10) == pytest.approx(expected)
    assert rates(Cosine(rule="pycls"), epochs=10)[0] == 1
    half = factor(schedule, step=50 * 4, steps_per_epoch=4, epochs=100)
    assert half == pytest.approx(0.5)
    assert factor(Cosine(warm_up=5), step=200, steps_per_epoch=4, epochs=100) > 1.08 * half - 0.01


def test_a_rule_that_is_not_named_changes_no_recipe():
    assert "rule" not in Cosine(warm_up=5).model_dump()
    assert Cosine(warm_up=5, rule="pycls").model_dump()["rule"] == "pycls"
