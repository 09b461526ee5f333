"""Captions: broken into lines, and written below a figure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from plots.shared import style

SIZE = 6.3  # points
LINE = 0.125  # inches

_apart: ContextVar[list[str] | None] = ContextVar("captions_apart", default=None)


@contextmanager
def apart() -> Iterator[list[str]]:
    """Figures that are drawn inside have no caption: theirs are gathered in the list instead."""
    gathered: list[str] = []
    token = _apart.set(gathered)
    try:
        yield gathered
    finally:
        _apart.reset(token)


def lines(words: str, width: float) -> list[str]:
    """A caption's lines for a figure of so many inches; none where captions stand apart."""
    gathered = _apart.get()
    if gathered is None:
        return wrapped(words, SIZE, width - 0.3)
    gathered.append(words)
    return []


def write(figure: Figure, own: Sequence[str]) -> None:
    """Write the lines at the bottom of a figure."""
    figure.text(
        0.02, 0.05 / figure.get_figheight(), "\n".join(own), fontsize=SIZE, color="#333333",
        va="bottom", linespacing=1.25,
    )  # fmt: skip


def wrapped(words: str, size: float, width: float) -> list[str]:
    """Lines of a text that are no wider than ``width`` inches in ``size`` points."""
    font = FontProperties(family=style.SETTINGS["font.family"], size=size)
    lines: list[str] = []
    for word in words.split():
        longer = f"{lines[-1]} {word}" if lines else word
        points, _, _ = text_to_path.get_text_width_height_descent(longer, font, False)
        if lines and points > 72.0 * width:
            lines.append(word)
        else:
            lines[-1:] = [longer]
    return lines
