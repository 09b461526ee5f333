"""Names beside what a roofline shows: where they stand, and the leaders to them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.text import Text

from plots.roofline.labels import Box, Label, Segment, place

SIZE = 5.8  # points


@dataclass(frozen=True)
class Name:
    """A text at a point in data coordinates."""

    x: float
    y: float
    words: str
    colour: str


def write(
    figure: Figure, axis: Axes, names: Sequence[Name], marks: Sequence[tuple[float, float]],
    texts: Sequence[Text],
) -> None:  # fmt: skip
    """Write names beside their points.

    Args:
        figure: where.
        axis: one of its axes, with its final limits.
        names: to write.
        marks: places of markers, in data coordinates, that no name may cover.
        texts: others that stand there already.
    """
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    pixel = axis.transData.transform
    radius = 2.6 * figure.dpi / 72
    frame = axis.get_window_extent(renderer)
    places = [pixel(mark) for mark in (*marks, *((name.x, name.y) for name in names))]
    obstacles = [Box(x - radius, y - radius, x + radius, y + radius) for x, y in places]
    for text in texts:
        obstacles += _tiles(text, renderer)
    lines: list[Segment] = []
    for line in axis.get_lines():
        ends = axis.transData.transform(line.get_xydata())
        lines += [(*a, *b) for a, b in pairwise(ends)]
    labels = []
    for name in names:
        probe = axis.text(name.x, name.y, name.words, fontsize=SIZE)
        size = probe.get_window_extent(renderer)
        probe.remove()
        at = pixel((name.x, name.y))
        labels.append(Label(float(at[0]), float(at[1]), size.width + 3, size.height + 1))
    area = Box(frame.x0 + 2, frame.y0 + 2, frame.x1 - 2, frame.y1 - 2)
    back = axis.transData.inverted().transform
    halo = [withStroke(linewidth=1.6, foreground="white")]
    for name, label, box in zip(names, labels, place(labels, area, obstacles, lines),
                                  strict=True):  # fmt: skip
        at = back(box.middle)
        axis.text(at[0], at[1], name.words, fontsize=SIZE, color=name.colour, ha="center",
                  va="center", zorder=5, path_effects=halo)  # fmt: skip
        nearest = box.nearest(label.x, label.y)
        if math.hypot(nearest[0] - label.x, nearest[1] - label.y) > 2.2 * radius:
            to = back(nearest)
            axis.plot([name.x, to[0]], [name.y, to[1]], color=name.colour, lw=0.35, zorder=2.5)


def _tiles(text: Text, renderer: object) -> list[Box]:
    """Small upright boxes that cover a slanted text."""
    angle = math.radians(text.get_rotation())
    if angle == 0:
        box = text.get_window_extent(renderer)  # type: ignore[arg-type]
        return [Box(box.x0, box.y0, box.x1, box.y1)]
    whole = text.get_window_extent(renderer)  # type: ignore[arg-type]
    count = 12
    # A text that rises to the right fills the diagonal of its box.
    wide, tall = whole.width / count, whole.height / count
    slack = 4.0
    return [
        Box(whole.x0 + wide * i, whole.y0 + tall * i - slack, whole.x0 + wide * (i + 1),
            whole.y0 + tall * (i + 1) + slack)
        for i in range(count)
    ]  # fmt: skip
