"""What a run of the benchmark found, as text."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from rich.table import Table as RichTable

from sparring.benchmark.plan import ATTACK, COMPETITORS, TASKS
from sparring.tables import Row

#: Against whom competitors are compared: the first of these that was measured.
BASES = ("fused", "sparring")


def tables(rows: Sequence[Row]) -> list[RichTable]:
    """One table for each task, number of threads and number of steps, in order."""
    measured = {str(row["competitor"]) for row in rows if row["status"] == "ok"}
    base = next((name for name in BASES if name in measured), None)
    groups: dict[tuple[int, float, float], list[Row]] = {}
    for row in rows:
        key = list(TASKS).index(str(row["task"])), _number(row, "threads"), _number(row, "steps")
        groups.setdefault(key, []).append(row)
    return [_table(groups[key], base) for key in sorted(groups)]


def _table(rows: Sequence[Row], base: str | None) -> RichTable:
    task, threads, steps = rows[0]["task"], _number(rows[0], "threads"), _number(rows[0], "steps")
    table = RichTable(
        title=f"{task}, {rows[0]['weights']} weights, "
        + f"{threads:g} thread{'s' if threads > 1 else ''}"
        + (f", {steps:g} steps" if steps else ""),
        title_justify="left",
    )
    table.add_column("batch", justify="right")
    table.add_column("competitor")
    rate = "image-steps/s" if task == ATTACK else "images/s"
    for heading in ("n", f"ms an {task}", rate, "first call s"):
        table.add_column(heading, justify="right")
    table.add_column(f"time / {base} (range)" if base else "", justify="right")
    for batch_size in sorted({_number(row, "batch_size") for row in rows}):
        own = [row for row in rows if _number(row, "batch_size") == batch_size]
        for name in COMPETITORS:
            if cells := _cells([r for r in own if r["competitor"] == name],
                               [r for r in own if r["competitor"] == base]):  # fmt: skip
                table.add_row(f"{batch_size:g}", COMPETITORS[name], *cells)
        table.add_section()
    return table


def _cells(rows: Sequence[Row], base: Sequence[Row]) -> tuple[str, ...]:
    """The cells behind a competitor's name; none if there are no rows."""
    if not rows:
        return ()
    times, bases = _by_round(rows), _by_round(base)
    if not times:
        return ("0", "", "", "", f"{rows[0]['status']}: {rows[0]['message']}")
    work = _number(rows[0], "batch_size")
    if rows[0]["task"] == ATTACK:
        work *= _number(rows[0], "steps")
    ratios = [times[number] / bases[number] for number in times if number in bases]
    first = next(_number(row, "first_call_seconds") for row in rows if row["status"] == "ok")
    middle = median(times.values())
    return (
        str(len(times)), _milliseconds(middle), f"{work / middle:,.0f}", f"{first:.3g}",
        f"{median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})" if ratios else "",
    )  # fmt: skip


def _milliseconds(seconds: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{1000 * seconds:,.0f}" if seconds >= 1 else f"{1000 * seconds:.3g}"


def _by_round(rows: Sequence[Row]) -> dict[float, float]:
    """Seconds of each round that was measured."""
    return {_number(r, "round"): _number(r, "seconds") for r in rows if r["status"] == "ok"}


def _number(row: Row, column: str) -> float:
    value = row[column]
    assert isinstance(value, int | float)
    return value
