"""Input gradients: each way's time beside autograd's, by batch size and threads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from harness.tables.statistics import Summary
from plots.openmp.table import NAMES, grouped, over_launches, way_of
from plots.shared.observations import Row


@dataclass(frozen=True)
class Gradient:
    """One way to the gradients of a batch.

    Attributes:
        method, threads: which.
        seconds: of the batch.
        ratio: to autograd's time on one thread in the same round.
        building: seconds to build its matrices, or None if it has none.
        flops, memory: operations, and bytes of its matrices; None where nothing tells.
    """

    method: str
    threads: int
    seconds: Summary
    ratio: Summary | None
    building: Summary | None
    flops: float | None
    memory: float | None


def gradients(rows: Sequence[Row]) -> dict[int, list[Gradient]]:
    """By batch size, then by method and threads."""
    sizes = grouped(rows, lambda row: int(row["batch_size"]))
    return {size: _of_size(sizes[size]) for size in sorted(sizes)}


def _of_size(rows: Sequence[Row]) -> list[Gradient]:
    ratios: dict[tuple[str, int], list[tuple[Row, float]]] = {}
    together = grouped(rows, lambda row: (row["launch"], row["repetition"], row["round"]))
    for members in together.values():
        base = next((row for row in members if way_of(row) == ("autograd", 1)), None)
        for row in members:
            if base is not None:
                ratio = float(row["seconds"]) / float(base["seconds"])
                ratios.setdefault(way_of(row), []).append((row, ratio))
    ways, known = grouped(rows, way_of), list(NAMES)
    found = []
    for way in sorted(ways, key=lambda way: (known.index(way[0]), way[1])):
        own = ways[way]
        seconds = over_launches((row, float(row["seconds"])) for row in own)
        assert seconds is not None
        built = [row for row in own if row.get("construction_seconds") is not None]
        building = over_launches((row, float(row["construction_seconds"])) for row in built)
        beside = over_launches(ratios.get(way, []))
        counts = (own[0].get("flops"), own[0].get("memory_bytes"))
        found.append(Gradient(*way, seconds, beside, building, *counts))
    return found
