"""Captions: broken into lines, and written below a figure, which keeps its place."""

from __future__ import annotations

import re

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path
from matplotlib.transforms import Bbox

from plots.shared import style

SIZE = 6.3  # points
LINE = 0.125  # inches
SIDE = 0.15  # inches to the left and right of a caption
ABOVE, BELOW = 0.06, 0.05  # inches
#: Where a line may end: not inside "95 %", "p = 2" or "1.2 s".
BREAKS = re.compile(r"(?<!=)[ \n]+(?!%|=|m?s\b)")


def write(figure: Figure, words: str) -> Bbox:
    """Write a caption under a figure, and tell what to save: both, in the figure's inches."""
    width, height = figure.get_size_inches()
    if not words.strip():
        return Bbox([[0.0, 0.0], [width, height]])
    lines = wrapped(words, SIZE, width - 2 * SIDE)
    figure.text(
        SIDE / width, -ABOVE / height, "\n".join(lines), fontsize=SIZE, color="#333333", va="top",
        linespacing=1.25, in_layout=False,
    )  # fmt: skip
    return Bbox([[0.0, -(ABOVE + LINE * len(lines) + BELOW)], [width, height]])


def wrapped(words: str, size: float, width: float) -> list[str]:
    """Lines of a text that are no wider than ``width`` inches in ``size`` points."""
    font = FontProperties(family=style.SETTINGS["font.family"], size=size)
    lines: list[str] = []
    for word in BREAKS.split(words.strip()):
        longer = f"{lines[-1]} {word}" if lines else word
        points, _, _ = text_to_path.get_text_width_height_descent(longer, font, False)
        if lines and points > 72.0 * width:
            lines.append(word)
        else:
            lines[-1:] = [longer]
    return lines
