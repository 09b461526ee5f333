"""The compute kernels under the roofs of machines."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import click

from harness.errors import UserError
from plots.roofline import claims, figure, roofs, table, text
from plots.roofline import predictions as predicted
from plots.roofline.points import COLUMNS, SCHEMA_VERSION
from plots.shared.files import Draw
from plots.shared.plot import EXISTING, Plot


class Read(NamedTuple):
    """A study, which variants of kernels are drawn, the original study's intensities.

    ``markdown`` asks for tables instead of a figure; ``path`` is the kernel whose way over batch
    sizes is drawn.
    """

    study: table.Study
    variants: tuple[str, ...]
    claims: Mapping[str, float]
    markdown: bool
    path: str | None


def read(
    path: Path, *, ceilings: Path | None = None, machines: Path | None = None,
    variant: tuple[str, ...] = (), threads: int = 1, input_size: int | None = None,
    table: bool = False, predictions: Path | None = None, path_of: str | None = None,
) -> Read:  # fmt: skip
    """Place the kernels under the roofs."""
    known = roofs.load(path, ceilings, machines)
    study = analyse(path, known, threads=threads, input_size=input_size,
                    predictions=predicted.load(path, predictions))  # fmt: skip
    if path_of is not None and path_of not in study.kernels:
        raise UserError(f"{path}: no kernel '{path_of}'; it has {', '.join(study.kernels)}")
    return Read(study, variant, claims.load(path), table, path_of)


analyse = table.analyse


def describe(own: Read) -> str:
    """The kernels in columns, or as Markdown."""
    say = text.markdown if own.markdown else text.describe
    return say(own.study, own.variants)


def drawings(own: Read) -> dict[str, Draw]:
    """One figure, unless tables were asked for."""
    if own.markdown:
        return {}
    return {"": partial(figure.draw, own.study, own.variants, own.claims, own.path)}


PLOT = Plot(
    name="roofline",
    help="""Draw kernels under the roofs of machines: where memory bounds them, and at which level.

    Reads the CSV that `python -m kernels measure` wrote. Kernels that were measured stand where
    they were measured; on machines that were not at hand they stand at the bound that simulated
    traffic and theoretical roofs imply, and where they are predicted to be. Writes <table>.svg and
    <table>.png.

    \b
    Examples:
      python -m plots roofline results/roofline.csv
      python -m plots roofline results/roofline.csv --variant torch_nchw --table
    """,
    columns=COLUMNS,
    schema_version=SCHEMA_VERSION,
    read=read,
    describe=describe,
    drawings=drawings,
    captions=lambda own: {"": figure.caption(own.study, own.variants, own.claims)},
    options=(
        click.Option(
            ["--ceilings"], type=EXISTING,
            help="Measured roofs, of `python -m kernels ceilings` [default: ceilings.csv next to "
            "CSV].",
        ),
        click.Option(
            ["--machines"], type=EXISTING,
            help="Theoretical roofs, of `python -m kernels machines --out` [default: machines.csv "
            "next to CSV].",
        ),
        click.Option(
            ["--predictions"], type=EXISTING,
            help="Predicted times, of `python -m kernels predict` [default: prediction.csv next to "
            "CSV].",
        ),
        click.Option(
            ["--path", "path_of"], metavar="KERNEL",
            help="Draw this kernel's path over batch sizes [attack_step].",
        ),
        click.Option(
            ["--variant"], multiple=True, metavar="NAME",
            help="Draw this variant of each kernel instead of the fastest; may be given several "
            "times, the first that a kernel has counts.",
        ),
        click.Option(
            ["--threads"], type=click.IntRange(1), default=1, show_default=True,
            help="Draw kernels that ran on so many threads.",
        ),
        click.Option(
            ["--input-size"], type=click.IntRange(1),
            help="Rows of an image [default: the most frequent in CSV].",
        ),
        click.Option(
            ["--table"], is_flag=True,
            help="Print tables for a document (Markdown), and draw nothing.",
        ),
    ),
    without=("stage",),  # the stages of the engine are parts of each other
    makes={"roofline": "make roofline"},
    title="Roofline: kernels, and what the machine allows",
    place=20,
    chart=lambda own: text.chart(own.study),
    headlines=lambda own: text.headlines(own.study),
)  # fmt: skip
