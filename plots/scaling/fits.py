"""Fits of scaling laws to times, with bands, a comparison and a test on the largest p.

The laws are those of `plots.scaling.laws`.

Each model predicts T_p / T_1 and is fitted by least squares on the launches' times, the error of
each launch being relative to the median time at its p. T_1 is the measured one: an anchor at p = 1
and no parameter. Models are compared by AICc (Burnham and Anderson, "Model Selection and Multimodel
Inference", 2nd ed., 2002, section 2.4).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from plots.scaling.laws import Model
from plots.scaling.speedup import (
    DRAWS,
    Cell,
    Floats,
    Point,
    generator,
    percentile_interval,
    resampled_medians,
    series_name,
)

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

    @property
    def series(self) -> str:
        """Whose points, as Cell.series."""
        return series_name(self.strategy, self.threads)

    @property
    def data(self) -> tuple[str, str]:
        """Which points: series and source."""
        return self.series, self.source

    def speedups(self, p: Floats) -> Floats:
        """The fitted speed-up at each p."""
        return np.asarray(1.0 / self.model.times(p, np.array([self.estimates]))[0])

    def band(self, p: Floats) -> tuple[Floats, Floats] | None:
        """Percentile band of the speed-up over the bootstrap draws."""
        if self.draws is None:
            return None
        low, high = np.percentile(1.0 / self.model.times(p, self.draws), [2.5, 97.5], axis=0)
        return np.asarray(low), np.asarray(high)


@dataclass(frozen=True, eq=False)
class _Data:
    """Per p (a column each): times over T_1, one row per draw; and the weights of the columns."""

    p: Floats
    means: Floats
    weights: Floats


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
            model, cell.strategy, cell.source, len(distinct), count, refusal,
            threads=cell.threads, extent=extent, **fitted,
        )  # fmt: skip

    law = one(models[0])
    return [law] if law.refusal else [law, *(one(model) for model in models[1:])]


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
    theta = _solve(model, _measured(points))[0]
    intervals, draws = None, None
    if all(point.cell.has_interval and point.baseline.has_interval for point in points):
        draws = _solve(model, _resampled(points))
        intervals = tuple(percentile_interval(column) for column in draws.T)
    error, largest = _prediction_error(model, points)
    return {
        "estimates": tuple(float(value) for value in theta),
        "intervals": intervals,
        "aicc": _aicc(model, theta, points, count),
        "prediction_error": error,
        "largest_p": largest,
        "draws": draws,
    }


def _scale(point: Point) -> float:
    return point.factor * point.baseline.seconds.median


def _weight(point: Point) -> float:
    """Relative errors of n launches: n (T_1 / median T_p)^2, for means in units of T_1."""
    return len(point.cell.launches) * (_scale(point) / point.cell.seconds.median) ** 2


def _axis(points: Sequence[Point]) -> tuple[Floats, Floats]:
    cores = np.array([point.cell.cores for point in points], dtype=np.float64)
    return cores, np.array([_weight(point) for point in points])


def _measured(points: Sequence[Point]) -> _Data:
    p, weights = _axis(points)
    means = [float(np.mean(point.cell.launches)) / _scale(point) for point in points]
    return _Data(p, np.array([means]), weights)


def _resampled(points: Sequence[Point]) -> _Data:
    p, weights = _axis(points)
    random = generator("fit", points[0].cell.strategy, points[0].cell.source)
    baselines: dict[Cell, Floats] = {}
    columns = []
    for point in points:
        if point.baseline not in baselines:
            launches = point.baseline.launches
            baselines[point.baseline] = resampled_medians(launches, DRAWS, random)
        samples = np.asarray(point.cell.launches)
        picks = random.integers(0, len(samples), size=(DRAWS, len(samples)))
        means = samples[picks].mean(axis=1)
        columns.append(means / (point.factor * baselines[point.baseline]))
    return _Data(p, np.stack(columns, axis=1), weights)


def _solve(model: Model, data: _Data) -> Floats:
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
    p, _ = _axis(points)
    predicted = model.times(p, theta[None, :])[0]
    rss = sum(
        ((seconds - ratio * _scale(point)) / point.cell.seconds.median) ** 2
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
    theta = _solve(model, _measured([point for point in points if point.cell.cores < largest]))
    errors = [
        float(model.times(np.array([float(largest)]), theta)[0, 0]) * _scale(point)
        / point.cell.seconds.median - 1.0
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
