"""The figure of a scaling study: speed-up and efficiency, a row of panels per configuration."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from plots.scaling import at_one_p
from plots.scaling.apriori import amdahl_speedup
from plots.scaling.caption import fit_words, shown_fits, title
from plots.scaling.fits import Fit
from plots.scaling.legend import LIMITED, handles
from plots.scaling.table import Analysis, Panel
from plots.shared import layout, style
from plots.shared.bootstrap import Floats
from plots.shared.observations import SEQUENTIAL
from plots.shared.reference import CLAIMED_FRACTION
from plots.shared.speedup import Point

ROW_HEIGHT = 2.45  # inches
#: Points of several strategies at one p stand side by side: octaves between two, and over all.
APART, SPREAD = 0.09, 0.4


def draw(analysis: Analysis, width: float = style.TWO) -> Figure:
    """Lay out the panels, and a common legend below them.

    A configuration that was measured on two numbers of processes only has, instead of efficiency
    over processes, a row for each strategy on the larger number.
    """
    looks = style.looks(_strategies(analysis))
    heights = [
        (at_one_p.height(panel) if at_one_p.only(panel) else ROW_HEIGHT, ROW_HEIGHT)
        for panel in analysis.panels
    ]
    columns = 2 if at_one_p.goes_on(analysis) else 1
    figure, axes = layout.panels(width, len(heights), columns, [own[:columns] for own in heights])
    for panel, (left, *rest) in zip(analysis.panels, axes, strict=True):
        right = rest[0] if rest else None
        if at_one_p.only(panel):
            at_one_p.draw(panel, left, looks, analysis.kind)
            left.set_title(title(panel, analysis.metric), loc="left", pad=4)
            if right:
                _draw_panel(analysis, panel, right, None, looks)
                right.set_title(f"bounds up to p = {analysis.largest}" if panel.curves else "",
                                loc="left", pad=4)  # fmt: skip
        elif right:
            _draw_panel(analysis, panel, left, right, looks)
            right.set_xlabel(_axis_label(analysis) if _last(right) else "")
            left.set_xlabel(_axis_label(analysis) if _last(left) else "")
    return layout.finish(figure, handles(analysis, looks), columns=3)


def _last(axis: Axes) -> bool:
    place = axis.get_subplotspec()
    return place is None or place.is_last_row()


def _draw_panel(
    analysis: Analysis, panel: Panel, left: Axes, right: Axes | None, looks: dict[str, style.Look]
) -> None:
    """Speed-up over processes on the left, efficiency on the right.

    Where there is no right, marks are small and have no intervals, since their values stand
    elsewhere.
    """
    grid = np.geomspace(1.0, analysis.largest, 321)
    _both(left, right, grid, grid, color="#444444", lw=0.8, zorder=1)
    if analysis.kind == "strong" and analysis.is_training:
        claim = np.array([amdahl_speedup(CLAIMED_FRACTION, p) for p in grid])
        _both(left, right, grid, claim, color=style.GREY, lw=0.8, ls=":", zorder=1.5)
    for curve in panel.curves:
        look = looks[curve.strategy]
        _both(left, right, curve.p, curve.speedup, color=look.colour, ls=look.dashes, zorder=2)
    for fit in shown_fits(panel):
        _draw_fit(left, right, fit, grid[grid <= fit.extent], looks[fit.series].colour)
    if analysis.reference:
        p, s = np.array(analysis.reference.points, dtype=float).T
        _both(left, right, p, s, color=style.GREY, ls="", marker="x", ms=4.5, mew=1.1, zorder=3)
    series = [_series(point) for point in panel.drawn if point.cell.strategy != SEQUENTIAL]
    slots = sorted(set(series), key=lambda s: (list(looks).index(s[0]), s[1]))
    apart = min(APART, SPREAD / max(1, len(slots) - 1))
    for point in panel.drawn:
        name = point.cell.series
        place = (
            slots.index(_series(point)) - (len(slots) - 1) / 2
            if right and _series(point) in slots and point.cell is not point.baseline
            else 0.0
        )
        _draw_point(left, right, point, looks[name], 2 ** (apart * place))
    speedups = [point.low or point.speedup for point in panel.drawn]
    speedups += [value for curve in panel.curves for value in curve.speedup]
    rates = [1.0 / cell.seconds.median for cell in panel.baselines]
    rate = rates[0] if len(rates) == 1 else None
    _axes(analysis, left, right, min(speedups), max(p.efficiency for p in panel.drawn), rate)
    if right:
        left.set_title(title(panel, analysis.metric), loc="left", pad=4)
    left.text(
        0.025, 0.985, fit_words(panel), transform=left.transAxes, fontsize=6.2, va="top",
        linespacing=1.3, zorder=6,
    )  # fmt: skip


def _both(left: Axes, right: Axes | None, p: Floats, speedup: Floats, **line: Any) -> None:
    """The same line as speed-up and as efficiency."""
    left.plot(p, speedup, **line)
    if right:
        right.plot(p, speedup / p, **line)


def _draw_fit(left: Axes, right: Axes | None, fit: Fit, grid: Floats, colour: str) -> None:
    _both(left, right, grid, fit.speedups(grid), color=colour, lw=1.0, zorder=2.5)
    band = fit.band(grid)
    if band:
        for axis, scale in ((left, np.ones_like(grid)), (right, grid)):
            if axis is None:
                continue
            axis.fill_between(
                grid, band[0] / scale, band[1] / scale, color=colour, alpha=0.18, lw=0, zorder=1.2
            )


def _draw_point(
    left: Axes, right: Axes | None, point: Point, look: style.Look, aside: float
) -> None:
    cores = point.cell.cores
    x = cores * aside
    small: dict[str, Any] = {} if right else {"ms": 3.0}
    for axis, scale in ((left, 1.0), (right, float(cores))):
        if axis is None:
            continue
        if right and point.low is not None and point.high is not None:
            ends = (point.low / scale, point.high / scale)
            axis.vlines(x, *ends, color=look.colour, lw=1.0, zorder=4)
            axis.plot([x, x], ends, ls="", marker="_", color=look.colour, ms=4, mew=1.0, zorder=4)
        strokes = style.mark(look, point.cell.source) | small
        axis.plot(x, point.speedup / scale, ls="", zorder=5, **strokes)
        if point.cell.limited:
            axis.plot(x, point.speedup / scale, ls="", zorder=6, **LIMITED)


def _series(point: Point) -> tuple[str, str]:
    """What stands side by side at one p. Oversubscribed points go on where measured ones end."""
    return point.cell.series, point.cell.source.replace("oversubscribed", "measured")


def _axes(
    analysis: Analysis, left: Axes, right: Axes | None, lowest: float, highest: float,
    rate: float | None = None,
) -> None:  # fmt: skip
    ticks = [2**k for k in range(analysis.largest.bit_length())]
    floor = 0.85 * min(1.0, max(lowest, 1 / 16))
    below = [2.0**k for k in range(int(np.ceil(np.log2(floor))), 0)]
    for axis in filter(None, (left, right)):
        axis.set_xscale("log", base=2)
        axis.set_xlim(0.84, analysis.largest * 1.19)
        axis.xaxis.set_major_locator(FixedLocator(ticks))
        axis.xaxis.set_minor_locator(NullLocator())
        axis.set_xticklabels([str(tick) for tick in ticks])
        axis.grid(True, color="#e6e6e6", lw=0.5)
        axis.set_axisbelow(True)
    left.set_yscale("log", base=2)
    left.set_ylim(floor, analysis.largest * 1.15)
    left.yaxis.set_major_locator(FixedLocator([*below, *ticks]))
    left.yaxis.set_minor_locator(NullLocator())
    left.set_yticklabels([f"{tick:g}" for tick in (*below, *ticks)])
    left.set_ylabel(
        {
            "weak": "scaled speed-up  T₁(size p) / Tₚ",
            "throughput": "throughput  Rₚ / R₁",
        }.get(analysis.kind, "speed-up  T₁ / Tₚ")
    )
    if analysis.metric and rate is not None:  # one R₁ for all: the ordinate is the rate itself
        left.set_yticklabels([_plain(tick * rate) for tick in (*below, *ticks)])
        left.set_ylabel(style.plain(analysis.metric))
    if right is None:
        left.set_xlabel(_axis_label(analysis))
        return
    right.set_ylim(0.0, max(1.1, 1.08 * highest))
    threaded = any(p.cell.threads > 1 for panel in analysis.panels for p in panel.points)
    right.set_ylabel("efficiency  S / cores" if threaded else "efficiency  S / p")


def _plain(value: float) -> str:
    """Three digits without an exponent."""
    return f"{float(f'{value:.3g}'):,.12g}"


def _axis_label(analysis: Analysis) -> str:
    threaded = any(p.cell.threads > 1 for panel in analysis.panels for p in panel.points)
    return "cores (processes × threads)" if threaded else "processes p"


def _strategies(analysis: Analysis) -> list[str]:
    names = [point.cell.series for panel in analysis.panels for point in panel.drawn]
    names += [curve.strategy for panel in analysis.panels for curve in panel.curves]
    return list(dict.fromkeys(names))
