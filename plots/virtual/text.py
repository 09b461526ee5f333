"""Virtual executions in numbers."""

from __future__ import annotations

from statistics import stdev

from plots.virtual.table import Virtual


def describe(study: Virtual) -> str:
    """The table as text: each point's seeds beside what the study measured."""
    lines = [f"robust accuracy by the study's metric, {study.dataset}",
             "epochs   p  look every  partial batches  flow      seeds  mean    range           "
             "sd      staleness  simulated s  the study"]  # fmt: skip
    for g in study.groups:
        spread = f"{stdev(g.accuracies):.3f}" if len(g.accuracies) > 1 else "-"
        here = study.measured.get((g.processes, g.epochs, g.interval))
        lines.append(
            f"{g.epochs:6} {g.processes:3}  {g.interval:10}  "
            f"{'as in the study' if g.defect else 'correct':15}  {g.flow or '-':8}  "
            f"{len(g.accuracies):5}  {g.mean:.3f}   {min(g.accuracies):.3f} to "
            f"{max(g.accuracies):.3f}  {spread:6}  {g.staleness:9.1f}  {g.seconds:11.1f}  "
            f"{'-' if here is None else format(here, '.3f')}"
        )
    return "\n".join(lines)


def headlines(study: Virtual) -> list[str]:
    """Robust accuracy after one epoch on most processes, beside one process and the study."""
    groups = [group for group in study.scaling() if not group.defect]
    one = [group for group in groups if group.processes == 1]
    if not groups or not one:
        return []
    most = max(groups, key=lambda group: group.processes)
    own = study.measured.get((most.processes, 1, 1))
    return [
        f"an epoch on {most.processes} processes ends at a robust accuracy of "
        f"{100 * most.mean:.1f} % (from {100 * min(most.accuracies):.1f} to "
        f"{100 * max(most.accuracies):.1f} % over {len(most.accuracies)} seeds), on one process "
        f"at {100 * one[0].mean:.1f} %"
        + (f"; the original study measured {100 * own:.1f} %" if own is not None else "")
        + "; simulated"
    ]
