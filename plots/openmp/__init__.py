"""Threads inside operators, threads between them, and processes instead."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

from harness.tables.table import ROW_COLUMNS
from plots.openmp import attack, figure, table, text
from plots.shared import reference
from plots.shared.observations import select
from plots.shared.plot import ALL_POINTS, ENVIRONMENT, Plot


class Read(NamedTuple):
    """The times that were found, and the original study's."""

    found: table.OpenMP
    study: attack.Study | None


def read(path: Path, **chosen: Any) -> Read:
    """Choose the rows of a study, and join them with their details."""
    found = table.analyse(select(path, **chosen))
    return Read(found, attack.study(reference.find(path, None)))


PLOT = Plot(
    name="openmp",
    help="""Draw threads against each other: chains of Jacobians, input gradients, attacks.

    Reads CSV and, beside it, <study>.details.csv (one row for each time). Ratios are of times in
    the same round. Writes <study>_chains, _random, _gradient and _attack, as far as they were
    measured, each as .svg and .png.

    \b
    Example:
      python -m plots openmp results/openmp.csv
    """,
    columns=(*ROW_COLUMNS, *table.KEYS),
    read=read,
    describe=lambda both: text.describe(*both),
    drawings=lambda both: figure.drawings(*both),
    captions=lambda both: figure.captions(*both),
    options=(ENVIRONMENT, ALL_POINTS),
    details=True,
    makes={"openmp": "make openmp"},
    title="Threads inside operators, between them, and processes instead",
    place=60,
    headlines=lambda both: text.headlines(both.found),
)
