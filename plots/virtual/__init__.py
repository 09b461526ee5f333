"""What many processes would have trained: accuracy over simulated time."""

from __future__ import annotations

from functools import partial

from harness.tables.table import ROW_COLUMNS
from plots.shared.plot import REFERENCE, Plot
from plots.virtual import figure, table, text

PLOT = Plot(
    name="virtual",
    help="""Draw the accuracy of virtual executions beside the original study's.

    Reads the CSV that `python -m experiments.virtual` wrote. Writes <table>.svg and <table>.png.

    \b
    Example:
      python -m plots virtual results/virtual.csv
    """,
    columns=(*ROW_COLUMNS, *table.COLUMNS),
    read=table.analyse,
    describe=text.describe,
    drawings=lambda study: {"": partial(figure.draw, study)},
    captions=lambda study: {"": figure.caption(study)},
    options=(REFERENCE,),
    makes={"virtual": "make virtual"},
    title="What many processes would have trained",
    place=80,
    headlines=text.headlines,
)
