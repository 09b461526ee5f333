"""Figures as files: equal input gives equal bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from harness.tables.table import write_whole
from plots.shared import captions, style

DOTS_PER_INCH = 200
FORMATS = ("svg", "pdf", "png")

#: Makes a figure of so many inches; called for each file, since drawing one changes it.
Draw = Callable[[float], Figure]

#: What a file would otherwise tell of the day and the program.
_NAMELESS: dict[str, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}


def as_svg(draw: Draw, width: float = style.TWO, caption: str = "") -> str:
    """A figure as SVG text without a date."""
    buffer = io.StringIO()
    _save(draw, buffer, "svg", width, caption)
    return buffer.getvalue()


def save(
    draw: Draw, folder: Path, name: str, formats: Sequence[str] = ("svg", "png"),
    width: float = style.TWO, caption: str = "",
) -> list[Path]:  # fmt: skip
    """Write ``NAME.svg``, ``NAME.pdf`` and ``NAME.png``, as far as wanted; the paths.

    The folder is made if it is not there.

    Args:
        draw: makes the figure.
        folder: of the files.
        name: of the files, without an ending.
        formats: of the files, from `FORMATS`.
        width: in inches.
        caption: stands below the figure.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for ending in formats:
        paths.append(folder / f"{name}.{ending}")
        if ending == "svg":
            write_whole(paths[-1], as_svg(draw, width, caption))
        else:
            _save(draw, paths[-1], ending, width, caption)
    return paths


def _save(draw: Draw, place: Any, ending: str, width: float, caption: str) -> None:
    with mpl.rc_context(style.SETTINGS):
        figure = draw(width)
        figure.savefig(
            place, format=ending, dpi=DOTS_PER_INCH if ending == "png" else "figure",
            metadata=_NAMELESS[ending], bbox_inches=captions.write(figure, caption),
        )  # fmt: skip
