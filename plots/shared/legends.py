"""Legends inside panels: no wider than the panel, and on no data."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from matplotlib.axes import Axes
from matplotlib.legend import Legend
from matplotlib.lines import Line2D
from matplotlib.path import Path

from plots.shared import captions

#: Corners of a panel, in the order in which they are tried after the one that was asked for.
CORNERS = {"upper right": 1, "upper left": 2, "lower left": 3, "lower right": 4}
#: By how much a panel's ordinate grows at a time, and how often, until its legend is free.
STEP, MOST = 1.05, 24
#: Pixels around a mark's centre that belong to it, and around a legend.
MARK, PAD = 6.0, 2.0


def make_way(legend: Legend) -> None:
    """Break its labels, find a corner without data, or let the ordinate go on above the data."""
    axis = legend.axes
    assert axis is not None
    _break(legend, axis)
    asked = legend._get_loc()  # type: ignore[attr-defined]
    first = asked if asked in CORNERS.values() else CORNERS["upper right"]
    for corner in (first, *CORNERS.values()):
        legend.set_loc(corner)
        if not covers(legend):
            return
    legend.set_loc(min(first, CORNERS["upper left"]))
    ticks = axis.get_yticks()
    for _ in range(MOST):
        _grow(axis)
        if not covers(legend):
            break
    axis.set_yticks(ticks[(ticks >= axis.get_ylim()[0]) & (ticks <= axis.get_ylim()[1])])


def covers(legend: Legend) -> bool:
    """Whether anything drawn in the legend's panel lies behind it."""
    axis = legend.axes
    assert axis is not None
    box = legend.get_window_extent().padded(PAD)
    return any(path.intersects_bbox(box, filled=False) for path in _drawn(axis))


def _drawn(axis: Axes) -> Iterator[Path]:
    """Lines, intervals and marks in pixels; a line across the panel does not count."""
    for line in axis.lines:
        if line.get_transform() != axis.transData:
            continue
        points = axis.transData.transform(line.get_xydata())
        points = points[np.isfinite(points).all(axis=1)]
        if _is_line(line) and len(points) > 1:
            yield Path(points)
        if line.get_marker() not in ("", " ", "None", None):
            for x, y in points:
                yield _square(float(x), float(y))
    for collection in axis.collections:
        for path in collection.get_paths():
            if np.size(path.vertices):
                yield path.transformed(collection.get_transform())


def _is_line(line: Line2D) -> bool:
    return str(line.get_linestyle()) not in ("None", " ", "")


def _square(x: float, y: float) -> Path:
    """About a mark."""
    corners = [
        (x - MARK, y - MARK),
        (x + MARK, y - MARK),
        (x + MARK, y + MARK),
        (x - MARK, y + MARK),
    ]
    return Path([*corners, corners[0]])


def _grow(axis: Axes) -> None:
    transform = axis.transScale
    low, high = axis.get_ylim()
    (_, bottom), (_, top) = transform.transform([(1.0, low), (1.0, high)])
    longer = transform.inverted().transform((1.0, bottom + STEP * (top - bottom)))
    axis.set_ylim(low, longer[1])


def _break(legend: Legend, axis: Axes) -> None:
    """Lines no wider than the panel has room for, in as many columns as the legend has."""
    figure = axis.get_figure(root=True)
    assert figure is not None
    over = legend.get_window_extent().width - axis.get_window_extent().width
    if over <= 0:
        return
    columns = legend._ncols  # type: ignore[attr-defined]
    longest = max(text.get_window_extent().width for text in legend.get_texts())
    room = (longest - over / columns) / figure.dpi - 0.05
    for text in legend.get_texts():
        text.set_text(
            "\n".join(captions.wrapped(text.get_text(), float(text.get_fontsize()), room))
        )
