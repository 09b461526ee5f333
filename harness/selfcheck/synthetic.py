"""How often intervals of a ratio cover the truth on a host whose speed drifts; all of it simulated.

A simulated study has four points of known times, launched in rounds of random order. A launch's
time is its point's, times the host's slowness at that moment, times noise of its own; the clock
goes on with each launch. So the true ratio of two points is known, and every kind of interval can
be held against it.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from harness.tables.statistics import CONFIDENCE, interval_ranks, summarize_ratios

if TYPE_CHECKING:  # imported on use: no other command waits for it
    import numpy as np

#: Seconds of the points, and what starting a launch takes besides.
POINTS, START = (60.0, 33.0, 20.0, 12.0), 2.0
#: The ratio that is asked for: the first point's time over the third's.
FIRST, SECOND = 0, 2
TRUTH = POINTS[FIRST] / POINTS[SECOND]
#: How the host's speed changes: not at all; by so much an hour; at random; all at once.
DRIFTS = ("none", "ramp", "walk", "step")
METHODS = ("medians", "order statistics", "signed rank")
#: One launch in so many is disturbed, and then by three times the noise, and only made slower.
_DISTURBED = 10
_DRAWS = 1000


@dataclass(frozen=True)
class Coverage:
    """How one kind of interval did.

    Attributes:
        drift: one of `DRIFTS`.
        noise: standard deviation of a launch's logarithm (dimensionless).
        rounds: launches of each point.
        method: one of `METHODS`.
        studies: how many were simulated.
        covered: share of the intervals that held the true ratio.
        width: mean of half their width over the true ratio.
    """

    drift: str
    noise: float
    rounds: int
    method: str
    studies: int
    covered: float
    width: float


def coverage(
    studies: int, rounds: Sequence[int], noises: Sequence[float], drift: float, seed: int
) -> Iterator[Coverage]:
    """Simulate studies and count, for each drift, noise, number of rounds and method.

    Args:
        studies: how many of each kind.
        rounds: launches of each point, 6 or more.
        noises: standard deviations of a launch's logarithm.
        drift: how much slower the host becomes in an hour, as a share.
        seed: of the random numbers.
    """
    import numpy as np

    for kind in DRIFTS:
        for noise in noises:
            for number in rounds:
                random = np.random.default_rng([seed, DRIFTS.index(kind), number])
                held = dict.fromkeys(METHODS, 0)
                widths = dict.fromkeys(METHODS, 0.0)
                for _ in range(studies):
                    times = simulate(random, number, kind, drift, noise)
                    for method, (low, high) in intervals(random, times).items():
                        held[method] += low <= TRUTH <= high
                        widths[method] += (high - low) / 2 / TRUTH
                for method in METHODS:
                    yield Coverage(kind, noise, number, method, studies,
                                   held[method] / studies, widths[method] / studies)  # fmt: skip


def simulate(
    random: np.random.Generator, rounds: int, kind: str, drift: float, noise: float
) -> list[tuple[float, float]]:
    """One study: in each round the seconds of the two points that are compared."""
    clock, walk = 0.0, 0.0
    changed = random.random() * rounds * sum(POINTS)
    found = []
    for _ in range(rounds):
        seconds = [0.0] * len(POINTS)
        for point in random.permutation(len(POINTS)):
            slowness = {
                "none": 1.0,
                "ramp": (1.0 + drift) ** (clock / 3600),
                "walk": math.exp(walk),
                "step": 1.0 + drift * (clock > changed),
            }[kind]
            error = noise * random.standard_normal()
            if random.random() < 1 / _DISTURBED:
                error = 3 * abs(error)
            seconds[point] = POINTS[point] * slowness * math.exp(error)
            passed = seconds[point] + START
            clock += passed
            walk += drift * math.sqrt(passed / 3600) * random.standard_normal()
        found.append((seconds[FIRST], seconds[SECOND]))
    return found


def intervals(
    random: np.random.Generator, times: Sequence[tuple[float, float]]
) -> dict[str, tuple[float, float]]:
    """The interval of the ratio by each of `METHODS`; the first knows nothing of pairs.

    It is that of tables without rounds: a percentile bootstrap of the ratio of medians.
    """
    import numpy as np

    columns = np.array(times).T
    size = len(times)
    first, second = (
        np.median(column[random.integers(0, size, (_DRAWS, size))], axis=1) for column in columns
    )
    tail = 50.0 * (1.0 - CONFIDENCE)
    medians = np.percentile(first / second, [tail, 100.0 - tail])
    ratios = sorted(float(a / b) for a, b in times)
    ranks = interval_ranks(size)
    paired = summarize_ratios(ratios)
    if ranks is None or paired.low is None or paired.high is None:
        raise ValueError(f"{size} rounds give no interval; expected 6 or more")
    return {
        "medians": (float(medians[0]), float(medians[1])),
        "order statistics": (ratios[ranks[0]], ratios[ranks[1]]),
        "signed rank": (paired.low, paired.high),
    }
