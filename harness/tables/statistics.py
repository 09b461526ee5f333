"""Summaries of timings: medians, and ratios of pairs, with nonparametric intervals.

Timings are skewed and have no known distribution, so the interval of a median comes from order
statistics alone (Hoefler and Belli, "Scientific Benchmarking of Parallel Computing Systems", SC'15,
section 3.1.3; David and Nagaraja, "Order Statistics", 3rd ed., section 7.1).

Of a ratio more is known where its two times were measured in one round, within minutes: what made
one slow made the other slow. The logarithm of such a ratio is as likely above the true one as
below by the same amount, which is all that the signed-rank interval takes for granted (Hollander,
Wolfe and Chicken, "Nonparametric Statistical Methods", 3rd ed., sections 3.1 to 3.3; Wilcoxon,
1945; Hodges and Lehmann, 1963). `python -m harness self-check --synthetic` measures how often
each kind of interval covers the truth on a host that drifts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from statistics import median as median_of

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Summary:
    """The median of independent samples and, where there are enough, its confidence interval.

    ``low`` and ``high`` are None when the samples are too few for the confidence asked for: a
    smaller interval would be a false one. All in the unit of the samples.
    """

    n: int
    median: float
    low: float | None
    high: float | None

    @property
    def relative_half_width(self) -> float | None:
        """Half the interval over the median (dimensionless), or None without an interval."""
        if self.low is None or self.high is None or self.median == 0:
            return None
        return (self.high - self.low) / 2 / self.median


def interval_ranks(n: int, confidence: float = CONFIDENCE) -> tuple[int, int] | None:
    """0-based ranks (i, n-1-i) of the narrowest symmetric interval that covers the median.

    The number of samples below the median is binomial(n, 1/2), so the interval between the i-th
    smallest and the i-th largest sample covers it with probability 1 - 2 P(B < i + 1). None if
    even the whole range (confidence 1 - 2^(1-n)) is too weak: at 95 % that is n < 6.
    """
    allowed = (1.0 - confidence) / 2.0
    tail, i = 0.0, -1
    for k in range((n + 1) // 2):
        tail += math.comb(n, k) / 2.0**n
        if tail > allowed:
            break
        i = k
    return None if i < 0 else (i, n - 1 - i)


def summarize(samples: Sequence[float], confidence: float = CONFIDENCE) -> Summary:
    """Median and confidence interval of independent samples.

    Raises:
        ValueError: if there are no samples.
    """
    if not samples:
        raise ValueError("a summary needs at least one sample")
    ordered = sorted(samples)
    ranks = interval_ranks(len(ordered), confidence)
    low, high = (ordered[ranks[0]], ordered[ranks[1]]) if ranks else (None, None)
    return Summary(len(ordered), float(median_of(ordered)), low, high)


@dataclass(frozen=True)
class Ratio:
    """A ratio of times (dimensionless), estimated from pairs measured in the same rounds.

    Attributes:
        n: pairs.
        value: the Hodges-Lehmann estimate: the median of all means of two log ratios.
        low: lower end of the signed-rank interval, or None if the pairs are too few.
        high: upper end.
        p_value: two-sided, of the signed-rank test that the ratio is 1; exact where no two
            logarithms are equally large, and none is zero.
    """

    n: int
    value: float
    low: float | None
    high: float | None
    p_value: float

    @property
    def relative_half_width(self) -> float | None:
        """Half the interval over the value (dimensionless), or None without an interval."""
        if self.low is None or self.high is None:
            return None
        return (self.high - self.low) / 2 / self.value


def in_rounds(first: Mapping[str, float], second: Mapping[str, float]) -> list[float]:
    """The ratios first / second of the rounds in which both were measured, in a fixed order."""
    return [first[name] / second[name] for name in sorted(first) if name in second]


def summarize_ratios(ratios: Sequence[float], confidence: float = CONFIDENCE) -> Ratio:
    """Estimate and interval of a ratio from its values in independent rounds.

    Raises:
        ValueError: if there are none, or one is not above 0.
    """
    if not ratios or min(ratios) <= 0:
        raise ValueError("a ratio needs values, all above 0")
    logs = [math.log(ratio) for ratio in ratios]
    means = sorted((a + b) / 2 for i, a in enumerate(logs) for b in logs[i:])
    below, rank = _signed_rank_tail(len(logs)), -1
    while below[rank + 1] <= (1.0 - confidence) / 2.0:
        rank += 1
    low, high = (means[rank], means[-1 - rank]) if rank >= 0 else (None, None)
    return Ratio(
        len(logs),
        math.exp(median_of(means)),
        None if low is None else math.exp(low),
        None if high is None else math.exp(high),
        _p_value(means, below),
    )


def _p_value(means: Sequence[float], below: Sequence[float]) -> float:
    """The statistic is the number of means above 0; those at 0 count for the null hypothesis."""
    smaller = sum(mean < 0 for mean in means)
    larger = sum(mean > 0 for mean in means)
    statistic = len(means) - max(smaller, larger)
    return min(1.0, 2.0 * below[statistic])


@cache
def _signed_rank_tail(n: int) -> tuple[float, ...]:
    """P(W <= w) for w = 0, 1 ... n (n + 1) / 2 under the null hypothesis."""
    counts = [1]  # of the subsets of 1 ... k with this sum
    for k in range(1, n + 1):
        counts = [
            (counts[w] if w < len(counts) else 0) + (counts[w - k] if w >= k else 0)
            for w in range(len(counts) + k)
        ]
    tail, total = [], 0
    for count in counts:
        total += count
        tail.append(total / 2**n)
    return tuple(tail)
