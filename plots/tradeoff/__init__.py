"""Speed-up against robust accuracy: what a strategy gains, and what that costs."""

from __future__ import annotations

from functools import partial

from harness.tables.table import ROW_COLUMNS
from plots.shared.observations import selected
from plots.shared.plot import ALL_POINTS, ENVIRONMENT, WHERE, Extra, Plot
from plots.tradeoff import figure, table, text

PLOT = Plot(
    name="tradeoff",
    help="""Draw speed-up against robust accuracy, a mark for each strategy and number of processes.

    Reads CSV (one row per timed repetition) of a strong-scaling study whose workload measured
    robust accuracy. Upper right is better. Writes <study>_tradeoff.svg, <study>_tradeoff.png and
    <study>.tradeoff.csv.

    \b
    Examples:
      python -m plots tradeoff results/strategies.csv
      python -m plots tradeoff results/strong_scaling.csv --where adversary_steps=32
    """,
    columns=(*ROW_COLUMNS, "strategy", "robust_accuracy"),
    without=("definition",),
    beside="scaling",
    read=selected(table.analyse),
    describe=text.describe,
    drawings=lambda study: {"_tradeoff": partial(figure.draw, study)},
    captions=lambda study: {"_tradeoff": figure.caption(study)},
    extras=(Extra("tradeoff", text.csv),),
    options=(WHERE, ENVIRONMENT, ALL_POINTS),
    makes={"strategies": "make strategies", "strong_scaling": "make strong-scaling"},
    title="Speed-up against robust accuracy",
    place=10,
    headlines=text.headlines,
    grids=text.grids,
    chart=text.chart,
)
