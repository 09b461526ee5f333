"""The trade-off in words and numbers."""

from __future__ import annotations

from harness.tables.table import format_csv, text_of
from plots.shared import style
from plots.shared.aligned import aligned
from plots.shared.chart import Chart, Value
from plots.shared.plot import Grid
from plots.shared.speedup import TOO_SMALL, digits, interval
from plots.tradeoff.table import Mark, Panel, Tradeoff

HEADER = (
    "strategy", "source", "p", "threads", "n", "speed-up", "95 % interval", "seeds",
    "robust accuracy [%]", "95 % interval", "points beside T_1's", "surpassed",
)  # fmt: skip
COLUMNS = (
    "study", "configuration", "strategy", "source", "processes", "threads_per_process", "launches",
    "speedup", "speedup_low", "speedup_high", "seeds", "robust_accuracy", "robust_accuracy_low",
    "robust_accuracy_high", "difference", "surpassed",
)  # fmt: skip


def describe(study: Tradeoff) -> str:
    """The study as printed tables."""
    selection = study.selection
    lines = [
        f"{selection.study}: speed-up against robust accuracy, {len(selection.rows)} of "
        f"{selection.total} rows, environment {selection.environment}",
        *(f"  left out: {gone.count} rows, {gone.reason}" for gone in selection.left_out),
    ]
    for panel in study.panels:
        lines += ["", *filter(None, [panel.facet.name])]
        lines += aligned([HEADER, *(_cells(panel, mark) for mark in panel.marks)])
        lines += [f"  note: {note}" for note in panel.notes]
    return "\n".join(lines)


def grids(study: Tradeoff) -> list[Grid]:
    """The marks of each panel."""
    return [
        Grid(panel.facet.name, HEADER, [_cells(panel, mark) for mark in panel.marks], panel.notes)
        for panel in study.panels
    ]


def csv(study: Tradeoff) -> str:
    """``<study>.tradeoff.csv``: a row per mark; accuracies and their difference are fractions."""
    rows = []
    for panel in study.panels:
        for mark in panel.marks:
            cell, accuracy = mark.point.cell, mark.accuracy
            values = (
                study.selection.study, panel.facet.name, cell.strategy, cell.source,
                cell.processes, cell.threads, cell.seconds.n, mark.point.speedup, mark.point.low,
                mark.point.high, mark.seeds, accuracy.median, accuracy.low, accuracy.high,
                difference(panel, mark), mark not in panel.front,
            )  # fmt: skip
            rows.append({k: text_of(v) for k, v in zip(COLUMNS, values, strict=True)})
    return format_csv(COLUMNS, rows)


def headlines(study: Tradeoff) -> list[str]:
    """Of each panel, the marks in parallel, faster than one core, that no other surpasses."""
    told = []
    for panel in study.panels:
        for mark in panel.front:
            if mark.point.cell.cores == 1 or mark.point.speedup <= 1:
                continue
            cell, base = mark.point.cell, panel.baseline_of(mark)
            beside = f"; sequential: {percent(base.accuracy.median)} %" if base else ""
            lead = f"{panel.facet.name}: " if panel.facet.name else ""
            told.append(
                f"{lead}nothing else is both as fast as {style.plain(cell.series)} on "
                f"{cell.processes} processes ({digits(mark.point.speedup)} times "
                f"{interval(mark.point)} as fast as one) and as robust (accuracy "
                f"{percent(mark.accuracy.median)} % {bounds(mark)}{beside}); {cell.source}"
            )
    return told


def chart(study: Tradeoff) -> Chart:
    """Speed-up over robust accuracy, with the speed-up's intervals; a configuration to choose."""
    values = [
        Value(
            100 * mark.accuracy.median, mark.point.speedup, name(mark), mark.point.cell.source,
            panel.facet.name, mark.point.low, mark.point.high,
        )
        for panel in study.panels
        for mark in panel.marks
    ]  # fmt: skip
    return Chart("robust accuracy [%]", "speed-up", values, panel_title="configuration",
                 joined=False)  # fmt: skip


def name(mark: Mark) -> str:
    """Strategy and processes."""
    series = style.plain(mark.point.cell.series)
    return series if mark.is_baseline else f"{series}, p = {mark.point.cell.processes}"


def difference(panel: Panel, mark: Mark) -> float | None:
    """Robust accuracy (a fraction) above that of the baseline, or None."""
    base = panel.baseline_of(mark)
    return mark.accuracy.median - base.accuracy.median if base else None


def percent(fraction: float) -> str:
    """With one digit behind the point, and without a sign that it is."""
    return f"{100 * fraction:.1f}"


def bounds(mark: Mark) -> str:
    """The interval of the robust accuracy in per cent, in brackets."""
    low, high = mark.accuracy.low, mark.accuracy.high
    if low is None or high is None:
        return f"({TOO_SMALL})"
    return f"[{percent(low)}, {percent(high)}]"


def _cells(panel: Panel, mark: Mark) -> tuple[str, ...]:
    cell, more = mark.point.cell, difference(panel, mark)
    return (
        cell.strategy, cell.source, str(cell.processes), str(cell.threads), str(cell.seconds.n),
        digits(mark.point.speedup),
        "by definition" if mark.is_baseline else interval(mark.point).strip("()"), str(mark.seeds),
        percent(mark.accuracy.median), bounds(mark).strip("()"),
        "" if more is None or mark.is_baseline else f"{100 * more:+.1f}",
        "" if mark in panel.front else "yes",
    )  # fmt: skip
