"""Figures as files: equal input gives equal bytes."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.figure import Figure

from harness.tables.table import write_whole
from plots.shared import style

DOTS_PER_INCH = 200
FORMATS = ("svg", "pdf", "png")

#: Makes a figure; called for each file, since drawing one changes it.
Draw = Callable[[], Figure]

#: What a file would otherwise tell of the day and the program.
_NAMELESS: dict[str, dict[str, None]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}


def as_svg(draw: Draw) -> str:
    """A figure as SVG text without a date."""
    buffer = io.StringIO()
    _save(draw, buffer, "svg")
    return buffer.getvalue()


def save(
    draw: Draw, folder: Path, name: str, formats: Sequence[str] = ("svg", "png")
) -> list[Path]:
    """Write ``NAME.svg``, ``NAME.pdf`` and ``NAME.png``, as far as wanted; the paths.

    The folder is made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for ending in formats:
        paths.append(folder / f"{name}.{ending}")
        if ending == "svg":
            write_whole(paths[-1], as_svg(draw))
        else:
            _save(draw, paths[-1], ending)
    return paths


def _save(draw: Draw, place: Any, ending: str) -> None:
    with mpl.rc_context(style.SETTINGS):
        draw().savefig(place, format=ending, dpi=DOTS_PER_INCH if ending == "png" else "figure",
                       metadata=_NAMELESS[ending])  # fmt: skip
