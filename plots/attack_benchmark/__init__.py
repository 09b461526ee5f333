"""Attacks and updates beside those of other libraries."""

from __future__ import annotations

from functools import partial

import click

from plots.attack_benchmark import figure, table, text, training
from plots.attack_benchmark.table import ATTACK, TASKS, Benchmark
from plots.shared.files import Draw
from plots.shared.plot import Plot

#: What a figure's name adds to the table's, what it shows, who draws it, and its caption.
_FIGURES = (
    ("", (ATTACK,), figure.draw, figure.caption_of),
    ("_training", TASKS[1:], training.draw, training.caption),
)


def drawings(benchmark: Benchmark) -> dict[str, Draw]:
    """A figure of attacks, and one of training, as far as they were measured."""
    return {
        suffix: partial(draw, own)
        for suffix, tasks, draw, _ in _FIGURES
        if (own := benchmark.of(*tasks)).competitors
    }


def captions(benchmark: Benchmark) -> dict[str, str]:
    """Of those figures."""
    return {
        suffix: caption(own)
        for suffix, tasks, _, caption in _FIGURES
        if (own := benchmark.of(*tasks)).competitors
    }


PLOT = Plot(
    name="attack-benchmark",
    help="""Draw how fast attacks and training are, by library, and print ratios with intervals.

    Reads the CSV that `python -m sparring attack --benchmark` wrote. Ratios are of times in the
    same round. Writes <table>.svg, <table>.pdf and <table>.png of attacks, and
    <table>_training.* of updates and iterations, as far as the run measured them.

    \b
    Example:
      python -m plots attack-benchmark results/attack_benchmark.csv
    """,
    columns=table.COLUMNS,
    schema_version=table.SCHEMA_VERSION,
    read=table.analyse,
    describe=text.describe,
    drawings=drawings,
    captions=captions,
    options=(
        click.Option(
            ["--run"], metavar="ID",
            help="Draw this run (the beginning of its name is enough) instead of the last one.",
        ),
    ),
    formats=("svg", "pdf", "png"),
    makes={"attack_benchmark": "make bench"},
    title="Attacks and updates beside other libraries",
    place=30,
    chart=text.chart,
    headlines=text.headlines,
)  # fmt: skip
