"""What a plot declares: the tables that it is for, and how to read, print and draw them.

A package in ``plots`` whose ``__init__`` names a `Plot` ``PLOT`` is a plot: the command line has a
command of its name, and the report a place for its tables. Neither knows any by name.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click

from plots.shared import files, style
from plots.shared.chart import Chart
from plots.shared.files import Draw


@dataclass(frozen=True)
class Extra:
    """A table that follows from the one that was read.

    Attributes:
        suffix: ``<table>.<suffix>.csv``.
        text: its CSV.
        beside: whether it stands beside the table that was read, and not with the figures.
    """

    suffix: str
    text: Callable[[Any], str]
    beside: bool = False


@dataclass(frozen=True)
class Grid:
    """A table for people.

    Attributes:
        title: what sets it apart; may be empty.
        header, rows: its cells as text.
        notes: what a reader must know.
    """

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    notes: Sequence[str] = ()


def _no_drawings(_: Any) -> Mapping[str, Draw]:
    """Of a plot that only prints."""
    return {}


def _no_captions(_: Any) -> Mapping[str, str]:
    return {}


def _no_chart(_: Any) -> Chart | None:
    return None


def _nothing(_: Any) -> Sequence[Any]:
    return ()


@dataclass(frozen=True)
class Plot:
    """One thing drawn.

    Attributes:
        name: of the command, ``python -m plots NAME``.
        help: of the command; its first sentence tells in a list what it draws.
        columns: those that a table has that this plot is for. Where several plots' columns are all
            there, it is for the one that asks for most.
        read: the table at a path, with the command's options as keywords; raises
            `harness.errors.UserError` where it cannot be drawn.
        describe: what was read, in words and numbers.
        drawings: the figures, by what their files' names add to the table's.
        captions: of the figures, by the same names: what each shows, measured how and on what, and
            what a reader must know. They stand below the figures, and in the report as text.
        extras: further tables.
        options: of the command, besides those that all have.
        details: whether only a table with details beside it (``<table>.details.csv``) is meant.
        beside: another plot, whose tables it draws too where they have its columns; it is then
            never a table's only plot, and tables are not missed on its account.
        without: columns that no table of its own has.
        schema_version: the newest version of its table that it reads.
        formats: of the figures' files, unless asked otherwise.
        makes: names of tables, without their ending, and the commands that make them.
        title: of its section of the report.
        place: of the section among the others, ascending.
        headlines: what was found, each a sentence with its interval, for the report's beginning.
        chart: values to choose from, for the report, or None.
        grids: what was found as tables, for the report; without any it shows the description.
    """

    name: str
    help: str
    columns: tuple[str, ...]
    read: Callable[..., Any]
    describe: Callable[[Any], str]
    drawings: Callable[[Any], Mapping[str, Draw]] = _no_drawings
    captions: Callable[[Any], Mapping[str, str]] = _no_captions
    extras: tuple[Extra, ...] = ()
    options: tuple[click.Parameter, ...] = ()
    details: bool = False
    beside: str = ""
    without: tuple[str, ...] = ()
    schema_version: int = 1
    formats: tuple[str, ...] = ("svg", "png")
    makes: Mapping[str, str] = field(default_factory=dict)
    title: str = ""
    place: int = 100
    headlines: Callable[[Any], Sequence[str]] = _nothing
    grids: Callable[[Any], Sequence[Grid]] = _nothing
    chart: Callable[[Any], Chart | None] = _no_chart

    def fits(self, header: Collection[str], details: bool) -> bool:
        """Whether a table with these columns, and with or without details, is one of its own."""
        own = set(self.columns) <= set(header) and not set(self.without) & set(header)
        return own and (details or not self.details)

    def save(
        self, study: Any, folder: Path, name: str, formats: Sequence[str] = (),
        width: float = style.TWO,
    ) -> list[Path]:  # fmt: skip
        """Write the figures of the table called ``name``; equal input gives equal bytes."""
        told = self.captions(study)
        return [
            path
            for suffix, draw in self.drawings(study).items()
            for path in files.save(
                draw, folder, f"{name}{suffix}", formats or self.formats, width,
                told.get(suffix, ""),
            )
        ]  # fmt: skip


def pairs(_: click.Context, __: click.Parameter, values: tuple[str, ...]) -> list[tuple[str, str]]:
    """``KEY=VALUE`` taken apart, for click."""
    parts = [value.partition("=") for value in values]
    for key, equals, _value in parts:
        if not (key and equals):
            raise click.BadParameter(f"expected key=value, found '{key}'")
    return [(key, value) for key, _equals, value in parts]


EXISTING = click.Path(path_type=Path)
FOLDER = click.Path(file_okay=False, path_type=Path)

WHERE = click.Option(
    ["--where"], multiple=True, metavar="KEY=VALUE", callback=pairs,
    help="Draw only rows with this value in column KEY; may be given several times.",
)  # fmt: skip
ENVIRONMENT = click.Option(
    ["--environment"], metavar="ID",
    help="Draw the rows of this environment (the beginning of its id is enough) instead of the one "
    "last measured.",
)  # fmt: skip
ALL_POINTS = click.Option(
    ["--all-points"], is_flag=True,
    help="Draw all points of the table, also those of presets and settings asked for earlier.",
)  # fmt: skip
REFERENCE = click.Option(
    ["--reference"], type=FOLDER,
    help="Folder with the original study's rows [default: reference next to CSV, else the "
    "project's results/reference].",
)  # fmt: skip
