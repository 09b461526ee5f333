from __future__ import annotations

import math

import pytest

from harness.tables.statistics import Summary, interval_ranks, summarize


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
