"""What an interactive figure shows: values with their intervals, by series and panel."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Value:
    """One mark.

    Attributes:
        x, y: where it stands; x may be a word.
        series: whose it is.
        source: how it came to be (docs/design.md, "Terms").
        panel: which of the chart's panels it stands in; readers choose one.
        low, high: its interval, or None.
    """

    x: float | str
    y: float
    series: str
    source: str = "measured"
    panel: str = ""
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Chart:
    """Axes and values; logarithmic axes where ``x_log`` and ``y_log`` say so.

    Attributes:
        panel_title: what readers choose when they choose a panel.
        joined: whether a line joins a series' marks.
    """

    x_title: str
    y_title: str
    values: Sequence[Value]
    x_log: bool = False
    y_log: bool = False
    panel_title: str = "panel"
    joined: bool = True
