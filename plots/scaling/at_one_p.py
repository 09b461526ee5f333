"""A configuration that was measured at one p only beside T_1: a row for each strategy."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from plots.scaling.table import Analysis, Panel
from plots.shared import style
from plots.shared.speedup import Point, digits, interval

ROW = 0.29  # inches
REST = 0.75  # inches for title and axis


def only(panel: Panel) -> bool:
    """Whether all points but those on one core have the same number of cores."""
    return len({point.cell.cores for point in panel.drawn if point.cell.cores > 1}) == 1


def goes_on(analysis: Analysis) -> bool:
    """Whether more than the ideal is known of numbers of processes that have no rows."""
    several = not all(map(only, analysis.panels))
    return several or analysis.reference is not None or any(p.curves for p in analysis.panels)


def height(panel: Panel) -> float:
    """What it takes, in inches."""
    return ROW * len(_rows(panel)) + REST


def _rows(panel: Panel) -> list[Point]:
    """The points on several cores, the fastest first."""
    return sorted((p for p in panel.drawn if p.cell.cores > 1), key=lambda p: -p.speedup)


def draw(panel: Panel, axis: Axes, looks: dict[str, style.Look], kind: str) -> None:
    """Speed-ups with their intervals, as numbers too; the strategies' bounds; one and ideal."""
    rows = _rows(panel)
    cores = rows[0].cell.cores
    bounds = {
        curve.strategy: float(curve.speedup[abs(curve.p - cores).argmin()])
        for curve in panel.curves
        if curve.p[0] <= cores <= curve.p[-1]
    }
    several = len({point.cell.source for point in rows}) > 1
    for value, colour in ((1.0, style.GREY), (float(cores), "#444444")):
        axis.axvline(value, color=colour, lw=0.8, zorder=1)
    for place, point in enumerate(rows):
        look = looks[point.cell.series]
        if point.low is not None and point.high is not None:
            axis.hlines(place, point.low, point.high, color=look.colour, lw=1.0, zorder=4)
        axis.plot(point.speedup, place, ls="", zorder=5, **style.mark(look, point.cell.source))
        if (bound := bounds.get(point.cell.series)) is not None:
            axis.vlines(bound, place - 0.42, place + 0.42, color=look.colour, ls=look.dashes,
                        lw=1.2, zorder=3)  # fmt: skip
    axis.set_ylim(len(rows) - 0.4, -0.6)
    axis.set_yticks(range(len(rows)), [_label(point, several) for point in rows])
    axis.tick_params(axis="y", length=0)
    axis.xaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
    axis.grid(True, axis="x", color="#e6e6e6", lw=0.5)
    axis.set_axisbelow(True)
    scaled = {"weak": "scaled speed-up", "throughput": "throughput"}.get(kind, "speed-up")
    axis.set_xlabel(f"{scaled}, {cores} against 1 core")


def _label(point: Point, several: bool) -> str:
    source = f" ({point.cell.source})" if several else ""
    return (
        f"{style.plain(point.cell.series)}{source}\n"
        f"{digits(point.speedup)} {interval(point)}, {100 * point.efficiency:.0f} %"
    )
