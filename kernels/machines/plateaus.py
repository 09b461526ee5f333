"""Plateaus of a bandwidth over the working set: what a thread has of each cache.

What the system tells of a shared cache is not what a program has of it: a virtual machine's share
may be a fraction. So the levels are read off a curve, by this rule:

1. A larger working set is served no faster: each rate is replaced by the best at its size or
   above (what disturbs a sample only ever lowers it).
2. The logarithms of the rates are divided into as many neighbouring pieces as there are levels,
   each of at least `FEWEST` sizes, so that the squared distances from the pieces' means are least
   (R. Bellman, "On the approximation of curves by line segments using dynamic programming", CACM
   4(6), 1961). A cache's piece ends within `MOST` times its described size: it may hold less than
   that, but not more. Pieces whose medians lie within `SAME` of each other are one.
3. A piece's rate is its median. Its level *holds* the largest working set whose rate is nearer to
   its own than to the next one's (by their ratio), and *reaches* to below the smallest from which
   on none is faster by `SAME` than the next one: what lies between is served by both, and the
   reach is what bounds.
4. Pieces belong to the described caches in order, so that the ratios of held to described sizes
   are nearest to one; the last one is main memory.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from statistics import median

import numpy as np

from kernels.machines.caches import Cache

#: Sizes that a piece has, at least.
FEWEST = 3
#: Rates of this ratio are one.
SAME = 1.1
#: A cache's piece ends within so many times its described size.
MOST = 2.0
#: A cache whose effective size differs by more than this factor from the described is told.
DIFFERENT = 1.5


@dataclass(frozen=True)
class Plateau:
    """A level as a curve shows it.

    Attributes:
        level: "L1", "L2", "L3", "DRAM".
        gbytes_per_second: the median of its piece.
        holds: bytes of all threads together that it serves; infinite of main memory.
        reaches: bytes up to which it serves a part.
        described: bytes that the system tells, of all threads' instances; None of main memory.
    """

    level: str
    gbytes_per_second: float
    holds: float
    reaches: float
    described: int | None

    @property
    def warning(self) -> str | None:
        """A sentence where the cache is not what the system tells."""
        if self.described is None:
            return None
        ratio = self.described / self.holds
        if 1 / DIFFERENT <= ratio <= DIFFERENT:
            return None
        return (
            f"{self.level} is described with {self.described / 2**20:.4g} MiB and holds "
            f"{self.holds / 2**20:.3g} MiB: kernels are placed by what it holds"
        )


def plateaus(
    curve: Mapping[int, float], caches: Sequence[Cache], instances: Sequence[int]
) -> list[Plateau]:
    """The levels of a curve, nearest first.

    Args:
        curve: best rate in GB/s by the working set in bytes, of all threads together.
        caches: described ones, nearest first.
        instances: of each, how many serve the threads.

    Raises:
        ValueError: if the curve has less than `FEWEST` sizes.
    """
    sizes = sorted(curve)
    if len(sizes) < FEWEST:
        raise ValueError(f"a curve of {len(sizes)} sizes shows no plateaus")
    rates = np.maximum.accumulate([curve[size] for size in sizes[::-1]])[::-1]
    described = [cache.bytes * count for cache, count in zip(caches, instances, strict=True)]
    count = min(len(caches) + 1, len(sizes) // FEWEST)
    # Each piece's last size may have this index, at most.
    latest = [np.searchsorted(sizes, MOST * size, side="right") for size in described[: count - 1]]
    pieces = _merged(_pieces(np.log(rates), [*map(int, latest), len(sizes)]), rates)
    middles = [float(median(rates[begin:end])) for begin, end in pieces]
    ends = []
    for mine, following in pairwise(middles):
        holds = max(
            size for size, rate in zip(sizes, rates, strict=True)
            if rate >= math.sqrt(mine * following)
        )  # fmt: skip
        # Sizes are sorted and rates fall, so that this many are faster.
        faster = int(np.count_nonzero(rates > SAME * following))
        ends.append((float(holds), float(max(holds, sizes[faster] - 1))))
    chosen = _assigned([holds for holds, _ in ends], described)
    found = [
        Plateau(f"L{caches[index].level}", rate, *end, described[index])
        for index, rate, end in zip(chosen, middles[:-1], ends, strict=True)
    ]
    return [*found, Plateau("DRAM", middles[-1], math.inf, math.inf, None)]


def _pieces(values: np.ndarray, latest: Sequence[int]) -> list[tuple[int, int]]:
    """Begin and end of each piece, with the least squares; the last ends with the values.

    Args:
        values: of the curve.
        latest: where each piece may end, at most, if there is such a division.
    """
    n = len(values)
    sums, squares = (np.concatenate([[0.0], np.cumsum(v)]) for v in (values, values**2))

    def cost(begin: int, end: int) -> float:
        total = sums[end] - sums[begin]
        return float(squares[end] - squares[begin] - total**2 / (end - begin))

    best: list[dict[int, tuple[float, int]]] = [{0: (0.0, 0)}]
    for limit in latest:
        row: dict[int, tuple[float, int]] = {}
        for end in range(FEWEST, limit + 1):
            options = [
                (before + cost(begin, end), begin)
                for begin, (before, _) in best[-1].items()
                if begin + FEWEST <= end
            ]
            if options:
                row[end] = min(options)
        if row:
            best.append(row)
    if n not in best[-1]:
        return [(0, n)]
    found, end = [], n
    for row in best[:0:-1]:
        begin = row[end][1]
        found.append((begin, end))
        end = begin
    return found[::-1]


def _merged(pieces: list[tuple[int, int]], rates: np.ndarray) -> list[tuple[int, int]]:
    found = pieces[:1]
    for begin, end in pieces[1:]:
        before = found[-1]
        if median(rates[slice(*before)]) < SAME * median(rates[begin:end]):
            found[-1] = before[0], end
        else:
            found.append((begin, end))
    return found


def _assigned(holds: Sequence[float], described: Sequence[int]) -> tuple[int, ...]:
    """Which described cache each plateau is, in order."""

    def distance(chosen: tuple[int, ...]) -> float:
        return sum(
            abs(math.log(mine / described[index]))
            for mine, index in zip(holds, chosen, strict=True)
        )

    return min(combinations(range(len(described)), len(holds)), key=distance)
