"""The figure of a scaling study: speed-up and efficiency, a row of panels per configuration."""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from plots.scaling.apriori import amdahl_speedup
from plots.scaling.caption import caption, fit_words, shown_fits, title
from plots.scaling.fits import Fit
from plots.scaling.speedup import Point
from plots.scaling.table import Analysis, Panel
from plots.shared import captions, style
from plots.shared.bootstrap import Floats
from plots.shared.observations import SEQUENTIAL
from plots.shared.reference import CLAIMED_FRACTION

WIDTH = 7.2  # inches: two columns of a journal page
ROW_HEIGHT = 2.55
TOP = 0.3
OCTAVES_APART = 0.045  # points of several strategies at one p stand side by side
TITLE_ROOM = 400.0  # points of size times characters that fit over a panel
TITLE_LEAST = 5.5  # points

#: Over the marker of a point that says less than it seems to.
LIMITED: Any = {"marker": "x", "color": "#444444", "ms": 7.5, "mew": 0.7}

#: What a bound takes parts of a minibatch to cost, by `Curve.timed`.
BOUND = {
    None: "bound from p = 1",
    True: "bound from p = 1, shards as timed alone",
    False: "bound: shards as fast as the whole batch",
}

LEGEND: Any = {
    "loc": "lower center", "frameon": False, "handlelength": 2.4, "columnspacing": 1.4,
    "labelspacing": 0.35, "borderaxespad": 0.2,
}  # fmt: skip


def draw(analysis: Analysis) -> Figure:
    """Lay out the panels, a common legend below them and a caption at the bottom."""
    looks = style.looks(_strategies(analysis))
    handles = _legend(analysis, looks)
    columns, legend_height = _legend_room(handles)
    lines = captions.lines(caption(analysis), WIDTH)
    caption_height = captions.LINE * len(lines) + 0.1
    rows = len(analysis.panels)
    bottom = caption_height + legend_height + 0.45
    height = rows * ROW_HEIGHT + bottom
    figure = Figure(figsize=(WIDTH, height))
    axes = figure.subplots(rows, 2, squeeze=False)
    figure.subplots_adjust(
        left=0.075, right=0.985, wspace=0.2, hspace=0.62 / (ROW_HEIGHT - 0.62) * 1.05,
        bottom=bottom / height, top=1.0 - TOP / height,
    )  # fmt: skip
    for panel, (left, right) in zip(analysis.panels, axes, strict=True):
        _draw_panel(analysis, panel, left, right, looks)
        last = panel is analysis.panels[-1]
        for axis in (left, right):
            axis.set_xlabel(_axis_label(analysis) if last else "")
    figure.legend(
        handles=handles, ncols=columns, bbox_to_anchor=(0.5, caption_height / height), **LEGEND
    )
    captions.write(figure, lines)
    return figure


def _legend_room(handles: list[Line2D]) -> tuple[int, float]:
    """How many columns fit the width, and the height that the legend then takes, in inches."""
    for columns in (3, 2, 1):
        figure = Figure(figsize=(WIDTH, 4.0))
        FigureCanvasAgg(figure)  # measures text
        legend = figure.legend(handles=handles, ncols=columns, **LEGEND)
        box = legend.get_window_extent()
        if box.width / figure.dpi < WIDTH - 0.1:
            break
    return columns, box.height / figure.dpi


def _draw_panel(
    analysis: Analysis, panel: Panel, left: Axes, right: Axes, looks: dict[str, style.Look]
) -> None:
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
    for point in panel.drawn:
        name = point.cell.series
        place = (
            slots.index(_series(point)) - (len(slots) - 1) / 2
            if _series(point) in slots and point.cell is not point.baseline
            else 0.0
        )
        _draw_point(left, right, point, looks[name], 2 ** (OCTAVES_APART * 2 * place))
    speedups = [point.low or point.speedup for point in panel.drawn]
    speedups += [value for curve in panel.curves for value in curve.speedup]
    rates = [1.0 / cell.seconds.median for cell in panel.baselines]
    rate = rates[0] if len(rates) == 1 else None
    _axes(analysis, left, right, min(speedups), max(p.efficiency for p in panel.drawn), rate)
    words = title(panel, analysis.metric)
    size = min(style.SETTINGS["axes.titlesize"], TITLE_ROOM / len(words))
    left.set_title(words, loc="left", pad=7, fontsize=max(TITLE_LEAST, size))
    left.text(
        0.025, 0.985, fit_words(panel), transform=left.transAxes, fontsize=6.2, va="top",
        linespacing=1.3, zorder=6,
    )  # fmt: skip


def _both(left: Axes, right: Axes, p: Floats, speedup: Floats, **line: Any) -> None:
    """The same line as speed-up and as efficiency."""
    left.plot(p, speedup, **line)
    right.plot(p, speedup / p, **line)


def _draw_fit(left: Axes, right: Axes, fit: Fit, grid: Floats, colour: str) -> None:
    _both(left, right, grid, fit.speedups(grid), color=colour, lw=1.0, zorder=2.5)
    band = fit.band(grid)
    if band:
        for axis, scale in ((left, np.ones_like(grid)), (right, grid)):
            axis.fill_between(
                grid, band[0] / scale, band[1] / scale, color=colour, alpha=0.18, lw=0, zorder=1.2
            )


def _draw_point(left: Axes, right: Axes, point: Point, look: style.Look, aside: float) -> None:
    cores = point.cell.cores
    x = cores * aside
    for axis, scale in ((left, 1.0), (right, float(cores))):
        if point.low is not None and point.high is not None:
            ends = (point.low / scale, point.high / scale)
            axis.vlines(x, *ends, color=look.colour, lw=1.0, zorder=4)
            axis.plot([x, x], ends, ls="", marker="_", color=look.colour, ms=4, mew=1.0, zorder=4)
        axis.plot(x, point.speedup / scale, ls="", zorder=5, **_marker(look, point.cell.source))
        if point.cell.limited:
            axis.plot(x, point.speedup / scale, ls="", zorder=6, **LIMITED)


def _series(point: Point) -> tuple[str, str]:
    """What stands side by side at one p. Oversubscribed points go on where measured ones end."""
    return point.cell.series, point.cell.source.replace("oversubscribed", "measured")


def _marker(look: style.Look, source: str) -> dict[str, Any]:
    return {
        "marker": look.marker, "color": look.colour, "markeredgecolor": look.colour, "mew": 1.0,
        "ms": 4.4, "fillstyle": style.FILLS.get(source, "full"), "markerfacecoloralt": "white",
    }  # fmt: skip


def _axes(
    analysis: Analysis, left: Axes, right: Axes, lowest: float, highest: float,
    rate: float | None = None,
) -> None:  # fmt: skip
    ticks = [2**k for k in range(analysis.largest.bit_length())]
    floor = 0.85 * min(1.0, max(lowest, 1 / 16))
    below = [2.0**k for k in range(int(np.ceil(np.log2(floor))), 0)]
    for axis in (left, right):
        axis.set_xscale("log", base=2)
        axis.set_xlim(0.9, analysis.largest * 1.14)
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
    right.set_ylim(0.0, max(1.1, 1.08 * highest))
    left.set_ylabel(
        {
            "weak": "scaled speed-up  T₁(size p) / Tₚ",
            "throughput": "throughput  Rₚ / R₁",
        }.get(analysis.kind, "speed-up  T₁ / Tₚ")
    )
    if analysis.metric and rate is not None:  # one R₁ for all: the ordinate is the rate itself
        left.set_yticklabels([f"{tick * rate:.3g}" for tick in (*below, *ticks)])
        left.set_ylabel(style.plain(analysis.metric))
    threaded = any(p.cell.threads > 1 for panel in analysis.panels for p in panel.points)
    right.set_ylabel("efficiency  S / cores" if threaded else "efficiency  S / p")


def _axis_label(analysis: Analysis) -> str:
    threaded = any(p.cell.threads > 1 for panel in analysis.panels for p in panel.points)
    return "cores (processes × threads)" if threaded else "processes p"


def _strategies(analysis: Analysis) -> list[str]:
    names = [point.cell.series for panel in analysis.panels for point in panel.drawn]
    names += [curve.strategy for panel in analysis.panels for curve in panel.curves]
    return list(dict.fromkeys(names))


def _legend(analysis: Analysis, looks: dict[str, style.Look]) -> list[Line2D]:
    panels, handles = analysis.panels, []
    drawn = [point for panel in panels for point in panel.drawn]
    sources = list(dict.fromkeys(point.cell.source for point in drawn))
    only = sources[0] if len(sources) == 1 else "measured"
    for name in dict.fromkeys(point.cell.series for point in drawn):
        label = f"{style.plain(name)}" + (f" ({only})" if len(sources) == 1 else "")
        if name == SEQUENTIAL:
            label = "sequential (T₁)"
        handles.append(Line2D([], [], ls="", label=label, **_marker(looks[name], only)))
    for curve in {curve.strategy: curve for panel in panels for curve in panel.curves}.values():
        name = curve.strategy
        label = f"{style.plain(name)}, {BOUND[curve.timed]}"
        handles.append(Line2D([], [], color=looks[name].colour, ls=looks[name].dashes, label=label))
    for fit in {f.series: f for panel in panels for f in shown_fits(panel)}.values():
        label = f"{style.plain(fit.series)}, {fit.model.name.capitalize()} fit"
        handles.append(Line2D([], [], color=looks[fit.series].colour, lw=1.0, label=label))
    handles.append(Line2D([], [], color="#444444", lw=0.8, label="ideal"))
    if analysis.kind == "strong" and analysis.is_training:
        label = "claim of the study's slides: Amdahl, f = 1/32"
        handles.append(Line2D([], [], color=style.GREY, lw=0.8, ls=":", label=label))
    if analysis.reference:
        handles.append(Line2D([], [], ls="", color=style.GREY, marker="x", ms=4.5, mew=1.1,
                              label=_reference_label(analysis)))  # fmt: skip
    neutral = style.Look("#444444", "o", (0, (1, 1)))
    if len(sources) > 1:
        handles += [
            Line2D([], [], ls="", label=style.SOURCE_MEANINGS[s], **_marker(neutral, s))
            for s in sources
        ]
    if any(point.cell.limited for point in drawn):
        label = "limited by the emulation (messages take the CPU)"
        handles.append(Line2D([], [], ls="", label=label, **LIMITED))
    return handles


def _reference_label(analysis: Analysis) -> str:
    assert analysis.reference is not None
    steps = str(analysis.reference.steps)
    found = {str(row["adversary_steps"]) for row in analysis.selection.rows}
    extra = "" if found == {steps} else f", {steps} steps"
    return f"Tumma et al. 2022, m4.16xlarge{extra} (reference)"
