"""Figures as files: equal input gives equal bytes."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from harness.tables.table import write_whole
from plots.shared import style

DOTS_PER_INCH = 200

#: Makes a figure; called for each file, since drawing one changes it.
Draw = Callable[[], Figure]


def as_svg(draw: Draw) -> str:
    """A figure as SVG text without a date."""
    buffer = io.StringIO()
    with mpl.rc_context(style.SETTINGS):
        draw().savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def save(draw: Draw, folder: Path, name: str, *, pdf: bool = False) -> list[Path]:
    """Write ``NAME.svg`` and ``NAME.png``, and ``NAME.pdf`` if wanted; the paths.

    The folder is made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{name}.svg"]
    write_whole(paths[0], as_svg(draw))
    with mpl.rc_context(style.SETTINGS):
        if pdf:
            paths.append(folder / f"{name}.pdf")
            nameless = {"CreationDate": None, "Creator": None, "Producer": None}
            draw().savefig(paths[-1], metadata=nameless)
        paths.append(folder / f"{name}.png")
        draw().savefig(paths[-1], dpi=DOTS_PER_INCH, metadata={"Software": None})
    return paths
