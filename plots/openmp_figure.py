"""The figures of the OpenMP study, as files."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import matplotlib as mpl
from matplotlib.figure import Figure

from harness.tables import write_whole
from plots import openmp_chain_figure, openmp_random_figure, openmp_use_figure, style
from plots.openmp import OpenMP
from plots.openmp_attack import Study

DOTS_PER_INCH = 200


def figures(found: OpenMP, study: Study | None) -> dict[str, Callable[[], Figure]]:
    """What can be drawn, by the end of the file's name."""
    drawn: dict[str, Callable[[], Figure]] = {}
    if found.chains:
        drawn["chains"] = lambda: openmp_chain_figure.draw(found)
    if any(chain.draws > 1 and chain.threads > 1 for chain in found.chains):
        drawn["random"] = lambda: openmp_random_figure.draw(found)
    if found.of("gradient"):
        drawn["gradient"] = lambda: openmp_use_figure.draw_gradients(found)
    if found.of("attack"):
        drawn["attack"] = lambda: openmp_use_figure.draw_attacks(found, study)
    return drawn


def save(found: OpenMP, study: Study | None, folder: Path) -> list[Path]:
    """Write ``<study>_<part>.svg`` and ``.png``; equal input gives equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    for part, draw in figures(found, study).items():
        stem = folder / f"{found.selection.study}_{part}"
        write_whole(stem.with_suffix(".svg"), _svg(draw))
        with mpl.rc_context(style.SETTINGS):
            draw().savefig(stem.with_suffix(".png"), dpi=DOTS_PER_INCH, metadata={"Software": None})
        paths += [stem.with_suffix(".svg"), stem.with_suffix(".png")]
    return paths


def svgs(found: OpenMP, study: Study | None) -> dict[str, str]:
    """The figures as SVG texts without a date."""
    return {part: _svg(draw) for part, draw in figures(found, study).items()}


def _svg(draw: Callable[[], Figure]) -> str:
    buffer = io.StringIO()
    with mpl.rc_context(style.SETTINGS):
        draw().savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
