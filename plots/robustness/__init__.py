"""Whether parallel training costs robustness: paired by seed, with verdicts."""

from __future__ import annotations

from functools import partial

from harness.tables.table import ROW_COLUMNS
from plots.robustness import figure, table, text
from plots.shared.observations import selected
from plots.shared.plot import ALL_POINTS, ENVIRONMENT, WHERE, Extra, Plot

PLOT = Plot(
    name="robustness",
    help="""Say which ways of training keep the baseline's robust accuracy, and draw it.

    Reads CSV and, beside it, <study>.details.csv (accuracy on the way). Differences are paired by
    seed; margin, alpha and endpoint stand in the table, since the study fixed them before it ran.
    Writes <study>.verdicts.csv, <study>.svg and <study>.png.

    \b
    Example:
      python -m plots robustness results/robustness.csv
    """,
    columns=(*ROW_COLUMNS, *table.KEYS),
    read=selected(table.analyse),
    describe=text.describe,
    drawings=lambda study: {"": partial(figure.draw, study)},
    captions=lambda study: {"": figure.caption(study)},
    extras=(Extra("verdicts", text.verdicts_table, beside=True),),
    options=(WHERE, ENVIRONMENT, ALL_POINTS),
    makes={"robustness": "make robustness"},
    title="Does parallel training cost robustness?",
    place=40,
    chart=text.chart,
    headlines=text.headlines,
)
