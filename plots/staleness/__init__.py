"""How old batches are, and what that costs."""

from __future__ import annotations

from functools import partial

from harness.tables.table import ROW_COLUMNS
from plots.shared.observations import selected
from plots.shared.plot import ALL_POINTS, ENVIRONMENT, WHERE, Plot
from plots.staleness import figure, table, text

PLOT = Plot(
    name="staleness",
    help="""Draw how old the weights behind batches were, and what that cost.

    Reads CSV and, beside it, <study>.details.csv (one row per update). Writes <study>.svg and
    <study>.png.

    \b
    Example:
      python -m plots staleness results/staleness.csv
    """,
    columns=(*ROW_COLUMNS, *table.KEYS),
    read=selected(table.analyse),
    describe=text.describe,
    drawings=lambda study: {"": partial(figure.draw, study)},
    captions=lambda study: {"": figure.caption(study)},
    options=(WHERE, ENVIRONMENT, ALL_POINTS),
    details=True,
    makes={"staleness": "make staleness"},
    title="How old the weights behind a batch are",
    place=50,
    headlines=text.headlines,
)
