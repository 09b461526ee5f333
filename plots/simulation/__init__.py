"""How far each strategy scales on described machines."""

from __future__ import annotations

from functools import partial

import click

from harness.tables.table import ROW_COLUMNS
from plots.shared.plot import EXISTING, REFERENCE, Plot
from plots.simulation import figure, table, text

PLOT = Plot(
    name="simulation",
    help="""Draw how far strategies scale by simulation, beside what was measured and emulated.

    Reads the CSV that `python -m experiments.simulation` wrote. Writes <table>.svg and <table>.png.

    \b
    Example:
      python -m plots simulation results/simulation.csv
    """,
    columns=(*ROW_COLUMNS, *table.COLUMNS),
    read=table.analyse,
    describe=text.describe,
    drawings=lambda study: {"": partial(figure.draw, study)},
    captions=lambda study: {"": figure.caption(study)},
    options=(
        click.Option(
            ["--measured"], type=EXISTING,
            help="Table of strong scaling whose measured and emulated points are drawn beside this "
            "machine's [default: strong_scaling.csv next to CSV].",
        ),
        REFERENCE,
    ),
    makes={"simulation": "make simulation"},
    title="Scaling, simulated on described machines",
    place=70,
    chart=text.chart,
    headlines=text.headlines,
)  # fmt: skip
