"""Speed-up and efficiency over processes: fits, bounds, predictions."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from pathlib import Path

import click

from harness.tables.table import ROW_COLUMNS
from plots.scaling import caption, figure, rates, table, text
from plots.shared.observations import select
from plots.shared.plot import ALL_POINTS, ENVIRONMENT, FOLDER, WHERE, Extra, Plot


def read(
    path: Path, *, kind: str = "auto", where: Iterable[tuple[str, str]] = (),
    environment: str | None = None, reference: Path | None = None, all_points: bool = False,
    metric: str = "",
) -> table.Analysis:  # fmt: skip
    """Choose the rows of a study, and compare, predict and fit."""
    chosen = select(path, environment=environment, where=where, all_points=all_points)
    asked = metric or chosen.rate
    if kind == "throughput" or (kind == "auto" and asked):
        chosen = rates.costs(chosen, asked)
        return table.analyse(chosen, "throughput", reference, asked)
    return table.analyse(chosen, kind, reference)


PLOT = Plot(
    name="scaling",
    help="""Draw speed-up and efficiency of the study in CSV, with intervals, bounds and fits.

    Reads CSV (one row per timed repetition) and, where they stand beside it, <study>.points.csv
    (which points were last asked for), <study>.ranks.csv (phase times, for the bounds)
    and <study>.environment.json. Writes <study>.svg, <study>.png and <study>.fits.csv.

    Strong scaling: speed-up over the strategy `sequential` on one process with one thread; in a
    table without strategies, over the workload's own run on one process. Weak scaling: scaled
    speed-up, from the sequential time of each problem size. Throughput scaling: a rate over that of
    one process, where points may do as much work as they like.

    \b
    Examples:
      python -m plots scaling results/strong_scaling.csv
      python -m plots scaling results/strong_scaling.csv --where adversary_steps=32 --out paper
      python -m plots scaling results/sleep.csv --kind weak
      python -m plots scaling results/strong_scaling.csv --metric images_per_second
    """,
    columns=ROW_COLUMNS,
    read=read,
    describe=text.describe,
    drawings=lambda analysis: {"": partial(figure.draw, analysis)},
    captions=lambda analysis: {"": caption.caption(analysis)},
    extras=(Extra("fits", text.fits_table),),
    options=(
        click.Option(
            ["--kind"], type=click.Choice(["auto", "strong", "weak", "throughput"]),
            default="auto",
            show_default=True,
            help="auto: throughput if the study or --metric names a rate, weak if the table has a "
            "definition in its column `definition`, else strong.",
        ),
        click.Option(
            ["--metric"], default="",
            help="Column with a rate, such as images_per_second [default: the study's "
            "measure.throughput].",
        ),
        WHERE,
        ENVIRONMENT,
        click.Option(
            ["--reference"], type=FOLDER,
            help="Folder with the original study's strong_scaling.csv [default: reference next to "
            "CSV, else the project's results/reference].",
        ),
        ALL_POINTS,
    ),
    makes={
        "strong_scaling": "make strong-scaling",
        "weak_scaling": "make weak-scaling",
        "strategies": "make strategies",
    },
    title="Speed-up and efficiency",
    place=5,
    chart=text.chart,
    headlines=text.headlines,
    grids=text.grids,
)  # fmt: skip
