"""Where the panels of a figure stand, in one column of a journal's page or over two.

Sizes and places come from matplotlib's constrained layout, which keeps labels, ticks and legends
apart. What it leaves alone is done here: titles wider than their panel are broken into lines,
legends wider than the figure have fewer columns, and the figure grows by them; legends inside a
panel make way for its data (`plots.shared.legends`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from plots.shared import captions, files, legends, style

#: Inches between figures' edges, labels and panels.
PAD = 0.03
#: Of a legend below the panels.
LEGEND: dict[str, Any] = {
    "loc": "outside lower center", "frameon": False, "handlelength": 2.4, "columnspacing": 1.4,
    "labelspacing": 0.35, "borderaxespad": 0.2,
}  # fmt: skip
#: Inches of a row of panels, or of each panel in it.
Height = float | Sequence[float]


def figure(width: float, height: float) -> Figure:
    """An empty figure of so many inches, whose panels find their places by themselves."""
    found = Figure(figsize=(width, height), dpi=files.DOTS_PER_INCH, layout="constrained")
    FigureCanvasAgg(found)  # measures text
    engine: Any = found.get_layout_engine()
    engine.set(w_pad=PAD, h_pad=PAD, wspace=0.03, hspace=0.06)
    return found


def is_narrow(width: float) -> bool:
    """Whether panels stand below each other, not side by side."""
    return width < style.TWO


def panels(
    width: float, rows: int, columns: int, height: float | Sequence[Height], **subplots: Any
) -> tuple[Figure, Any]:
    """A figure with panels, which stand below each other where it is narrow.

    Args:
        width: of the figure, in inches.
        rows: of panels.
        columns: of panels where there is room.
        height: of all rows in inches, or of each row, or of each panel.
        subplots: further keywords of ``Figure.subplots``.

    Returns:
        The figure, and its axes as an array of ``rows`` x ``columns``, however they stand.
    """
    each = [height] * rows if isinstance(height, float) else height
    whole = [[row] * columns if isinstance(row, float) else row for row in each]
    heights, across = [max(row) for row in whole], columns
    if is_narrow(width):
        heights, across = [one for row in whole for one in row], 1
    found = figure(width, sum(heights))
    axes = found.subplots(len(heights), across, squeeze=False, height_ratios=heights, **subplots)
    return found, np.asarray(axes).reshape(rows, columns)


def rows(width: float, *each: tuple[float, int]) -> tuple[Figure, list[Axes]]:
    """A figure with different numbers of panels in its rows, and margins of each row's own.

    Args:
        width: of the figure, in inches.
        each: of a row its height in inches, and how many panels stand in it where there is room.

    Returns:
        The figure, and its panels in reading order.
    """
    if is_narrow(width):
        each = tuple((height, 1) for height, count in each for _ in range(count))
    heights = [height for height, _ in each]
    found = figure(width, sum(heights))
    engine: Any = found.get_layout_engine()
    engine.set(h_pad=2 * PAD)  # hspace does not reach between rows
    grid = found.add_gridspec(len(each), 1, height_ratios=heights)
    axes = []
    for row, (_, count) in enumerate(each):
        inner = grid[row].subgridspec(1, count)
        axes += [found.add_subplot(inner[0, column]) for column in range(count)]
    return found, axes


def outer(axes: Any, x: str, y: str) -> None:
    """Name the axes at the bottom and on the left, wherever panels stand."""
    for axis in np.ravel(axes):
        place = axis.get_subplotspec()
        axis.set_xlabel(x if place.is_last_row() else "")
        axis.set_ylabel(y if place.is_first_col() else "")


def finish(found: Figure, handles: Sequence[Artist] = (), columns: int = 4) -> Figure:
    """Write a legend below the panels, and see to it that texts have room.

    Args:
        found: the figure, with all that is in its panels.
        handles: of the legend; those that are already there stay as they are.
        columns: of the legend, at most.
    """
    own = [legend for axis in found.axes if (legend := axis.get_legend())]
    for legend in own:
        legend.set_in_layout(False)  # else a long label would leave no room for its panel
    if handles:
        _legend(found, handles, columns)
    for _ in range(3):  # a broken title moves the panels a little
        found.draw_without_rendering()
        if not _break_titles(found):
            break
    for legend in own:
        legends.make_way(legend)
    found.set_layout_engine("none")  # all stays where it is
    for legend in found.legends:  # at the figure's end, not at that of the caption below it
        legend.set_bbox_to_anchor((0, 0, 1, 1), transform=found.transFigure)
    return found


def _legend(found: Figure, handles: Sequence[Artist], most: int) -> None:
    """As many columns as fit; the figure grows by its height."""
    width = found.get_figwidth()
    for columns in range(min(most, len(handles)), 0, -1):
        legend = found.legend(handles=handles, ncols=columns, **LEGEND)
        box = legend.get_window_extent()
        if box.width / found.dpi < width - 2 * PAD or columns == 1:
            break
        legend.remove()
    found.set_figheight(found.get_figheight() + box.height / found.dpi + PAD)


def _break_titles(found: Figure) -> bool:
    """Break titles into lines, make the figure higher by them; whether any title changed."""
    more: dict[float, int] = {}
    changed = False
    for axis in found.axes:
        words, lines = _broken(axis)
        changed |= words != axis.get_title("left")
        if lines > words.count("\n") + 1:
            row = round(axis.get_position().y1, 2)
            more[row] = max(more.get(row, 0), lines - words.count("\n") - 1)
    size = style.SETTINGS["axes.titlesize"] * 1.2 / 72
    found.set_figheight(found.get_figheight() + size * sum(more.values()))
    return changed


def _broken(axis: Axes) -> tuple[str, int]:
    """Break an axis' title; what it was, and how many lines it has now."""
    words = axis.get_title("left")
    if not words:
        return words, 0
    box, whole = axis.get_position(), axis.get_figure(root=True)
    assert whole is not None
    right = min(
        (other.get_position().x0 for other in whole.axes
         if other.get_position().x0 > box.x0 + 0.02
         and other.get_position().y1 > box.y0 and other.get_position().y0 < box.y1),
        default=1.0,
    ) - 0.02  # fmt: skip
    room = (right - box.x0) * whole.get_figwidth()
    lines = captions.wrapped(words, float(axis.title.get_fontsize()), room)
    axis.set_title("\n".join(lines), loc="left", pad=4)
    return words, len(lines)
