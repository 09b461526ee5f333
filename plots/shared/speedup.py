"""Speed-up, efficiency and the experimentally determined serial fraction of each point.

Where launches were measured in rounds, S = T_1 / T_p is formed in each round, whose launches ran
within minutes of each other, and summarised over them with a signed-rank interval
(`harness.tables.statistics`). Else it is a ratio of summaries (medians over launches), with a
percentile bootstrap over whole launches (Efron and Tibshirani, "An Introduction to the Bootstrap",
1993, chapter 13). T_1 is stated in seconds (Hoefler and Belli, SC'15, rules 1 and 4).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median

from harness.tables.statistics import (
    Summary,
    in_rounds,
    interval_ranks,
    summarize,
    summarize_ratios,
)
from plots.shared.bootstrap import generator, percentile_interval, resampled_medians
from plots.shared.observations import SEQUENTIAL, Row, text

#: Fraction of the evaluated test images that are still told right when attacked.
ACCURACY = "robust_accuracy"


@dataclass(frozen=True, eq=False)
class Cell:
    """All launches of one configuration, strategy, source and number of processes.

    Attributes:
        strategy: how the work is spread; the workload's name where a table has no strategies.
        source: how the rows came to be.
        processes: MPI ranks.
        threads: threads per process.
        size: number of processes that the problem is sized for, in weak scaling.
        rows: the timed repetitions.
    """

    strategy: str
    source: str
    processes: int
    threads: int
    size: int | None
    rows: tuple[Row, ...]

    @property
    def cores(self) -> int:
        """Processes times threads per process."""
        return self.processes * self.threads

    @property
    def series(self) -> str:
        """The strategy, with its threads per process where they are several."""
        return series_name(self.strategy, self.threads)

    @cached_property
    def launches(self) -> tuple[float, ...]:
        """Seconds of each launch: the median of its repetitions."""
        return tuple(by_launch((row, float(row["seconds"])) for row in self.rows))

    @cached_property
    def rounds(self) -> dict[str, float]:
        """Seconds by the round that they were measured in, of the launches that were in one."""
        groups: dict[str, list[Row]] = {}
        for row in self.rows:
            if row.get("launch_round"):
                groups.setdefault(str(row["launch_round"]), []).append(row)
        return {
            name: median(by_launch((row, float(row["seconds"])) for row in rows))
            for name, rows in groups.items()
        }

    @cached_property
    def seconds(self) -> Summary:
        """Median over launches, in seconds, with its order-statistics interval."""
        return summarize(self.launches)

    @property
    def limited(self) -> bool:
        """Whether most launches were flagged: emulated ranks waited for this machine's cores."""
        flags = [str(row.get("emulation_limited")).lower() == "true" for row in self.rows]
        return 2 * sum(flags) > len(flags)

    @property
    def has_interval(self) -> bool:
        """Whether there are enough launches for an interval."""
        return self.seconds.low is not None


@dataclass(frozen=True, eq=False)
class Point:
    """A cell compared with its baseline.

    Attributes:
        cell: what was measured.
        baseline: what T_1 was measured with.
        factor: the baseline's time is multiplied by this (1, or p where a problem p times as large
            is assumed to take p times as long).
        speedup: T_1 / T_p (dimensionless).
        low: lower end of its interval, or None if n is too small.
        high: upper end.
        pairs: rounds that the speed-up was formed in; 0 where it is a ratio of medians.
    """

    cell: Cell
    baseline: Cell
    factor: float
    speedup: float
    low: float | None
    high: float | None
    pairs: int = 0

    @property
    def efficiency(self) -> float:
        """S / cores (dimensionless)."""
        return self.speedup / self.cell.cores

    @property
    def karp_flatt(self) -> float | None:
        """The experimentally determined serial fraction, or None on one core."""
        return karp_flatt(self.speedup, self.cell.cores)


def series_name(strategy: str, threads: int) -> str:
    """What a legend calls the points of one strategy."""
    return strategy if threads == 1 else f"{strategy}, {threads} threads each"


def by_launch(values: Iterable[tuple[Row, float]]) -> list[float]:
    """One value per launch, the median over its repetitions, in a fixed order of launches."""
    groups: dict[tuple[str, str], list[float]] = {}
    for row, value in values:
        groups.setdefault((str(row["point"]), str(row["launch"])), []).append(value)
    return [median(groups[key]) for key in sorted(groups)]


def karp_flatt(speedup: float, p: int) -> float | None:
    """The serial fraction (1/S - 1/p) / (1 - 1/p), dimensionless; None for p = 1.

    Karp and Flatt, "Measuring Parallel Processor Performance", CACM 33(5), 1990. It rises with p
    where overhead grows, and stays constant where a serial part alone limits.
    """
    if p <= 1:
        return None
    return (1.0 / speedup - 1.0 / p) / (1.0 - 1.0 / p)


def compare(cell: Cell, baseline: Cell, factor: float = 1.0) -> Point:
    """The speed-up of a cell over its baseline; an interval only if both have enough launches."""
    ratios = in_rounds(baseline.rounds, cell.rounds)
    if cell is not baseline and interval_ranks(len(ratios)):
        paired = summarize_ratios([factor * ratio for ratio in ratios])
        return Point(cell, baseline, factor, paired.value, paired.low, paired.high, paired.n)
    speedup = factor * baseline.seconds.median / cell.seconds.median
    if cell is baseline or not (cell.has_interval and baseline.has_interval):
        return Point(cell, baseline, factor, speedup, None, None)
    random = generator(cell.strategy, cell.processes, cell.threads, cell.size)
    resampled = (
        factor
        * resampled_medians(baseline.launches, random)
        / resampled_medians(cell.launches, random)
    )
    return Point(cell, baseline, factor, speedup, *percentile_interval(resampled))


def cells_of(rows: Iterable[Row], sized: bool = False) -> list[Cell]:
    """Rows grouped into cells, the sequential ones first.

    Args:
        rows: timed repetitions of one configuration.
        sized: whether a row's column ``size`` sets cells apart (weak scaling), where there is a
            ``definition`` of it.
    """
    groups: dict[tuple[str, str, int, int, int | None], list[Row]] = {}
    for row in rows:
        size = row.get("size") if sized and row.get("definition") is not None else None
        key = (
            # A variant is a strategy with options of its own, drawn under a name of its own.
            text(row.get("variant") or row.get("strategy") or row["workload"]), str(row["source"]),
            int(row["processes"]), int(row["threads_per_process"]),
            None if size is None else int(size),
        )  # fmt: skip
        groups.setdefault(key, []).append(row)
    order = sorted(groups, key=lambda k: (k[0] != SEQUENTIAL, k[0], k[1], k[3], k[2], k[4] or 0))
    return [Cell(*key, tuple(groups[key])) for key in order]


def baseline_of(cell: Cell, cells: Sequence[Cell]) -> Cell | None:
    """The sequential cell of the same problem, else the strategy's own on one core.

    It is of the same source, but for oversubscribed points: their T_1 has a core to itself.
    """
    sources = [cell.source, *(["measured"] if cell.source == "oversubscribed" else [])]
    for strategy in (SEQUENTIAL, cell.strategy):
        for source in sources:
            for other in cells:
                if (other.strategy, other.source, other.cores) == (strategy, source, 1) and (
                    other.size == cell.size
                ):
                    return other
    return None


def robust_accuracy(cell: Cell) -> tuple[Summary, int] | None:
    """The median over seeds with its interval, and how many seeds; None where nothing is known.

    Launches of one seed are no samples of training: each seed counts once. Of one seed alone, the
    median is over its launches.
    """
    by_seed: dict[str, list[float]] = {}
    for seed in sorted({str(row.get("seed")) for row in cell.rows}):
        known = [
            (row, float(row[ACCURACY])) for row in cell.rows
            if str(row.get("seed")) == seed and row.get(ACCURACY) is not None
        ]  # fmt: skip
        if known:
            by_seed[seed] = by_launch(known)
    if not by_seed:
        return None
    values = list(by_seed.values())
    return summarize(values[0] if len(values) == 1 else [median(v) for v in values]), len(values)


#: What stands in the place of an interval.
TOO_SMALL = "n too small"


def digits(value: float) -> str:
    """Three digits, zeros at the end too."""
    return f"{value:#.3g}".rstrip(".")


def interval(point: Point) -> str:
    """Of a speed-up, in brackets."""
    if point.low is None or point.high is None:
        return f"({TOO_SMALL})"
    return f"[{digits(point.low)}, {digits(point.high)}]"
