"""Non-inferiority and equivalence of paired differences."""

import numpy as np
import pytest
from scipy import stats

from plots.robustness.equivalence import compare, pairs_needed

MARGIN = 0.01


def sample(mean, deviation, n):
    """Numbers with exactly this mean and this sample deviation."""
    values = np.linspace(-1, 1, n)
    return mean + deviation * (values - values.mean()) / values.std(ddof=1)


def test_p_values_and_intervals_are_those_of_scipys_t_test():
    values = sample(-0.002, 0.006, 12)
    found = compare(values, MARGIN)
    inferior = stats.ttest_1samp(values, -MARGIN, alternative="greater")
    superior = stats.ttest_1samp(values, MARGIN, alternative="less")
    assert found.p_inferior == pytest.approx(inferior.pvalue)
    assert found.p_superior == pytest.approx(superior.pvalue)
    interval = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert (found.low_95, found.high_95) == pytest.approx((interval.low, interval.high))
    assert found.effect == pytest.approx(-0.002 / 0.006)


@pytest.mark.parametrize(
    ("mean", "deviation", "n", "verdict"),
    [
        (0.0, 0.004, 16, "equivalent"),
        (0.02, 0.004, 16, "non-inferior"),  # better by more than the margin: no equivalence
        (-0.05, 0.004, 16, "inferior"),
        (-0.015, 0.02, 16, "not shown"),  # neither way
        (0.0, 0.03, 16, "not shown"),  # too much spread for 16 seeds
        (0.0, 0.0001, 5, "not shown"),  # too few, however they agree
        (-0.5, 0.0001, 5, "not shown"),
    ],
)
def test_verdicts(mean, deviation, n, verdict):
    assert compare(sample(mean, deviation, n), MARGIN).verdict == verdict


def test_a_verdict_agrees_with_the_interval_that_decides_it():
    for mean in np.linspace(-0.02, 0.02, 41):
        found = compare(sample(mean, 0.01, 10), MARGIN)
        assert (found.low > -MARGIN) == (found.verdict in ("non-inferior", "equivalent"))
        assert (found.high < -MARGIN) == (found.verdict == "inferior")


def test_the_number_of_pairs_gives_the_power_asked_for():
    deviation, alpha, power = 0.015, 0.05, 0.8
    n = pairs_needed(deviation, MARGIN, alpha, power)
    normal = ((stats.norm.ppf(1 - alpha) + stats.norm.ppf(power)) * deviation / MARGIN) ** 2
    assert normal < n < normal + 4  # Student's t needs a few more than the normal approximation
    shown = 0
    random = np.random.default_rng(7)
    for _ in range(2000):
        draws = random.normal(0, deviation, n)
        shown += compare(draws, MARGIN, alpha).p_inferior < alpha
    assert shown / 2000 == pytest.approx(power, abs=0.04)


def test_more_spread_needs_more_pairs_and_too_much_has_no_number():
    needed = [pairs_needed(d, MARGIN, 0.05, 0.8) for d in (0.0, 0.001, 0.02, 0.05)]
    assert needed[:2] == [6, 6]
    assert 6 < needed[2] < needed[3]
    assert pairs_needed(10.0, MARGIN, 0.05, 0.8) is None


def test_one_pair_and_no_spread_are_no_evidence():
    one = compare([0.3], MARGIN)
    assert one.verdict == "not shown"
    assert one.needed is None
    same = compare([0.0] * 8, MARGIN)
    assert same.verdict == "equivalent"
    assert np.isnan(same.effect)
    assert compare([-MARGIN] * 8, MARGIN).verdict == "not shown"  # the margin itself is too much
    with pytest.raises(ValueError, match="at least one"):
        compare([], MARGIN)
