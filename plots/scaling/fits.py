"""Fits of scaling laws to times, with bands, a comparison and a test on the largest p.

The laws are those of `plots.scaling.laws`.

Each model predicts T_p / T_1 and is fitted by least squares on the launches' times, the error of
each launch being relative to the median time at its p; where there are rounds, on the ratios within
them (`plots.scaling.times`). T_1 is the measured one: an anchor at p = 1 and no parameter.
Models are compared by AICc (Burnham and Anderson, "Model Selection and Multimodel Inference", 2nd
ed., 2002, section 2.4).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plots.scaling.laws import Model
from plots.scaling.times import Data, common_rounds, measured, ratios_of, resampled, scale, student
from plots.shared.bootstrap import Floats, percentile_interval
from plots.shared.speedup import Point, series_name

#: A fit is none whose bounded parameter has an interval over more than this share of its bounds.
IDENTIFIED = 0.9
GOLDEN = (math.sqrt(5.0) - 1.0) / 2.0
STEPS = 60  # 0.618^60 = 3e-13 of the range


@dataclass(frozen=True, eq=False)
class Fit:
    """A model fitted to one strategy's points of one source, or the reason why it was not.

    Attributes:
        model: the law.
        strategy: whose points.
        source: how they came to be; one only.
        distinct_p: distinct p, the anchor at p = 1 included.
        observations: launches that the fit uses.
        refusal: why there is no fit, or None.
        estimates: one per parameter, dimensionless.
        intervals: bootstrap interval per parameter; None if launches are too few.
        aicc: corrected Akaike criterion; None if observations are too few for it.
        prediction_error: (predicted - measured) / measured time at the largest p, fitted without
            it; None if too few p remain.
        largest_p: the p that the error is about.
        draws: bootstrap draws of the parameters (draws x parameters), or None.
        threads: threads per process of the points.
        reach: standard deviations of the draws to either end of an interval, where rounds were
            drawn; None where percentiles are taken.
        extent: the largest p among the points; the law says nothing tested beyond it.
    """

    model: Model
    strategy: str
    source: str
    distinct_p: int
    observations: int
    refusal: str | None = None
    estimates: tuple[float, ...] = ()
    intervals: tuple[tuple[float, float], ...] | None = None
    aicc: float | None = None
    prediction_error: float | None = None
    largest_p: int | None = None
    draws: Floats | None = None
    threads: int = 1
    extent: int = 1
    reach: float | None = None

    @property
    def series(self) -> str:
        """Whose points, as Cell.series."""
        return series_name(self.strategy, self.threads)

    @property
    def data(self) -> tuple[str, str]:
        """Which points: series and source."""
        return self.series, self.source

    @property
    def correlation(self) -> float | None:
        """Of two parameters over the bootstrap draws; None with fewer, or where one never varies.

        Near 1 or -1 the times tell of both together, and of neither alone.
        """
        if self.draws is None or self.draws.shape[1] != 2 or not self.draws.std(axis=0).all():
            return None
        return float(np.corrcoef(self.draws[:, 0], self.draws[:, 1])[0, 1])

    def speedups(self, p: Floats) -> Floats:
        """The fitted speed-up at each p."""
        return np.asarray(1.0 / self.model.times(p, np.array([self.estimates]))[0])

    def band(self, p: Floats) -> tuple[Floats, Floats] | None:
        """Percentile band of the speed-up over the bootstrap draws."""
        if self.draws is None:
            return None
        speedups = 1.0 / self.model.times(p, self.draws)
        if self.reach is not None:
            half = self.reach * speedups.std(axis=0)
            return np.maximum(self.speedups(p) - half, 0.0), self.speedups(p) + half
        low, high = np.percentile(speedups, [2.5, 97.5], axis=0)
        return np.asarray(low), np.asarray(high)


def fit_models(models: Sequence[Model], points: Sequence[Point], anchored: bool) -> list[Fit]:
    """Fit a law and its alternatives to the points of one strategy and source.

    Args:
        models: the law, then its alternatives, to the same launches, so that their AICc are
            comparable. If the law itself cannot be fitted, no alternative is.
        points: with their baselines, all of one strategy, source and number of threads.
        anchored: whether the baseline is itself the point p = 1 (strong scaling).

    Raises:
        ValueError: if the points mix strategies, sources or threads.
    """
    if len({(p.cell.strategy, p.cell.source, p.cell.threads) for p in points}) != 1:
        raise ValueError("a fit never mixes strategies, sources or threads")
    cell = points[0].cell
    distinct = {point.cell.cores for point in points} | ({1} if anchored else set())
    used = [point for point in points if point.cell is not point.baseline]
    count = sum(len(point.cell.launches) for point in used)

    def one(model: Model) -> Fit:
        refusal = _refusal(model, points, len(distinct))
        fitted = {} if refusal else _fit(model, used, count)
        extent = max(distinct)
        return Fit(
            model, cell.strategy, cell.source, len(distinct), count,
            fitted.pop("refusal", refusal), threads=cell.threads, extent=extent, **fitted,
        )  # fmt: skip

    law = one(models[0])
    return [law] if law.refusal else [law, *(one(model) for model in models[1:])]


def _bounds(model: Model) -> list[tuple[float, float]]:
    """What each parameter may be."""
    bounded = [model.bounds] if model.parameter else []
    return [*bounded, *([(0.0, math.inf)] if model.communication else [])]


def _spans(interval: tuple[float, float], bounds: tuple[float, float]) -> bool:
    """Whether an interval leaves a parameter next to all values that it may have."""
    return interval[1] - interval[0] > IDENTIFIED * (bounds[1] - bounds[0])


def _refusal(model: Model, points: Sequence[Point], distinct: int) -> str | None:
    source = points[0].cell.source
    if source == "oversubscribed":
        return "no fit: oversubscribed points share cores"
    if any(point.baseline.source != source for point in points):
        return f"no fit: T_1 is not {source}, and a fit never mixes sources"
    if distinct < model.needs:
        return f"too few p for a fit ({distinct} distinct, {model.needs} needed)"
    return None


def _fit(model: Model, points: Sequence[Point], count: int) -> dict[str, Any]:
    """What `Fit` has of a fit, or the reason why the times do not tell its parameter."""
    theta = _solve(model, measured(points))[0]
    intervals, draws, reach = None, None, None
    if all(point.cell.has_interval and point.baseline.has_interval for point in points):
        draws = _solve(model, resampled(points))
        intervals = tuple(percentile_interval(column) for column in draws.T)
        if rounds := common_rounds(points):
            reach = student(len(rounds))
            intervals = tuple(
                (max(low, value - reach * column.std()), min(high, value + reach * column.std()))
                for (low, high), value, column in zip(_bounds(model), theta, draws.T, strict=True)
            )
        if model.parameter and _spans(intervals[0], model.bounds):
            low, high = intervals[0]
            told = f"{model.parameter} between {low:.2g} and {high:.2g}"
            return {"refusal": f"no fit: the times leave {told}"}
    error, largest = _prediction_error(model, points)
    return {
        "estimates": tuple(float(value) for value in theta),
        "intervals": intervals,
        "aicc": _aicc(model, theta, points, count),
        "prediction_error": error,
        "largest_p": largest,
        "draws": draws,
        "reach": reach,
    }


def _solve(model: Model, data: Data) -> Floats:
    """Least squares for each draw: golden sections over the bounded parameter, c in closed form."""
    draws, extra = len(data.means), data.p[None, :] - 1.0
    norm = float((data.weights * extra**2).sum())

    def complete(first: Floats) -> Floats:
        parts = [first] if model.parameter else []
        if model.communication:
            rest = data.means - model.ratio(data.p[None, :], first)
            c = (data.weights * extra * rest).sum(axis=1, keepdims=True) / norm
            parts.append(np.maximum(c, 0.0))
        return np.concatenate(parts, axis=1) if parts else np.zeros((draws, 0))

    def loss(first: Floats) -> Floats:
        errors = data.means - model.times(data.p, complete(first))
        return np.asarray((data.weights * errors**2).sum(axis=1, keepdims=True))

    low, high = (np.full((draws, 1), bound) for bound in model.bounds)
    for _ in range(STEPS if model.parameter else 0):
        left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
        smaller = loss(left) < loss(right)
        low, high = np.where(smaller, low, left), np.where(smaller, right, high)
    return complete((low + high) / 2.0)


def _aicc(model: Model, theta: Floats, points: Sequence[Point], count: int) -> float | None:
    """N ln(RSS / n) + 2 k + 2 k (k + 1) / (n - k - 1), k counting the variance too."""
    k = len(model.parameters) + 1
    if count - k - 1 <= 0:
        return None
    rounds = common_rounds(points)
    p = np.array([point.cell.cores for point in points], dtype=np.float64)
    predicted = model.times(p, theta[None, :])[0]
    if rounds:
        count = len(rounds) * len(points)
        columns = [ratios_of(point, rounds) for point in points]
        rss = sum(
            float((((column - ratio) / np.median(column)) ** 2).sum())
            for column, ratio in zip(columns, predicted, strict=True)
        )
    else:
        rss = sum(
            ((seconds - ratio * scale(point)) / point.cell.seconds.median) ** 2
            for point, ratio in zip(points, predicted, strict=True)
            for seconds in point.cell.launches
        )
    floor = count * 1e-24  # exact tables: no time is known better than 1e-12 of itself
    variance = math.log(max(float(rss), floor) / count)
    return count * variance + 2 * k + 2 * k * (k + 1) / (count - k - 1)


def _prediction_error(model: Model, points: Sequence[Point]) -> tuple[float | None, int | None]:
    """Relative error of the time at the largest p, from a fit to the smaller ones."""
    largest = max(point.cell.cores for point in points)
    smaller = [point for point in points if 1 < point.cell.cores < largest]
    if len({point.cell.cores for point in smaller}) < max(1, len(model.parameters)):
        return None, None
    theta = _solve(model, measured([point for point in points if point.cell.cores < largest]))
    predicted = float(model.times(np.array([float(largest)]), theta)[0, 0])
    rounds = common_rounds(points)
    errors = [
        predicted / float(np.median(ratios_of(point, rounds))) - 1.0 if rounds
        else predicted * scale(point) / point.cell.seconds.median - 1.0
        for point in points if point.cell.cores == largest
    ]  # fmt: skip
    return errors[0], largest


def above_best(fits: Sequence[Fit]) -> Mapping[Fit, float]:
    """AICc above the best model of the same series, for the fits that have one."""
    smallest: dict[tuple[str, str], float] = {}
    for fit in fits:
        if fit.aicc is not None:
            smallest[fit.data] = min(fit.aicc, smallest.get(fit.data, math.inf))
    return {fit: fit.aicc - smallest[fit.data] for fit in fits if fit.aicc is not None}
