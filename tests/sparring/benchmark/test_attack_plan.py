"""What is measured: presets, options, rounds, and who can do what."""

from __future__ import annotations

import random

import pytest

from sparring.benchmark import plan
from sparring.benchmark.competitors import BUILDERS
from sparring.benchmark.plan import (
    ATTACK,
    COMPETITORS,
    ITERATION,
    TASKS,
    UPDATE,
    Configuration,
    Plan,
)
from sparring.errors import SparringError


def test_rounds_by_budget():
    planned = Plan(rounds=(6, 9), rounds_large=3, budget_seconds=5)
    small, large = Configuration("attack", 1, 15, 64), Configuration("attack", 1, 15, 256)
    assert planned.goes_on(small, 5, 1000)
    assert not planned.goes_on(small, 6, 5.1)
    assert planned.goes_on(small, 8, 4.9)
    assert not planned.goes_on(small, 9, 0)
    assert planned.goes_on(large, 2, 1000)
    assert not planned.goes_on(large, 3, 1000)


def test_short_attacks_are_repeated():
    planned = Plan(repetition_seconds=0.1)
    assert [planned.calls(seconds) for seconds in (1.0, 0.1, 0.03, 0.0)] == [1, 1, 4, 10_000]


def test_presets_and_options():
    laptop = plan.presets()["laptop"]
    assert laptop[ATTACK].batch_sizes == (1, 4, 16, 64, 256)
    assert laptop[ATTACK].steps == (15, 32)
    assert (laptop[UPDATE].batch_sizes, laptop[UPDATE].steps) == ((2, 16, 64), (0,))
    assert (laptop[ITERATION].batch_sizes, laptop[ITERATION].steps) == ((64,), (32,))
    for task, planned in laptop.items():
        assert planned.task == task
        assert planned.threads[0] == 1
        assert planned.rounds[0] >= 6  # fewer have no 95 % interval
    assert plan.chosen("laptop", batch_sizes=(), rounds=None, seed=0) == [laptop[ATTACK]]
    assert plan.chosen("laptop", (ITERATION, ATTACK)) == [laptop[ATTACK], laptop[ITERATION]]
    (own,) = plan.chosen("smoke", batch_sizes=(8, 2, 8), competitors=("art", "fused"), rounds=3)
    assert own.batch_sizes == (2, 8)
    assert own.competitors == ("fused", "art")
    assert (own.rounds, own.rounds_large) == ((3, 3), 3)
    with pytest.raises(
        SparringError, match=r"competitor must be one of fused, .*, not 'cleverhans'"
    ):
        plan.chosen("smoke", competitors=("cleverhans",))


def test_tasks_have_their_own_competitors():
    some = plan.chosen("smoke", TASKS, competitors=("plain", "foolbox"), steps=(7,))
    assert [planned.competitors for planned in some] == [("plain", "foolbox"), *[("plain",)] * 2]
    assert [planned.steps for planned in some] == [(7,), (0,), (7,)]
    assert [planned.task for planned in plan.chosen("smoke", TASKS, competitors=("art",))] == [
        ATTACK
    ]
    with pytest.raises(SparringError, match="none of art can do an update; expected one of fused"):
        plan.chosen("smoke", (UPDATE,), competitors=("art",))


def test_every_competitor_can_be_built():
    assert list(BUILDERS) == list(COMPETITORS)


def test_configurations_come_in_random_order():
    planned = Plan(batch_sizes=(1, 2, 4, 8), steps=(1, 2))
    one = planned.configurations(1, random.Random(0))
    assert one == planned.configurations(1, random.Random(0))
    assert one != sorted(one)
    assert len(set(one)) == 8
