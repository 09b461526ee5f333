"""Labels beside points, placed so that they overlap neither each other nor what is drawn.

Greedy: the labels with the most neighbours first, each at the cheapest of many places around its
point. Everything is in pixels of the figure, and equal input gives equal places.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

#: Distances between a point and its label, and directions, tried in this order.
_DISTANCES = (0.6, 1.2, 2.0, 3.0, 4.0, 5.0, 6.5, 8.0)  # in label heights
_DIRECTIONS = 24
#: What faults cost, in label heights of distance: all of the label covered; a leader through a
#: label; a line through a label, and many of them.
_COVERED, _CROSSED, _LINE, _MOST = 1000.0, 8.0, 1.2, 5.0


@dataclass(frozen=True)
class Box:
    """A rectangle of pixels, upright."""

    left: float
    bottom: float
    right: float
    top: float

    def overlap(self, other: Box) -> float:
        """The common area."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.top, other.top) - max(self.bottom, other.bottom)
        return max(0.0, width) * max(0.0, height)

    def holds(self, other: Box) -> bool:
        """Whether the other lies inside."""
        return (
            self.left <= other.left and other.right <= self.right
            and self.bottom <= other.bottom and other.top <= self.top
        )  # fmt: skip

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """The point of the rectangle that is nearest to another point."""
        return min(max(x, self.left), self.right), min(max(y, self.bottom), self.top)

    @property
    def middle(self) -> tuple[float, float]:
        """Of the rectangle."""
        return (self.left + self.right) / 2, (self.bottom + self.top) / 2


@dataclass(frozen=True)
class Label:
    """A text of a size, beside a point.

    Attributes:
        x, y: the point.
        width, height: of the text.
    """

    x: float
    y: float
    width: float
    height: float

    @property
    def area(self) -> float:
        """Of the text."""
        return self.width * self.height

    def at(self, distance: float, angle: float) -> Box:
        """The text so far from the point, in a direction; its nearest edge counts."""
        across, up = math.cos(angle), math.sin(angle)
        x = self.x + distance * across + self.width / 2 * across
        y = self.y + distance * up + self.height / 2 * up
        half, tall = self.width / 2, self.height / 2
        return Box(x - half, y - tall, x + half, y + tall)


Segment = tuple[float, float, float, float]


def place(
    labels: Sequence[Label], area: Box, obstacles: Iterable[Box], lines: Sequence[Segment] = ()
) -> list[Box]:
    """Where each label goes.

    Args:
        labels: to place.
        area: that they must stay in.
        obstacles: that they must not cover.
        lines: that they had better not cover.
    """
    taken, leaders = list(obstacles), list[Segment]()
    found: dict[int, Box] = {}

    def neighbours(index: int) -> int:
        own = labels[index]
        reach = 3 * own.width
        return sum(math.hypot(own.x - other.x, own.y - other.y) < reach for other in labels)

    for index in sorted(range(len(labels)), key=neighbours, reverse=True):
        own = labels[index]
        best, cost = own.at(own.height, 0.0), math.inf
        for distance in _DISTANCES:
            if distance >= cost:  # nothing farther away can be cheaper
                break
            for turn in range(_DIRECTIONS):
                box = own.at(distance * own.height, 2 * math.pi * turn / _DIRECTIONS)
                if not area.holds(box):
                    continue
                price = distance + _COVERED * sum(map(box.overlap, taken)) / own.area
                if price < cost:
                    leader = (own.x, own.y, *box.nearest(own.x, own.y))
                    price += _CROSSED * sum(_crosses(line, box) for line in leaders)
                    price += _CROSSED * sum(_crosses(leader, other) for other in found.values())
                    price += min(_MOST, _LINE * sum(_crosses(line, box) for line in lines))
                if price < cost:
                    best, cost = box, price
        found[index] = best
        taken.append(best)
        leaders.append((own.x, own.y, *best.nearest(own.x, own.y)))
    return [found[index] for index in range(len(labels))]


def _crosses(line: Segment, box: Box) -> bool:
    """Whether a segment meets a rectangle (Liang and Barsky, ACM TOG 3(1), 1984)."""
    x, y, to_x, to_y = line
    enter, leave = 0.0, 1.0
    for step, start, low, high in (
        (to_x - x, x, box.left, box.right), (to_y - y, y, box.bottom, box.top)
    ):  # fmt: skip
        if step == 0:
            if not low <= start <= high:
                return False
            continue
        first, last = sorted(((low - start) / step, (high - start) / step))
        enter, leave = max(enter, first), min(leave, last)
    return enter <= leave
