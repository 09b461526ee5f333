"""Summaries of timings: medians with nonparametric intervals.

Timings are skewed and have no known distribution, so an interval comes from order statistics alone
(Hoefler and Belli, "Scientific Benchmarking of Parallel Computing Systems", SC'15, section 3.1.3;
David and Nagaraja, "Order Statistics", 3rd ed., section 7.1).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
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
