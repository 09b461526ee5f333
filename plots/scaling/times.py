"""Times in units of T_1, as fits see them: what was measured, and bootstrap draws of it.

Where the launches of all points and of their baseline were measured in rounds, a time is divided by
that of the baseline in its own round, and rounds are drawn whole: what slowed a round slowed all of
it, and is no error of any point. Else launches are drawn point by point.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from harness.tables.statistics import CONFIDENCE, interval_ranks
from plots.shared.bootstrap import DRAWS, Floats, generator, resampled_medians
from plots.shared.speedup import Cell, Point


@dataclass(frozen=True, eq=False)
class Data:
    """Per p (a column each): times over T_1, one row per draw; and the weights of the columns."""

    p: Floats
    means: Floats
    weights: Floats


def scale(point: Point) -> float:
    """Seconds of T_1."""
    return point.factor * point.baseline.seconds.median


def ratios_of(point: Point, rounds: Sequence[str]) -> Floats:
    """T_p / T_1: in each of these rounds or, without rounds, of each launch over the median T_1."""
    if rounds:
        base = np.array([point.baseline.rounds[name] for name in rounds])
        return np.array([point.cell.rounds[name] for name in rounds]) / (point.factor * base)
    return np.array(point.cell.launches) / scale(point)


def common_rounds(points: Sequence[Point]) -> list[str]:
    """The rounds that have all points and their baselines; none if they give no interval."""
    cells = [cell for point in points for cell in (point.cell, point.baseline)]
    shared = set.intersection(*(set(cell.rounds) for cell in cells)) if cells else set()
    return sorted(shared) if interval_ranks(len(shared)) else []


def measured(points: Sequence[Point]) -> Data:
    """What was measured, as one draw."""
    rounds = common_rounds(points)
    if rounds:
        columns = [ratios_of(point, rounds) for point in points]
        means = [float(column.mean()) for column in columns]
        return Data(_axis(points), np.array([means]), _weights(columns))
    means = [float(np.mean(point.cell.launches)) / scale(point) for point in points]
    return Data(_axis(points), np.array([means]), _launch_weights(points))


def resampled(points: Sequence[Point]) -> Data:
    """Bootstrap draws, of whole rounds where there are any."""
    rounds = common_rounds(points)
    random = generator("fit", points[0].cell.strategy, points[0].cell.source)
    if rounds:
        columns = [ratios_of(point, rounds) for point in points]
        picks = random.integers(0, len(rounds), size=(DRAWS, len(rounds)))
        means = np.stack([column[picks].mean(axis=1) for column in columns], axis=1)
        return Data(_axis(points), means, _weights(columns))
    baselines: dict[Cell, Floats] = {}
    drawn = []
    for point in points:
        if point.baseline not in baselines:
            launches = point.baseline.launches
            baselines[point.baseline] = resampled_medians(launches, random)
        samples = np.asarray(point.cell.launches)
        picks = random.integers(0, len(samples), size=(DRAWS, len(samples)))
        drawn.append(samples[picks].mean(axis=1) / (point.factor * baselines[point.baseline]))
    return Data(_axis(points), np.stack(drawn, axis=1), _launch_weights(points))


def student(rounds: int) -> float:
    """How many standard deviations of bootstrap draws an interval reaches to either side.

    A bootstrap of n rounds varies too little by sqrt((n - 1) / n), and its percentiles know nothing
    of Student's t: of few rounds they hold the truth too rarely (Hesterberg, "What Teachers Should
    Know About the Bootstrap", The American Statistician 69(4), 2015).
    """
    from scipy.stats import t  # on use: no other figure waits for it

    return float(t.ppf((1.0 + CONFIDENCE) / 2.0, rounds - 1)) * math.sqrt(rounds / (rounds - 1))


def _axis(points: Sequence[Point]) -> Floats:
    return np.array([point.cell.cores for point in points], dtype=np.float64)


def _weights(columns: Sequence[Floats]) -> Floats:
    """Relative errors of n ratios: n over their squared median."""
    return np.array([len(column) / float(np.median(column)) ** 2 for column in columns])


def _launch_weights(points: Sequence[Point]) -> Floats:
    """Relative errors of n launches: n (T_1 / median T_p)^2, for means in units of T_1."""
    return np.array([
        len(point.cell.launches) * (scale(point) / point.cell.seconds.median) ** 2
        for point in points
    ])  # fmt: skip
