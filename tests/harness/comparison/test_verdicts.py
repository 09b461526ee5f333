"""What three arms say, and when nothing is said."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from harness.comparison.verdicts import holm, judge, rounds_needed


def arms(random, points, rounds, change=1.0, null=1.0, noise=0.01):
    """Times of three arms on a host that doubles its pace from one round to the other."""
    found = ({}, {}, {})
    for point in points:
        for arm, factor in zip(found, (1.0, change, change * null), strict=True):
            arm[point] = {
                str(r): factor * 2.0 ** (r % 2) * float(np.exp(noise * random.standard_normal()))
                for r in range(rounds)
            }
    return found


def words(judgement):
    return [compared.word for compared in judgement.points]


@pytest.mark.parametrize(
    ("change", "word", "code"),
    [(1.05, "slower", 1), (0.9, "faster", 0), (1.0, "no difference found", 0)],
)
def test_a_change_is_found_on_a_host_that_wanders_by_a_factor_of_two(change, word, code):
    random = np.random.default_rng(5)
    judgement = judge(*arms(random, "abc", 12, change))
    assert words(judgement) == [word] * 3
    assert judgement.exit_code == code
    assert all(c.ratio.low <= change * 1.02 and c.ratio.high >= change / 1.02
               for c in judgement.points)  # fmt: skip
    assert all(0 < c.resolution < 0.03 for c in judgement.points)


def test_where_identical_code_differs_every_verdict_is_withdrawn():
    judgement = judge(*arms(np.random.default_rng(5), "ab", 12, change=1.3, null=1.1))
    assert judgement.void
    assert words(judgement) == ["withdrawn", "withdrawn"]
    assert judgement.exit_code == 3


def test_a_change_within_the_tolerance_is_not_told():
    times = arms(np.random.default_rng(5), "a", 12, change=1.05)
    assert words(judge(*times, tolerance=0.02)) == ["slower"]
    assert words(judge(*times, tolerance=0.1)) == ["no difference found"]


def test_many_points_need_more_rounds():
    assert [rounds_needed(points) for points in (1, 2, 5, 25, 100)] == [6, 7, 8, 10, 12]
    judgement = judge(*arms(np.random.default_rng(5), "abcde", 7, change=2.0))
    assert words(judgement) == ["too few rounds"] * 5
    assert judgement.exit_code == 3


def test_false_alarms_are_as_rare_as_promised():
    """Of 200 comparisons of 4 points without a change about 10 may find one, in either arm."""
    random = np.random.default_rng(8)
    judgements = [judge(*arms(random, "abcd", 12, noise=0.05)) for _ in range(200)]
    alarms = sum(bool({"slower", "faster"} & set(words(judgement))) for judgement in judgements)
    void = sum(judgement.void for judgement in judgements)
    assert alarms <= 18
    assert void <= 18


def test_points_that_an_arm_lacks_are_left_out():
    older, newer, again = arms(np.random.default_rng(5), "ab", 8)
    del older["a"], again["b"]
    assert judge(older, newer, again).points == ()


def test_adjusted_p_values_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert all(a >= b - 1e-12 for a, b in zip(
        holm([0.2, 0.01, 0.5]), false_discovery_control([0.2, 0.01, 0.5]), strict=True
    ))  # fmt: skip
