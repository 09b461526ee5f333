"""How long a comparison goes on, by what the study and the command line say."""

from __future__ import annotations

from pathlib import Path

import pytest

from harness.comparison.plan import Plan, planned
from harness.study.study import load_study
from harness.study.values import Measure


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        ({}, Plan(10, 30, 0.02)),
        ({"rounds": 40}, Plan(40, 40, 0.02)),
        ({"most_rounds": 6}, Plan(6, 6, 0.02)),
        ({"rounds": 8, "most_rounds": 20, "precision": 0.1}, Plan(8, 20, 0.1)),
    ],
)
def test_a_study_with_intervals_is_compared_until_they_are_narrow(asked, expected):
    assert planned(Measure(), **asked) == expected
    assert planned(Measure(launches=1, max_launches=6, precision=0.03), **asked) == expected


@pytest.mark.parametrize(
    ("asked", "rounds", "precision"),
    [
        ({}, None, None),
        ({"rounds": 12}, 12, None),
        ({"precision": 0.1}, 10, 0.1),
        ({"most_rounds": 20}, 10, 0.02),
    ],
)
def test_one_without_them_ends_with_the_verdicts_unless_more_is_asked(asked, rounds, precision):
    plan = planned(Measure(launches=5), **asked)
    assert (plan.rounds, plan.precision) == (rounds, precision)


@pytest.mark.parametrize("study", ["strong_scaling", "weak_scaling", "strategies", "staleness"])
def test_preset_smoke_seeks_no_precision(study):
    measure = load_study(Path("experiments", f"{study}.toml"), "smoke").measure
    assert planned(measure).precision is None
