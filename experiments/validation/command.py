"""One instrument against another: emulated rows beside measured ones, simulated beside emulated.

    python -m experiments.validation results/strategies.csv
    python -m experiments.validation results/strong_scaling.csv results/simulation.csv \
        --of simulated --against emulated --goal 10

Points are the same if strategy, variant, processes and problem are. What is compared is the median
over launches of the seconds per update; the difference has a percentile bootstrap interval over
launches (Efron and Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13).
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import click
import numpy as np

from harness.errors import UserError
from harness.tables.statistics import CONFIDENCE, summarize
from harness.tables.table import SOURCES, read_rows, uncounted

#: What makes two points the same; a column that a table lacks counts as empty.
KEYS = (
    "strategy", "variant", "definition", "size", "adversary_steps", "batch_size", "processes",
)  # fmt: skip
_DRAWS = 2000

Key = tuple[str, ...]


@dataclass(frozen=True)
class Side:
    """The launches of one point under one source.

    Attributes:
        seconds: seconds per update of each launch, medians over its repetitions.
        updates: updates of a launch.
        flagged: whether most launches were limited by the emulation.
    """

    seconds: tuple[float, ...]
    updates: frozenset[int]
    flagged: bool

    @property
    def median(self) -> float:
        """Median over launches, in seconds per update."""
        return median(self.seconds)

    @property
    def has_interval(self) -> bool:
        """Whether there are enough launches for an interval."""
        return summarize(list(self.seconds)).low is not None


@dataclass(frozen=True)
class Estimate:
    """A difference in percent, signed, and its interval; None where there are too few launches."""

    percent: float
    low: float | None
    high: float | None

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.percent:+.1f} %"
        return f"{self.percent:+.1f} % ({self.low:+.1f} to {self.high:+.1f})"


@dataclass(frozen=True)
class Difference:
    """One point under two instruments.

    Attributes:
        seconds: by how much the first takes longer per update.
        relative: the same with each in units of its own T_1; None where one has none.
    """

    key: Key
    first: Side
    second: Side
    seconds: Estimate
    relative: Estimate | None

    @property
    def notes(self) -> str:
        """What a reader must know of the pair."""
        told = []
        if self.first.flagged or self.second.flagged:
            told.append("limited by the emulation")
        if self.first.updates != self.second.updates:
            told.append("runs of different length")
        return "; ".join(told)


def compare(paths: Iterable[Path], of: str, against: str) -> list[Difference]:
    """The differences of all points that both sources have.

    Args:
        paths: tables of scaling studies, taken together.
        of: the source that is tested.
        against: the source that it is tested against.

    Raises:
        UserError: if a table cannot be read or no point has rows of both sources.
    """
    rows = [row for path in paths for row in _rows(path)]
    first, second = _sides(rows, of), _sides(rows, against)
    shared = [key for key in first if key in second]
    if not shared:
        raise UserError(
            f"no point has rows of both sources: {len(first)} points are {of} and {len(second)} "
            f"{against}; expected the same strategies, processes and problem in both"
        )
    return [
        Difference(
            key, first[key], second[key], _estimate([first[key]], [second[key]]),
            _relative(key, first, second),
        )
        for key in sorted(shared, key=_order)
    ]  # fmt: skip


def _rows(path: Path) -> list[dict[str, Any]]:
    """The usable rows of a table, of each source those of its newest environment."""
    rows = read_rows(path)
    if rows and "updates" not in rows[0]:
        raise UserError(f"{path}: lacks the column 'updates'; expected a study of training")
    rows = [row for row, reason in zip(rows, uncounted(rows), strict=True) if not reason]
    newest: dict[tuple[str, str], Any] = {}
    for row in sorted(rows, key=lambda row: str(row["started_at"])):
        newest[str(row["source"]), str(row["point"])] = row["environment"]

    def is_newest(row: dict[str, Any]) -> bool:
        return bool(newest[str(row["source"]), str(row["point"])] == row["environment"])

    return [row for row in rows if is_newest(row)]


def _sides(rows: Iterable[dict[str, Any]], source: str) -> dict[Key, Side]:
    """By key. Of several points with the same key, such as other calibrations', the newest."""
    groups: dict[Key, list[dict[str, Any]]] = {}
    for row in rows:
        if row["source"] == source:
            groups.setdefault(tuple(_text(row.get(name)) for name in KEYS), []).append(row)
    sides = {}
    for key, members in groups.items():
        point = max(members, key=lambda row: str(row["started_at"]))["point"]
        members = [row for row in members if row["point"] == point]
        launches: dict[str, list[float]] = {}
        for row in members:
            each = float(row["seconds"]) / float(row["updates"])
            launches.setdefault(str(row["launch"]), []).append(each)
        flags = [str(row.get("emulation_limited")).lower() == "true" for row in members]
        sides[key] = Side(
            tuple(median(launches[name]) for name in sorted(launches)),
            frozenset(int(row["updates"]) for row in members),
            2 * sum(flags) > len(flags),
        )
    return sides


def _relative(key: Key, first: dict[Key, Side], second: dict[Key, Side]) -> Estimate | None:
    """The difference in units of T_1, if both have the sequential run of the same problem."""
    changed = {"strategy": "sequential", "variant": "", "processes": "1"}
    one = tuple(changed.get(name, value) for name, value in zip(KEYS, key, strict=True))
    if one == key or one not in first or one not in second:
        return None
    return _estimate([first[key], second[one]], [second[key], first[one]])


def _estimate(over: Sequence[Side], under: Sequence[Side]) -> Estimate:
    """Product of medians over product of medians, less 1; launches are drawn independently."""
    percent = 100.0 * (
        math.prod(side.median for side in over) / math.prod(side.median for side in under) - 1.0
    )
    sides = [*over, *under]
    if not all(side.has_interval for side in sides):
        return Estimate(percent, None, None)
    random = np.random.default_rng(zlib.crc32(repr([side.seconds for side in sides]).encode()))
    ratios = 100.0 * (
        math.prod(_medians(side.seconds, random) for side in over)
        / math.prod(_medians(side.seconds, random) for side in under)
        - 1.0
    )
    tail = 50.0 * (1.0 - CONFIDENCE)
    low, high = np.percentile(ratios, [tail, 100.0 - tail])
    return Estimate(percent, float(low), float(high))


def _medians(values: Sequence[float], random: np.random.Generator) -> Any:
    picks = random.integers(len(values), size=(_DRAWS, len(values)))
    return np.median(np.asarray(values)[picks], axis=1)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _order(key: Key) -> tuple[tuple[float, str], ...]:
    return tuple((float(part), "") if part.isdecimal() else (-1.0, part) for part in key)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("tables", type=click.Path(path_type=Path), nargs=-1, required=True)
@click.option("--of", type=click.Choice(SOURCES), default="emulated", show_default=True,
              help="What is tested.")  # fmt: skip
@click.option("--against", type=click.Choice(SOURCES), default="measured", show_default=True,
              help="What it is tested against.")  # fmt: skip
@click.option("--processes", type=click.IntRange(1), help="Only points with so many processes.")
@click.option("--goal", type=click.FloatRange(0, min_open=True), default=5.0, show_default=True,
              help="Percent within which the difference is to be.")  # fmt: skip
def main(
    tables: tuple[Path, ...], of: str, against: str, processes: int | None, goal: float
) -> None:
    """Put rows of two sources side by side: seconds per update, and the difference in percent.

    \b
    python -m experiments.validation results/strategies.csv --processes 2
    python -m experiments.validation results/*.csv --of simulated --against emulated --goal 10
    """  # noqa: D301
    try:
        found = compare(tables, of, against)
    except UserError as error:
        raise click.ClickException(str(error)) from None
    place = KEYS.index("processes")
    found = [d for d in found if processes is None or d.key[place] == str(processes)]
    if not found:
        raise click.ClickException(f"no point with {processes} processes is in both sources")
    click.echo(f"{of} against {against}: seconds per update; differences in seconds and in units "
               f"of each one's T_1, with {100 * CONFIDENCE:g} % intervals")  # fmt: skip
    shown = [i for i, _ in enumerate(KEYS) if len({d.key[i] for d in found}) > 1 or i == 0]
    heads = [*(KEYS[i] for i in shown), of, against, "n", "difference", "in units of T_1",
             f"goal {goal:g} %", "note"]  # fmt: skip
    rows = [heads, *(_cells(d, shown, goal) for d in found)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(heads))]
    for row in rows:
        click.echo("  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)).rstrip())
    judged = [d for d in found if not (d.first.flagged or d.second.flagged)]
    within = sum(abs(d.seconds.percent) <= goal for d in judged)
    click.echo(f"{within} of {len(judged)} points that are not flagged are within {goal:g} %")
    scaled = [d.relative for d in judged if d.relative is not None]
    if scaled:
        within = sum(abs(relative.percent) <= goal for relative in scaled)
        click.echo(f"{within} of {len(scaled)} of them in units of T_1")


def _cells(d: Difference, shown: Sequence[int], goal: float) -> list[str]:
    return [
        *(d.key[i] for i in shown), f"{d.first.median:.5g}", f"{d.second.median:.5g}",
        f"{len(d.first.seconds)}, {len(d.second.seconds)}", str(d.seconds),
        "" if d.relative is None else str(d.relative),
        "met" if abs(d.seconds.percent) <= goal else "missed", d.notes,
    ]  # fmt: skip
