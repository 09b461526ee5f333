"""The figure of virtual executions: robust accuracy over processes, and over receive intervals."""

from __future__ import annotations

from collections.abc import Callable

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from plots.shared import layout, style
from plots.virtual.table import Group, Virtual, flows

HEIGHT = 3.0  # inches

_FLOWS = {
    "live": "newest at a look", "fifo": "oldest of a queue", "news": "oldest, new ones only",
    "drain": "all of a queue", "credits": "credits",
}  # fmt: skip


def draw(study: Virtual, width: float = style.TWO) -> Figure:
    """A panel for what the table has: one epoch over p, several epochs over the interval."""
    scaling, intervals = study.scaling(), study.intervals()
    top = max(1, (scaling != []) + (intervals != []))
    figure, axes = layout.rows(width, (HEIGHT, top), *([(HEIGHT, 1)] if study.curves else []))
    if scaling:
        axis = axes.pop(0)
        _draw(axis, study, scaling, lambda g: g.processes)
        axis.set_title(f"one epoch of {study.dataset}", loc="left")
        axis.set_xlabel("processes p")
    if intervals:
        axis, one = axes.pop(0), intervals[0]
        _draw(axis, study, intervals, lambda g: g.interval)
        axis.set_title(f"{one.epochs} epochs on {one.processes} processes", loc="left")
        axis.set_xlabel("ascent steps between looks for weights")
    if study.curves:
        _draw_curves(axes[-1], study)
    return layout.finish(figure)


def caption(study: Virtual) -> str:
    """How the numbers came to be."""
    return (
        f"Virtual execution: {study.dataset}, trained on one process in the order in which batches "
        "would have arrived, on simulated clocks. Small marks: seeds; large ones: their mean. "
        "Crosses: the original study's published numbers." + _told_of_curves(study)
    )


def _told_of_curves(study: Virtual) -> str:
    if not study.curves:
        return ""
    batches = "correct" if any(not c.defect for c in study.curves) else "as in the study"
    return f" During the epoch: fewer test images, partial batches {batches}."


def _draw_curves(axis: Axes, study: Virtual) -> None:
    """Accuracy on the way, of the first seed of each point.

    With the study's partial batches only the end of an epoch differs: not drawn, if there is both.
    """
    correct = [c for c in study.curves if not c.defect]
    first = {(c.processes, c.defect): c for c in reversed(correct or study.curves)}
    shown = [first[key] for key in sorted(first)]
    looks = style.looks([str(number) for number in range(len(shown))])
    for curve, look in zip(shown, looks.values(), strict=True):
        axis.plot(*zip(*curve.points, strict=True), color=look.colour, ls=look.dashes, lw=0.9,
                  marker=look.marker, ms=2.5, label=f"p = {curve.processes}")  # fmt: skip
    seeds = sorted({curve.seed for curve in shown})
    told = f"seed {seeds[0]}" if len(seeds) == 1 else "the first seed of each"
    axis.set_title(f"during the epoch ({told})", loc="left")
    axis.set_xlabel("updates")
    axis.set_ylabel("robust accuracy, the study's metric")
    axis.set_ylim(-0.02, 1.0)
    axis.grid(True, color="#e6e6e6", lw=0.5)
    axis.set_axisbelow(True)
    axis.legend(frameon=False, ncols=3, loc="upper left")


def _told(flow: str) -> str:
    """A flow in words: `live`, `news 2`, `live receiver` ..."""
    name, *rest = flow.split()
    told = [_FLOWS.get(name, name)]
    told += [f"{word} a look" if word.isdecimal() else f"{word} copies" for word in rest]
    return ", ".join(told)


def _draw(axis: Axes, study: Virtual, groups: list[Group], place: Callable[[Group], int]) -> None:
    known = {(g.processes, g.epochs, g.interval): place(g) for g in groups}
    measured = sorted(
        (x, study.measured[key]) for key, x in known.items() if key in study.measured
    )  # fmt: skip
    if measured:
        axis.plot(*zip(*measured, strict=True), color="black", marker="x", ms=5, mew=1.2, ls="",
                  zorder=4, label="Tumma et al. 2022 (reference)")  # fmt: skip
    lines = flows(groups)
    for (flow, defect), look in zip(lines, style.looks([str(line) for line in lines]).values(),
                                    strict=True):  # fmt: skip
        line = [g for g in groups if (g.flow, g.defect) == (flow, defect) or g.processes == 1]
        line.sort(key=place)
        told = "partial batches as in the study" if defect else "partial batches correct"
        if len({f for f, _ in lines}) > 1:
            told = _told(flow)
        for g in line:
            axis.plot([place(g)] * len(g.accuracies), g.accuracies, ls="", marker=look.marker,
                      ms=2.5, color=look.colour, alpha=0.5, zorder=3)  # fmt: skip
        axis.plot([place(g) for g in line], [g.mean for g in line], color=look.colour,
                  ls=look.dashes, marker=look.marker, fillstyle=style.FILLS["simulated"],
                  markerfacecoloralt="white", ms=4.5, lw=0.9, zorder=2,
                  label=told)  # fmt: skip
    axis.set_xscale("log", base=2)
    ticks = sorted({*known.values()})
    axis.xaxis.set_major_locator(FixedLocator(ticks))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.set_xticklabels([str(tick) for tick in ticks])
    axis.set_ylim(-0.02, 1.0)
    axis.set_ylabel("robust accuracy, the study's metric")
    axis.grid(True, color="#e6e6e6", lw=0.5)
    axis.set_axisbelow(True)
    axis.legend(frameon=False, loc="upper right")
