"""The bandwidth that this machine has, over the working set."""

from __future__ import annotations

from functools import partial

from plots.ceilings import figure
from plots.shared.plot import Plot

PLOT = Plot(
    name="ceilings",
    help="""Draw this machine's bandwidth over the working set, and the roof of each level.

    Reads the latest run of the bandwidth_curve.csv that `python -m kernels ceilings` wrote.

    \b
    Example:
      python -m plots ceilings results/bandwidth_curve.csv
    """,
    columns=figure.COLUMNS,
    without=("level",),
    read=figure.load,
    describe=figure.describe,
    drawings=lambda curves: {"": partial(figure.draw, curves)},
    captions=lambda curves: {"": figure.caption(curves)},
    makes={"bandwidth_curve": "make roofline"},
    title="Bandwidth over the working set",
    place=25,
)
