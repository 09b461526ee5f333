"""The figures of the OpenMP study, as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from matplotlib.figure import Figure

from plots.openmp import chain_figure as openmp_chain_figure
from plots.openmp import random_figure as openmp_random_figure
from plots.openmp import use_figure as openmp_use_figure
from plots.openmp.attack import Study
from plots.openmp.table import OpenMP
from plots.shared import files


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
    paths = []
    for part, draw in figures(found, study).items():
        paths += files.save(draw, folder, f"{found.selection.study}_{part}")
    return paths


def svgs(found: OpenMP, study: Study | None) -> dict[str, str]:
    """The figures as SVG texts without a date."""
    return {part: files.as_svg(draw) for part, draw in figures(found, study).items()}
