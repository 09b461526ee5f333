"""Bounds: what the strategies could reach at best, from the phase times measured at p = 1.

They come before any parallel measurement, so that a machine with two cores has something to compare
with. They count no communication and no imbalance: a measured point lies below its bound. A rank's
share of a minibatch costs what it was measured to cost by itself, where the study measured that;
else it is taken to be as fast, for an image, as the whole minibatch, which small shares are not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median

import numpy as np

from plots.shared.observations import Row
from plots.shared.speedup import Cell, by_launch

#: Where a rank's row belongs: point, launch, repetition.
Key = tuple[str, str, int]


@dataclass(frozen=True)
class Shards:
    """What shards of a minibatch cost by themselves on one process.

    Attributes:
        images: sizes, ascending; the last is the whole minibatch.
        generate: seconds to attack so many images.
        gradients: seconds for the gradients of an update by so many images.
    """

    images: tuple[float, ...]
    generate: tuple[float, ...]
    gradients: tuple[float, ...]

    def share(self, seconds: tuple[float, ...], images: float) -> float:
        """The time of a shard over that of the whole minibatch, between sizes a straight line."""
        return float(np.interp(images, self.images, seconds)) / seconds[-1]


@dataclass(frozen=True)
class Phases:
    """Phase times of sequential training; all seconds are for one batch.

    Attributes:
        batches: N, batches in the timed region.
        generate: g, seconds to generate the adversaries of a batch.
        update: u, seconds to update the weights with a batch, the optimizer's step included.
        optimizer: o, seconds of the optimizer's step alone; None if the study did not measure it.
        shards: what parts of a batch cost; None if the study did not measure it.
        growth: images of a batch, over those that ``shards`` was measured with.
        divided: whether the ranks of a node take a part of the optimizer's step each, as with the
            fused engine. Not every rank can then: it is a bound.
    """

    batches: float
    generate: float
    update: float
    optimizer: float | None
    shards: Shards | None = None
    growth: float = 1.0
    divided: bool = False

    def optimizer_on(self, p: float) -> float | None:
        """Seconds of a data-parallel rank's part of the optimizer's step."""
        return self.optimizer / p if self.optimizer is not None and self.divided else self.optimizer

    def generate_on(self, p: float) -> float:
        """Seconds to generate a p-th of a batch's adversaries."""
        return self.generate * self._share("generate", p)

    def gradients_on(self, p: float) -> float:
        """Seconds for the gradients by a p-th of a batch."""
        return (self.update - (self.optimizer or 0.0)) * self._share("gradients", p)

    def _share(self, phase: str, p: float) -> float:
        if self.shards is None:
            return 1.0 / p
        images = self.shards.images[-1] * self.growth / p
        return self.shards.share(getattr(self.shards, phase), images) / self.growth


def key_of(row: Row) -> Key:
    """Which repetition a row belongs to."""
    return str(row["point"]), str(row["launch"]), int(row["repetition"])


def ranks_by_repetition(rows: Sequence[Row]) -> dict[Key, list[Row]]:
    """The rows of a ranks table by repetition."""
    groups: dict[Key, list[Row]] = {}
    for row in rows:
        groups.setdefault(key_of(row), []).append(row)
    return groups


def measure_phases(cell: Cell, ranks: Mapping[Key, Sequence[Row]]) -> Phases | None:
    """Medians over launches of the phase times of a sequential cell.

    None if the ranks table does not hold exactly one rank for any of its repetitions.
    """
    batches: list[tuple[Row, float]] = []
    generate: list[tuple[Row, float]] = []
    update: list[tuple[Row, float]] = []
    optimizer: list[tuple[Row, float]] = []
    shards: list[Shards] = []
    for row in cell.rows:
        entries = ranks.get(key_of(row), ())
        if len(entries) != 1 or not entries[0]["batches"]:
            continue
        count = float(entries[0]["batches"])
        batches.append((row, count))
        generate.append((row, float(entries[0]["generate_seconds"] or 0.0) / count))
        update.append((row, float(entries[0]["update_seconds"] or 0.0) / count))
        if row.get("optimizer_seconds") is not None:
            optimizer.append((row, float(row["optimizer_seconds"]) / count))
        if row.get("shard_images") is not None:
            shards.append(_shards_of(row))
    if not batches:
        return None

    def over_launches(values: list[tuple[Row, float]]) -> float:
        return median(by_launch(values))

    return Phases(
        over_launches(batches),
        over_launches(generate),
        over_launches(update),
        over_launches(optimizer) if optimizer else None,
        _typical(shards),
        divided=all(row.get("backend_used") == "fused" for row in cell.rows),
    )


def _shards_of(row: Row) -> Shards:
    names = ("shard_images", "shard_generate_seconds", "shard_gradients_seconds")
    return Shards(*(tuple(map(float, str(row[name]).split())) for name in names))


def _typical(measured: Sequence[Shards]) -> Shards | None:
    if len({shards.images for shards in measured}) != 1:
        return None
    return Shards(
        measured[0].images,
        tuple(median(times) for times in zip(*(s.generate for s in measured), strict=True)),
        tuple(median(times) for times in zip(*(s.gradients for s in measured), strict=True)),
    )


def pipeline_seconds(phases: Phases, p: float) -> float | None:
    """N max(u, g / (p - 1)) seconds: generation and updates overlap; needs p >= 2."""
    if p < 2:
        return None
    return phases.batches * max(phases.update, phases.generate / (p - 1))


def group_seconds(phases: Phases, p: float) -> float | None:
    """N max(u(1/t), g / (p - t)) seconds, with the t trainers that serve best; needs p >= 2."""
    if p < 2:
        return None
    return phases.batches * min(
        max(phases.gradients_on(t) + (phases.optimizer_on(t) or 0.0), phases.generate / (p - t))
        for t in range(1, math.floor(p))
    )


def data_parallel_seconds(phases: Phases, p: float) -> float | None:
    """N (g(1/p) + (u - o)(1/p) + o) seconds; o / p if the optimizer's step is divided."""
    optimizer = phases.optimizer_on(p) if p >= 1 else None
    if optimizer is None:
        return None
    return phases.batches * (phases.generate_on(p) + phases.gradients_on(p) + optimizer)


def sharded_seconds(phases: Phases, p: float) -> float | None:
    """N (g(1/p) + u) seconds: generation is shared, updates are rank 0's (without overlap)."""
    return phases.batches * (phases.generate_on(p) + phases.update) if p >= 1 else None


#: Strategies, and variants, whose ranks take parts of a minibatch; the others take whole ones.
SPLITTING = frozenset({"pipeline, trainer group", "sharded", "data_parallel"})

#: Seconds of the timed region on p processes, by strategy or variant; None where one has no meaning
#: or no data.
BOUNDS: Mapping[str, Callable[[Phases, float], float | None]] = {
    "pipeline": pipeline_seconds,
    "pipeline, trainer group": group_seconds,
    "sharded": sharded_seconds,
    "data_parallel": data_parallel_seconds,
}


def amdahl_speedup(f: float, p: float) -> float:
    """S = 1 / (f + (1 - f) / p), dimensionless (Amdahl, AFIPS 1967)."""
    return 1.0 / (f + (1.0 - f) / p)


#: A problem sized for p holds this many times the generation, and the updating, of one unit.
SCALING: Mapping[str, tuple[Callable[[float], float], Callable[[float], float]]] = {
    "slides": (lambda p: p, lambda p: 1.0),
    "report": (lambda p: p - 1.0, lambda p: 1.0),
    "classical": (lambda p: p, lambda p: p),
}


def scaled_phases(definition: str, measured: Mapping[int, Phases]) -> Callable[[float], Phases]:
    """Phase times of the problem sized for any p, from those measured on one process.

    One unit of generation and of updating is the median over the measured sizes; the optimizer's
    step does not grow with the problem, because it depends on the number of weights alone.

    Args:
        definition: slides, report or classical.
        measured: phase times on one process by the size of the problem (one at least).
    """
    generation, updating = SCALING[definition]
    batches = median(phases.batches for phases in measured.values())
    sizes = [size for size in measured if generation(size) > 0]
    unit = median(measured[s].generate / generation(s) for s in sizes) if sizes else 0.0
    divided = all(phases.divided for phases in measured.values())
    steps = [phases.optimizer for phases in measured.values() if phases.optimizer is not None]
    optimizer = median(steps) if steps else None
    if optimizer is None:
        each = median(phases.update / updating(size) for size, phases in measured.items())
        fixed = 0.0
    else:
        each = median(
            (phases.update - optimizer) / updating(size) for size, phases in measured.items()
        )
        fixed = optimizer

    shards = measured[min(measured)].shards

    def at(p: float) -> Phases:
        generate, update = unit * generation(p), each * updating(p) + fixed
        return Phases(batches, generate, update, optimizer, shards, updating(p), divided)

    return at
