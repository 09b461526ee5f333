"""The OpenMP study: ratios of times in the same round, and what a slowdown is made of.

Every way of a comparison was timed once in each round, on one process, so ratios are taken in a
round; a launch gives the median over its rounds, and launches give a median with its interval.

A way with t threads takes t T core-seconds, where multiplying from left to right on one thread
takes T_1. That ratio is the product of three:

    work      FLOPs of its order over those of the order from left to right
    rate      seconds per FLOP of its order on one thread, over those of left to right
    parallel  t T over its order's seconds on one thread: 1 where threads cost nothing
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import TypeVar

from harness.errors import UserError
from harness.tables.statistics import Summary, summarize
from harness.tables.table import DETAIL_COLUMNS, details_path, read_rows
from plots.shared.observations import Row, Selection

K = TypeVar("K")

#: What the study's rows must tell, and their details.
KEYS = ("part", "threads_per_process", "processes")
COLUMNS = (*DETAIL_COLUMNS, "method", "threads", "round", "seconds")

#: Ways in order, with the names that are shown.
NAMES = {
    "sequential": "left to right",
    "optimal": "optimal order",
    "multi_dot": "multi_dot",
    "blocks": "blocks",
    "queue": "task queue",
    "python_blocks": "blocks, Python",
    "autograd": "autograd",
    "fused": "fused engine",
    "toeplitz_sparse": "Toeplitz, sparse",
    "toeplitz_dense": "Toeplitz, dense",
    "explicit": "masked Jacobians",
}
#: Ways whose threads work between products; the others' work inside each.
BETWEEN = ("blocks", "queue", "python_blocks")


@dataclass(frozen=True)
class Way:
    """One way to multiply a chain.

    Attributes:
        method, threads: which.
        seconds: of the whole product.
        speedup: T_1 / T, T_1 from left to right on one thread.
        work, rate, parallel: see the head of this module; None where nothing tells.
        cores: that were busy meanwhile.
    """

    method: str
    threads: int
    seconds: Summary
    speedup: Summary
    work: Summary
    rate: Summary | None
    parallel: Summary | None
    cores: Summary


@dataclass(frozen=True)
class Chain:
    """All ways to multiply a chain, or the random chains of one kind.

    Attributes:
        name: its shapes.
        draws: how many random chains there are; 1 of a chain that is not random.
        ways: by method, then threads.
        rows: the times behind them.
    """

    name: str
    draws: int
    ways: tuple[Way, ...]
    rows: tuple[Row, ...]

    @property
    def threads(self) -> int:
        """The most threads."""
        return max(way.threads for way in self.ways)

    def at(self, threads: int) -> list[Way]:
        """The ways with so many threads."""
        return [way for way in self.ways if way.threads == threads]


@dataclass(frozen=True)
class OpenMP:
    """What was selected of the study, with the times joined to their points."""

    selection: Selection
    chains: tuple[Chain, ...]
    rows: tuple[Row, ...]

    def of(self, part: str) -> list[Row]:
        """The times of one part."""
        return [row for row in self.rows if row["part"] == part]


def analyse(selection: Selection) -> OpenMP:
    """Join the study's rows with their details.

    Raises:
        UserError: if the table is no OpenMP study or its details are missing.
    """
    missing = [key for key in KEYS if key not in selection.rows[0]]
    if missing:
        raise UserError(
            f"{selection.path}: has no column '{missing[0]}'; expected the table of "
            "experiments/openmp.toml"
        )
    path = details_path(selection.path.parent, selection.study)
    points = {_repetition(row): row for row in selection.rows}
    rows = [
        points[_repetition(detail)] | {name: x for name, x in detail.items() if x is not None}
        for detail in read_rows(path, COLUMNS)
        if _repetition(detail) in points
    ]
    if not rows:
        raise UserError(f"{path}: tells of no time of the rows in {selection.path.name}")
    chains = grouped((row for row in rows if row["part"] == "chains"), lambda row: row["chain"])
    found = [_chain(str(name), own) for name, own in chains.items()]
    order = {"equal": 0, "random": 1}
    found.sort(key=lambda chain: (order.get(str(chain.rows[0]["shapes"]), 2), _first(chain)))
    return OpenMP(selection, tuple(found), tuple(rows))


def _first(chain: Chain) -> tuple[float, str]:
    return -float(chain.rows[0].get("dimension") or 0), chain.name


def _repetition(row: Row) -> tuple[str, str, int]:
    return str(row["point"]), str(row["launch"]), int(row["repetition"])


def grouped(rows: Iterable[Row], key: Callable[[Row], K]) -> dict[K, list[Row]]:
    """Rows by a key, in the order in which keys appear."""
    found: dict[K, list[Row]] = {}
    for row in rows:
        found.setdefault(key(row), []).append(row)
    return found


def over_launches(pairs: Iterable[tuple[Row, float]]) -> Summary | None:
    """The median over launches, each of which gives the median of its values."""
    launches: dict[str, list[float]] = {}
    for row, value in pairs:
        launches.setdefault(str(row["launch"]), []).append(value)
    return summarize([median(values) for values in launches.values()]) if launches else None


def way_of(row: Row) -> tuple[str, int]:
    """Method and threads."""
    return str(row["method"]), int(row["threads"])


def _chain(name: str, rows: list[Row]) -> Chain:
    same = grouped(rows, lambda row: (*_repetition(row), row["draw"], row["round"]))
    factors: dict[tuple[str, int], list[tuple[Row, dict[str, float]]]] = {}
    for members in same.values():
        times = {way_of(row): row for row in members}
        if ("sequential", 1) in times:
            for way, row in times.items():
                factors.setdefault(way, []).append((row, _factors(row, times)))
    known = list(NAMES)
    ways = [
        _way(*way, factors[way])
        for way in sorted(factors, key=lambda way: (known.index(way[0]), way[1]))
    ]
    return Chain(name, len({row["draw"] for row in rows}), tuple(ways), tuple(rows))


def _factors(row: Row, times: dict[tuple[str, int], Row]) -> dict[str, float]:
    """Speed-up, and the three factors, of one time among those of its round."""
    base, seconds = times["sequential", 1], float(row["seconds"])
    work = float(row["flops"]) / float(base["flops"])
    found = {"speedup": float(base["seconds"]) / seconds, "work": work, "seconds": seconds}
    alone = _alone(row, times)
    if alone is not None:
        found["rate"] = alone / float(base["seconds"]) / work
        found["parallel"] = int(row["threads"]) * seconds / alone
    return found


def _alone(row: Row, times: dict[tuple[str, int], Row]) -> float | None:
    """Seconds that the order of a way takes on one thread."""
    method, threads = way_of(row)
    if method == "python_blocks":  # the order is that of blocks; one block is left to right
        other = times.get(("blocks", threads) if threads > 1 else ("sequential", 1))
        if other is None:
            return None
        return float(other["replay_seconds"] if threads > 1 else other["seconds"])
    if method in BETWEEN and threads > 1:
        return float(row["replay_seconds"])
    single = times.get((method, 1))
    return None if single is None else float(single["seconds"])


def _way(method: str, threads: int, found: Sequence[tuple[Row, dict[str, float]]]) -> Way:
    def summary(name: str) -> Summary | None:
        return over_launches((row, facts[name]) for row, facts in found if name in facts)

    cores = over_launches((row, float(row["busy_cores"])) for row, _ in found)
    seconds, speedup, work = summary("seconds"), summary("speedup"), summary("work")
    assert seconds is not None
    assert speedup is not None
    assert work is not None
    assert cores is not None
    rate, parallel = summary("rate"), summary("parallel")
    return Way(method, threads, seconds, speedup, work, rate, parallel, cores)
