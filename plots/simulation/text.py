"""Simulations in numbers: what each strategy reaches on each machine, and what limits it."""

from __future__ import annotations

from plots.shared.chart import Chart, Value
from plots.simulation.table import DEFINITIONS, Simulations


def describe(study: Simulations) -> str:
    """For each machine and definition the largest speed-up of each strategy, and its limit."""
    lines = [f"simulations, {study.path}"]
    for panel in study.panels:
        width = max(len(name) for name in panel.series)
        lines += [
            "", f"{panel.machine}: {DEFINITIONS[panel.definition]}",
            f"{'strategy':{width}} {'largest p':>9} {'speed-up':>9}  {'best at p':>9} "
            f"{'speed-up':>9}  limited there by",
        ]  # fmt: skip
        for name, marks in panel.series.items():
            simulated = [mark for mark in marks if mark.source == "simulated"]
            if not simulated:
                continue
            last = max(simulated, key=lambda mark: mark.processes)
            best = max(simulated, key=lambda mark: mark.speedup)
            lines.append(
                f"{name:{width}} {last.processes:9,} {last.speedup:9.4g}  {best.processes:9,} "
                f"{best.speedup:9.4g}  {best.limit}"
            )
    if study.epochs is not None:
        lines += [
            "",
            "the study's epoch, m4.16xlarge: measured, simulated from its row p = 1 [s]",
        ]
        lines += [
            f"p = {p}: {seconds:.0f}"
            + (f", {study.epochs.simulated[p]:.0f}" if p in study.epochs.simulated else "")
            for p, seconds in study.epochs.measured.items()
        ]
    return "\n".join(lines)


def headlines(study: Simulations) -> list[str]:
    """For each machine the strategy that strong scaling takes farthest, and what limits it."""
    told = []
    for panel in study.panels:
        marks = [
            (mark, name)
            for name, own in panel.series.items()
            for mark in own
            if mark.source == "simulated"
        ]
        if panel.definition == "strong" and marks:
            best, name = max(marks, key=lambda pair: pair[0].speedup)
            told.append(
                f"{panel.machine}: {name.replace('_', ' ')} on {best.processes:,} processes is "
                f"{best.speedup:.3g} times as fast as one, limited by {best.limit}; simulated"
            )
    return told


def chart(study: Simulations) -> Chart:
    """Speed-up over processes by strategy; a machine and definition to choose."""
    values = [
        Value(mark.processes, mark.speedup, name, mark.source,
              f"{panel.machine}: {DEFINITIONS[panel.definition]}")
        for panel in study.panels
        for name, marks in panel.series.items()
        for mark in marks
    ]  # fmt: skip
    return Chart("processes", "speed-up", values, x_log=True, y_log=True, panel_title="machine")
