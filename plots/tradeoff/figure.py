"""The figure: speed-up over robust accuracy, a panel for each configuration."""

from __future__ import annotations

import math
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from harness.tables.statistics import CONFIDENCE
from plots.shared import layout, noise, provenance, style
from plots.shared.facets import constants, in_words
from plots.tradeoff.table import Mark, Panel, Tradeoff

HEIGHT = 2.9  # inches
#: Room around the marks, as a share of what they span; above and right of them stands a word.
AROUND, ABOVE = 0.08, 0.16
#: Percentage points that an abscissa spans at least: less would show rounding.
LEAST = 4.0
#: Points of a marker's size on one core, and more for each doubling.
SIZE, DOUBLING = 3.6, 1.2


def draw(study: Tradeoff, width: float = style.TWO) -> Figure:
    """Panels side by side where there is room, and a common legend below them."""
    looks = style.looks(list(dict.fromkeys(mark.point.cell.series for mark in study.marks)))
    count = len(study.panels)
    across = 1 if layout.is_narrow(width) or count == 1 else 2
    down = math.ceil(count / across)
    figure, axes = layout.panels(width, down, across, HEIGHT)
    several = len(_counts(study)) > 1
    for panel, axis in zip(study.panels, axes.flat, strict=False):
        _draw_panel(panel, axis, looks, several)
    for axis in axes.flat[count:]:
        axis.set_axis_off()
    return layout.finish(figure, _handles(study, looks), columns=3)


def _draw_panel(panel: Panel, axis: Axes, looks: dict[str, style.Look], several: bool) -> None:
    for base in panel.baselines:
        _cross(axis, base)
    for series in dict.fromkeys((m.point.cell.series, m.point.cell.source) for m in panel.marks):
        own = [m for m in panel.marks if (m.point.cell.series, m.point.cell.source) == series]
        look = looks[series[0]]
        if several and len(own) > 1:  # the way that a strategy goes with more processes
            axis.plot([_percent(m) for m in own], [m.point.speedup for m in own],
                      color=look.colour, lw=0.7, ls=look.dashes, zorder=2)  # fmt: skip
        for mark in own:
            _draw_mark(axis, mark, look, several)
    _limits(axis, panel)
    axis.text(0.99, 0.985, "better ↗", transform=axis.transAxes, ha="right", va="top",
              color="#444444", fontsize=7.0)  # fmt: skip
    axis.set_xlabel("robust accuracy [%]")
    axis.set_ylabel("speed-up  T₁ / Tₚ")
    counts = sorted({mark.point.cell.processes for mark in panel.marks if not mark.is_baseline})
    p = f"p = {counts[0]}" if len(counts) == 1 else ""
    axis.set_title(";  ".join(filter(None, (panel.facet.name, p))), loc="left", pad=4)
    axis.grid(True, color="#e6e6e6", lw=0.5)
    axis.set_axisbelow(True)


def _cross(axis: Axes, base: Mark) -> None:
    """The baseline's time and accuracy, across the panel."""
    line: dict[str, Any] = {"color": "#444444", "lw": 0.8, "ls": ":", "zorder": 1}
    axis.axhline(base.point.speedup, **line)
    axis.axvline(_percent(base), **line)


def _draw_mark(axis: Axes, mark: Mark, look: style.Look, sized: bool) -> None:
    x, y = _percent(mark), mark.point.speedup
    if mark.point.low is not None and mark.point.high is not None:
        axis.vlines(x, mark.point.low, mark.point.high, color=look.colour, lw=1.0, zorder=4)
    low, high = mark.accuracy.low, mark.accuracy.high
    if low is not None and high is not None and high > low:
        axis.hlines(y, 100 * low, 100 * high, color=look.colour, lw=1.0, zorder=4)
    strokes = style.mark(look, mark.point.cell.source)
    if sized:
        strokes["ms"] = _size(mark.point.cell.cores)
    axis.plot(x, y, ls="", zorder=5, **strokes)


def _limits(axis: Axes, panel: Panel) -> None:
    accuracies = [m.accuracy for m in panel.marks]
    points = [m.point for m in panel.marks]
    xs = [100 * v for a in accuracies for v in (a.median, a.low, a.high) if v is not None]
    ys = [v for p in points for v in (p.speedup, p.low, p.high) if v is not None]
    missing = max(0.0, LEAST - (max(xs) - min(xs))) / 2
    left, right = min(xs) - missing, max(xs) + missing
    wide, high = right - left, max(max(ys) - min(ys), 0.5)
    axis.set_xlim(left - AROUND * wide, right + ABOVE * wide)
    axis.set_ylim(min(ys) - AROUND * high, max(ys) + ABOVE * high)


def _handles(study: Tradeoff, looks: dict[str, style.Look]) -> list[Line2D]:
    sources = list(dict.fromkeys(mark.point.cell.source for mark in study.marks))
    only = sources[0] if len(sources) == 1 else "measured"
    said = f" ({only})" if len(sources) == 1 else ""
    found = [
        Line2D([], [], ls="", label=f"{style.plain(name)}{said}", **style.mark(look, only))
        for name, look in looks.items()
    ]
    found.append(Line2D([], [], color="#444444", lw=0.8, ls=":", label="as sequential training"))
    neutral = style.Look("#444444", "o", (0, (1, 1)))
    if len(counts := _counts(study)) > 1:
        found += [
            Line2D([], [], ls="", label=f"{p} core{'' if p == 1 else 's'}",
                   **style.mark(neutral, "measured") | {"ms": _size(p)})
            for p in counts
        ]  # fmt: skip
    if len(sources) > 1:
        found += [
            Line2D([], [], ls="", label=style.SOURCE_MEANINGS[s], **style.mark(neutral, s))
            for s in sources
        ]
    return found


def caption(study: Tradeoff) -> str:
    """Machine and problem, what bars count and what they do not, and all notes."""
    selection, marks = study.selection, study.marks
    machine = provenance.machine(provenance.load(selection.path), selection.environment)
    problem = constants(selection, [panel.facet for panel in study.panels])
    paired = any(mark.point.pairs for mark in marks)
    level = f"{100 * CONFIDENCE:g} %"
    seeds = max(mark.seeds for mark in marks)
    over = (
        f"over {seeds} seeds" if seeds > 1
        else "over launches of one seed: another seed may differ more"
    )  # fmt: skip
    parts = [
        machine,
        ", ".join(in_words(name, value) for name, value in problem),
        "each mark is a strategy on a number of processes; up is faster, right is more robust, "
        "and upper right is better in both",
        f"upright bars: {level} intervals of the speed-up, "
        + ("of ratios within rounds" if paired else "by bootstrap over launches")
        if any(mark.point.low is not None for mark in marks if not mark.is_baseline)
        else f"n too small for {level} intervals of the speed-up",
        f"level bars: {level} intervals of the median robust accuracy, {over}"
        if any(mark.accuracy.low is not None for mark in marks)
        else f"n too small for {level} intervals of the robust accuracy, {over}",
        *(_images(study, images) for images in sorted(study.images)),
        noise.disturbed(selection.rows),
        *dict.fromkeys(note for panel in study.panels for note in panel.notes),
    ]
    return ". ".join(part[0].upper() + part[1:] for part in parts if part) + "."


def _images(study: Tradeoff, images: int) -> str:
    """What so few images tell: the normal approximation's interval of a fraction."""
    typical = sorted(mark.accuracy.median for mark in study.marks)[len(study.marks) // 2]
    half = 100 * 1.96 * math.sqrt(typical * (1 - typical) / images)
    return (
        f"of {images} test images, the same for all marks: one image is {100 / images:.2g} points, "
        f"and others would move accuracies by up to about {half:.2g} points"
    )


def _percent(mark: Mark) -> float:
    return 100 * mark.accuracy.median


def _size(cores: int) -> float:
    return SIZE + DOUBLING * math.log2(cores)


def _counts(study: Tradeoff) -> list[int]:
    """Numbers of cores, without the baseline's."""
    return sorted({mark.point.cell.cores for mark in study.marks if not mark.is_baseline})
