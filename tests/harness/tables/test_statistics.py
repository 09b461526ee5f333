from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import wilcoxon

from harness.tables.statistics import (
    Summary,
    in_rounds,
    interval_ranks,
    summarize,
    summarize_ratios,
)


def coverage(n: int, low: int, high: int) -> float:
    """P(x_(low) < median < x_(high)): between low + 1 and high of n samples lie below it."""
    return sum(math.comb(n, below) for below in range(low + 1, high + 1)) / 2**n


@pytest.mark.parametrize("confidence", [0.8, 0.9, 0.95, 0.99])
def test_interval_is_the_narrowest_that_covers(confidence):
    for n in range(1, 60):
        covering = [
            (i, n - 1 - i) for i in range((n + 1) // 2) if coverage(n, i, n - 1 - i) >= confidence
        ]
        assert interval_ranks(n, confidence) == (covering[-1] if covering else None)


def test_six_samples_are_the_fewest_for_95_percent():
    assert interval_ranks(5) is None
    assert interval_ranks(6) == (0, 5)
    assert interval_ranks(9) == (1, 7)


def test_summary_of_unsorted_samples():
    summary = summarize([5.0, 1.0, 4.0, 2.0, 3.0, 10.0])
    assert summary == Summary(n=6, median=3.5, low=1.0, high=10.0)
    assert summary.relative_half_width == pytest.approx(4.5 / 3.5)


def test_few_samples_have_a_median_and_no_interval():
    summary = summarize([2.0, 1.0])
    assert summary == Summary(n=2, median=1.5, low=None, high=None)
    assert summary.relative_half_width is None


def test_no_samples_are_refused():
    with pytest.raises(ValueError, match="at least one"):
        summarize([])


def test_ratio_within_rounds_is_untouched_by_what_slows_both():
    slowness = [1.0, 1.3, 0.7, 2.0, 1.1, 0.9]
    first = {f"r{i}": 6.0 * s for i, s in enumerate(slowness)} | {"alone": 1.0}
    second = {f"r{i}": 2.0 * s for i, s in enumerate(slowness)}
    ratio = summarize_ratios(in_rounds(first, second))
    assert ratio.n == 6
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((3.0, 3.0, 3.0))


def test_five_rounds_have_a_ratio_and_no_interval():
    ratio = summarize_ratios([1.0, 2.0, 3.0, 4.0, 5.0])
    assert ratio.value == pytest.approx(3**0.5 * 3**0.5, rel=0.1)
    assert (ratio.low, ratio.high, ratio.relative_half_width) == (None, None, None)


@pytest.mark.parametrize("n", [6, 7, 10, 17, 30])
def test_signed_rank_test_is_that_of_scipy(n):
    logs = np.random.default_rng(n).normal(0.3, 1.0, n)
    expected = wilcoxon(logs, mode="exact").pvalue
    assert summarize_ratios(list(np.exp(logs))).p_value == pytest.approx(expected)


@pytest.mark.parametrize("n", [6, 7, 10, 17, 30])
def test_interval_holds_the_ratios_that_the_test_does_not_reject(n):
    logs = np.random.default_rng(n).normal(0.3, 1.0, n)
    ratio = summarize_ratios(list(np.exp(logs)))
    for end, outward in ((math.log(ratio.low), -1), (math.log(ratio.high), 1)):
        assert wilcoxon(logs - end - outward * 1e-9, mode="exact").pvalue <= 0.05
        assert wilcoxon(logs - end + outward * 1e-9, mode="exact").pvalue > 0.05


def test_equal_times_are_no_difference():
    assert summarize_ratios([1.0] * 8).p_value == 1.0


@pytest.mark.parametrize("ratios", [[], [1.0, 0.0], [-1.0]])
def test_what_is_no_ratio_is_refused(ratios):
    with pytest.raises(ValueError, match="above 0"):
        summarize_ratios(ratios)
