"""What the commands print: points with their states, and how a study stands in a line."""

from __future__ import annotations

import os
import sys
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

import click
from rich.cells import cell_len
from rich.console import Console

from harness.noise.kinds import KINDS, Kind
from harness.run.launches import Ran
from harness.run.schedule import PointState
from harness.streams import complain
from harness.study.points import varying_parameters
from harness.study.values import Measure


def console() -> Console:
    """As wide as the terminal; in a log, wide enough for a table."""
    width = None if sys.stdout.isatty() else 160
    return Console(width=width, markup=False, emoji=False)  # brackets in cells are no markup


def print_states(
    states: Sequence[PointState], measure: Measure, queue: Mapping[str, str] | None = None
) -> None:
    """A table of points; with ``queue``, what waits and runs for each (by the point's id)."""
    varying = varying_parameters([state.point for state in states])
    compared = any(state.speedup for state in states)
    heads = ["#", "point", *varying, "state", "n", "median / s", "95 % interval / s",
             *([measure.throughput] if measure.throughput else []),
             *(["speed-up in pairs"] if compared else []), "stopped by", "source"]  # fmt: skip
    rows = [[*heads, *(["queue"] if queue is not None else [])]]
    for state in states:
        summary = state.summary
        if summary is None:
            timing = ["0", "", ""]
        elif summary.low is None or summary.high is None:
            timing = [str(summary.n), f"{summary.median:.4g}", "n too small"]
        else:
            interval = f"{summary.low:.4g} to {summary.high:.4g}"
            timing = [str(summary.n), f"{summary.median:.4g}", interval]
        rows.append([
            str(state.point.index),
            state.point.id,
            *(str(state.point.parameters.get(name, "")) for name in varying),
            state.state(measure),
            *timing,
            *([_rate(state)] if measure.throughput else []),
            *([_ratio(state)] if compared else []),
            state.stopped_by(measure) or "",
            state.source,
            *([queue.get(state.point.id, "")] if queue is not None else []),
        ])  # fmt: skip
    print_columns(rows)


def print_columns(rows: Sequence[Sequence[str]]) -> None:
    """Rows of cells, each column as wide as its widest cell; the first row is the head.

    rich would lay out 10,000 points for a quarter of a minute, to wrap what no log wraps.
    """
    shown = [[_printable(cell) for cell in row] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*shown, strict=True)]
    lines = (
        "  ".join(cell + " " * (width - cell_len(cell)) for cell, width in
                  zip(row, widths, strict=True)).rstrip()
        for row in shown
    )  # fmt: skip
    click.echo("\n".join(lines))


def _printable(cell: str) -> str:
    """A cell without line breaks and what would steer a terminal."""
    if cell.isprintable():
        return cell
    return "".join(c if c.isprintable() else " " for c in cell)


def _rate(state: PointState) -> str:
    return f"{median(state.rates):.4g}" if state.rates else ""


def _ratio(state: PointState) -> str:
    speedup = state.speedup
    if speedup is None:
        return ""
    if speedup.low is None:
        return f"{speedup.value:.3f}, n too small"
    return f"{speedup.value:.3f}, {speedup.low:.3f} to {speedup.high:.3f}"


def print_disturbances(states: Sequence[PointState], more: Sequence[Kind] = ()) -> None:
    """What disturbed the launches, each kind once: how often, its cause and its remedy."""
    total = sum(len(state.launch_seconds) for state in states)
    launches = sum((state.marked for state in states), Counter[str]())
    points = Counter(kind.mark for state in states for kind in state.kinds)
    for mark, number in launches.items():
        _tell(mark, f"{number} of {total} launches")
    for mark, number in points.items():
        _tell(mark, f"{number} of {len(states)} points")
    for kind in more:
        _tell(kind.mark, "this machine")


def _tell(mark: str, what: str) -> None:
    kind = KINDS.get(mark)
    told = f"{kind.cause}. Remedy: {kind.remedy}" if kind else "a mark of another version"
    click.echo(f"{mark} ({what}): {told}")


def print_failures(states: Sequence[PointState], results: Path) -> None:
    """Why launches failed; each message names the log that tells the rest."""
    for state in states:
        for record in state.failures:
            click.echo(f"{record.status}: {state.point.id}: {_from_here(record.message, results)}")


def _from_here(message: str, results: Path) -> str:
    """A record's message with its log as one opens it: records name it within the results."""
    return message.replace("; log: logs/", f"; log: {os.path.relpath(results)}/logs/")


def _counted(number: int, thing: str) -> str:
    plural = "es" if thing.endswith("ch") else "s"
    return f"{number} {thing}{'' if number == 1 else plural}"


def summarize(ran: Ran, where: str, results: Path) -> None:
    """Say in a line how the points stand; end with 1 if one failed, or nothing was measured."""
    states, measure = ran.states, ran.measure
    counts = Counter(state.state(measure) for state in states)
    told = ", ".join(f"{number} {name}" for name, number in counts.items())
    click.echo(
        f"{_counted(ran.launches, 'launch')} run; {_counted(len(states), 'point')}: {told}; {where}"
    )
    skipped = Counter(s.skipped for s in states if s.state(measure) == "skipped")
    for reason, number in skipped.items():
        click.echo(f"skipped: {_counted(number, 'point')}: {reason}")
    failed = [state for state in states if state.state(measure) == "failed"]
    for state in failed:
        told = _from_here(state.failures[-1].message, results)
        complain(f"failed: {state.point.id}: {told}")
    if failed:
        what, which = ("point", "it") if len(failed) == 1 else ("points", "them")
        complain(f"{len(failed)} {what} failed; --retry launches {which} again")
    if ran.measured_nothing:
        complain("nothing was measured: this machine can hold no point that was asked for")
    if failed or ran.measured_nothing:
        sys.exit(1)
