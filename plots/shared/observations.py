"""Which rows of a table are drawn, and a reason for each row that is not.

A study's table accumulates rows of other presets, environments and older code. A figure shows one
environment and, unless asked otherwise, only the points of the study as it was last asked for.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UserError
from harness.tables.table import (
    LAUNCH_COLUMNS,
    MORE_POINT_COLUMNS,
    POINT_COLUMNS,
    ROW_COLUMNS,
    check_numbers,
    points_path,
    read_rows,
    uncounted,
)

#: One row of a table: column to value, with None for an empty cell (`harness.tables.table`).
Row = dict[str, Any]

#: The strategy that others are compared with.
SEQUENTIAL = "sequential"

#: What the training studies measure. The table itself does not tell a metric from a parameter.
METRICS = frozenset({
    "batches", "images_per_second", "staleness_mean", "staleness_max", "loss", "clean_accuracy",
    "robust_accuracy", "fill_seconds", "drain_seconds", "optimizer_seconds",
    "shard_images", "shard_generate_seconds", "shard_gradients_seconds",
    "emulation_cpu_share", "emulation_limited", "limit", "trainer_utilisation",
    "generator_utilisation", "simulating_seconds",
})  # fmt: skip


@dataclass(frozen=True)
class LeftOut:
    """Rows that are not drawn."""

    count: int
    reason: str


@dataclass(frozen=True)
class Selection:
    """The rows to draw, all of one environment, and what was left out.

    Attributes:
        study: the table's name without its ending.
        path: the table.
        rows: timed repetitions of launches that ended well (`harness.tables.table.counts`).
        parameters: the columns that are parameters of the study (the rest are metrics).
        environment: the one environment of all rows.
        total: rows in the table.
        left_out: counts and reasons; they and ``rows`` add up to ``total``.
        rate: the metric that the study compares its points by instead of their seconds; or empty.
    """

    study: str
    path: Path
    rows: tuple[Row, ...]
    parameters: tuple[str, ...]
    environment: str
    total: int
    left_out: tuple[LeftOut, ...]
    rate: str = ""


def select(
    path: Path,
    *,
    environment: str | None = None,
    where: Iterable[tuple[str, str]] = (),
    all_points: bool = False,
) -> Selection:
    """Read a table and choose the rows to draw.

    Args:
        path: ``results/<study>.csv``.
        environment: draw this environment (its id or the beginning of it).
        where: pairs of column and value that a row must have.
        all_points: do not restrict the rows to the points last asked for.

    Raises:
        UserError: if the file is no table, or nothing remains to draw.
    """
    rows = read_rows(path)
    total = len(rows)
    asked, parameter_names, rate = _asked_points(points_path(path.parent, path.stem))
    left_out: list[LeftOut] = []

    def keep(condition: Callable[[Row], bool], reason: Callable[[Row], str]) -> None:
        nonlocal rows
        gone = Counter(reason(row) for row in rows if not condition(row))
        left_out.extend(LeftOut(count, text) for text, count in sorted(gone.items()))
        rows = [row for row in rows if condition(row)]

    def another(row: Row) -> str:
        return f"measured under another environment ({row['environment']})"

    reasons = {id(row): reason for row, reason in zip(rows, uncounted(rows), strict=True)}
    keep(lambda row: not reasons[id(row)], lambda row: reasons[id(row)])
    if not rows:
        raise UserError(f"{path}: no rows with status ok to draw (of {total} rows)")
    check_numbers(path, rows)
    for key, value in where:
        _check_key(path, rows, key)
        values = sorted({text(row[key]) for row in rows})
        keep(lambda row: _same(row[key], value), lambda row: f"not {key}={value}")  # noqa: B023
        if not rows:
            raise UserError(f"{path}: no row has {key}={value}; found {', '.join(values)}")
    chosen = _full_id(path, rows, environment) if environment else None
    if asked is not None and not all_points:
        ids = {point for point, _ in asked}
        before = rows
        keep(
            lambda row: (
                row["point"] in ids if chosen else (row["point"], row["environment"]) in asked
            ),
            lambda row: (
                another(row)
                if row["point"] in ids
                else "not among the points last asked for (--all-points draws them)"
            ),
        )
        if not rows:
            raise UserError(
                f"{path}: none of its {len(before)} usable rows is among the points last asked "
                f"for ({path.stem}.points.csv); --all-points draws the others"
            )
    chosen = chosen or text(max(rows, key=_age)["environment"])
    keep(lambda row: text(row["environment"]) == chosen, another)
    if not rows:
        raise UserError(f"{path}: no row to draw under the environment {chosen}")
    versions = {row["workload"]: row["workload_version"] for row in sorted(rows, key=_age)}
    keep(
        lambda row: row["workload_version"] == versions[row["workload"]],
        lambda row: f"measured with another version of the workload ({row['workload_version']})",
    )
    names = parameter_names if parameter_names is not None else _guess_parameters(rows)
    return Selection(path.stem, path, tuple(rows), names, chosen, total, tuple(left_out), rate)


def selected(analyse: Callable[[Selection], Any]) -> Callable[..., Any]:
    """What reads a table and analyses the rows that `select` chooses, by its keywords."""
    return lambda path, **chosen: analyse(select(path, **chosen))


def text(value: Any) -> str:
    """A value as a reader writes it: 32.0 is 32, None is empty, True is true."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def _asked_points(path: Path) -> tuple[set[tuple[str, str]] | None, tuple[str, ...] | None, str]:
    """What ``<study>.points.csv`` tells, if it exists.

    Returns:
        Its (point, environment) pairs, the parameters, and the rate that points are compared by.
    """
    rows = read_rows(path, POINT_COLUMNS) if path.is_file() else []
    if not rows:
        return None, None, ""
    known = (*POINT_COLUMNS, *MORE_POINT_COLUMNS)
    names = tuple(name for name in rows[0] if name not in known)
    asked = {(row["point"], row["environment"]) for row in rows}
    return asked, names, text(rows[0].get("throughput_metric"))


def _guess_parameters(rows: Sequence[Row]) -> tuple[str, ...]:
    """Without a points table: a parameter is constant in a point, and some points share it."""
    points: dict[str, list[Row]] = {}
    for row in rows:
        points.setdefault(row["point"], []).append(row)
    names = []
    for name in rows[0]:
        if name in ROW_COLUMNS or name in LAUNCH_COLUMNS or name in METRICS:
            continue
        values = [{text(row[name]) for row in group} for group in points.values()]
        constant = all(len(distinct) == 1 for distinct in values)
        shared = len(set().union(*values)) < len(points) or len(points) == 1
        if constant and shared:
            names.append(name)
    return tuple(names)


def _check_key(path: Path, rows: Sequence[Row], key: str) -> None:
    if key not in rows[0]:
        raise UserError(f"{path}: --where names '{key}', expected one of its columns: "
                        f"{', '.join(rows[0])}")  # fmt: skip


def _full_id(path: Path, rows: Sequence[Row], prefix: str) -> str:
    known = sorted({str(row["environment"]) for row in rows})
    matches = [known_id for known_id in known if known_id.startswith(prefix)]
    if prefix in known:
        return prefix
    if len(matches) != 1:
        found = "fits several" if matches else "is none"
        raise UserError(f"{path}: --environment {prefix} {found} of the environments with usable "
                        f"rows: {', '.join(known)}")  # fmt: skip
    return matches[0]


def _age(row: Row) -> str:
    return text(row["started_at"])


def _same(value: Any, wanted: str) -> bool:
    """Whether a value is the one that was typed; only a number may be written in several ways."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return text(value) == wanted
    try:
        return float(value) == float(wanted)
    except ValueError:
        return False
