"""The page: what was run, what was found, a section for each plot, what is missing."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import jinja2

from harness.errors import UserError
from plots import registry
from plots.report import charts
from plots.report.entries import Entry, Other, read
from plots.shared.plot import Plot

#: Tables that stand beside others and are no studies of their own.
COMPANIONS = ("ranks", "points", "details", "environment")

#: What each way of coming to a number is.
MEANINGS = {
    "measured": "real work, a core for each process",
    "oversubscribed": "real work, more processes than cores",
    "emulated": "real messages; processes sleep as long as they would have computed",
    "simulated": "a discrete-event model, or simulated caches",
    "predicted": "a bound, a fitted law, or a model of the core",
    "reference": "another study's published number",
}


@dataclass(frozen=True)
class Section:
    """All tables that one plot is for."""

    plot: Plot
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Missing:
    """A study without a table, and the command that would make it."""

    name: str
    title: str
    command: str


def page(results: Path, place: Path | None = None) -> tuple[str, list[str]]:
    """The page, and a sentence for each table that cannot be drawn.

    Args:
        results: the folder with the tables.
        place: where the page will stand, for links to the tables; None: in that folder.

    Raises:
        UserError: if the folder is absent or holds no table.
    """
    if not results.is_dir():
        raise UserError(f"{results}: expected a folder with the tables of studies")
    companions = {*COMPANIONS, *(e.suffix for plot in registry.declared() for e in plot.extras)}
    tables = [
        path for path in sorted(results.glob("*.csv"))
        if path.stem.rpartition(".")[2] not in companions or "." not in path.stem
    ]  # fmt: skip
    if not tables:
        raise UserError(f"{results}: no table to report on; run a study first")
    found = [read(path) for path in tables]
    entries = [entry for one in found if not isinstance(one, Other) for entry in one]
    home = (place or results / "report.html").resolve().parent
    sections = _sections(entries)
    ordered = [entry for section in sections for entry in section.entries]
    html = _environment(home).get_template("report.html.j2").render(
        sections=sections,
        others=[one for one in found if isinstance(one, Other)],
        missing=_missing({path.stem for path in tables}),
        headlines=[entry for entry in ordered if entry.headlines],
        studies=[entry for entry in ordered if not entry.plot.beside],
        meanings=MEANINGS,
        program=charts.program() if any(entry.chart for entry in entries) else "",
    )  # fmt: skip
    return html, [f"{entry.reason}" for entry in entries if entry.reason]


def _environment(home: Path) -> jinja2.Environment:
    templates = jinja2.FileSystemLoader(Path(__file__).parent / "templates")
    environment = jinja2.Environment(
        loader=templates, autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters["link"] = lambda file: Path(
        os.path.relpath(file.resolve(), home)
    ).as_posix()
    return environment


def _sections(entries: Sequence[Entry]) -> list[Section]:
    plots = sorted(registry.declared(), key=lambda plot: (plot.place, plot.name))
    found = [Section(plot, tuple(_in_order(plot, entries))) for plot in plots]
    return [section for section in found if section.entries]


def _in_order(plot: Plot, entries: Sequence[Entry]) -> list[Entry]:
    """A plot's entries: the project's own studies first, in their order, then by name."""
    rank = {name: number for number, name in enumerate(plot.makes)}
    own = [entry for entry in entries if entry.plot is plot]
    return sorted(own, key=lambda entry: (rank.get(entry.name, len(rank)), entry.name))


def _missing(present: set[str]) -> list[Missing]:
    plots = sorted(registry.declared(), key=lambda plot: (plot.place, plot.name))
    return [
        Missing(name, plot.title, command)
        for plot in plots
        for name, command in plot.makes.items()
        if name not in present and not plot.beside
    ]
