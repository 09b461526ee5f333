"""What the report tells of one table."""

from __future__ import annotations

import csv
import re
import textwrap
import zlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from markupsafe import Markup

from harness.errors import InputError, UserError
from harness.tables.table import details_path, read_cells
from plots import registry
from plots.report.charts import specification
from plots.shared import files, noise, provenance, style
from plots.shared.plot import Grid, Plot

#: How rows that count came to be, where a table does not say.
UNSAID = "measured"

#: Why rows were skipped or failed: so many reasons are told.
REASONS = 2


@dataclass(frozen=True)
class Figure:
    """A figure in the page.

    Attributes:
        name: of its file.
        svg: its element, as wide as two columns.
        narrow: the same for a phone: one column, whose letters are as large on a narrow page.
        caption: in words.
    """

    name: str
    svg: Markup
    narrow: Markup
    caption: str


@dataclass(frozen=True)
class Facts:
    """What any table says about itself.

    Attributes:
        rows: how many there are.
        sources: how those that count came to be.
        began, ended: when its first and last row were begun; empty where it does not tell.
        machine: in words; empty where nobody tells.
        environment: dotted names and values of what is known of it.
        not_ok: how many rows are skipped or failed, and why; empty where none is.
        noise: how many launches were disturbed, and by what; empty where none was.
    """

    rows: int
    sources: tuple[str, ...]
    began: str
    ended: str
    machine: str
    environment: tuple[tuple[str, str], ...]
    not_ok: str
    noise: str


@dataclass(frozen=True)
class Entry:
    """A table that a plot is for.

    Attributes:
        name: of the table, without its ending.
        file: the table.
        plot: that draws it.
        facts: about it.
        figures, grids, text, headlines: what it shows; empty where it cannot be drawn.
        chart: a Vega-Lite specification as JSON, or None.
        reason: why it cannot be drawn, or None.
    """

    name: str
    file: Path
    plot: Plot
    facts: Facts
    figures: tuple[Figure, ...] = ()
    grids: tuple[Grid, ...] = ()
    text: str = ""
    headlines: tuple[str, ...] = ()
    chart: Markup | None = None
    reason: str | None = None

    @property
    def anchor(self) -> str:
        """Its place in the page."""
        return f"{self.name}-{self.plot.name}" if self.plot.beside else self.name

    @property
    def made_by(self) -> str:
        """The command that made the table, or empty."""
        return self.plot.makes.get(self.name, "")

    @property
    def drawn_by(self) -> str:
        """The command that draws it."""
        return f"python -m plots {self.plot.name} {self.file}"


@dataclass(frozen=True)
class Other:
    """A table that no plot is for: it is a link."""

    name: str
    file: Path
    facts: Facts


def read(path: Path) -> list[Entry] | Other:
    """A table as the report shows it: by each plot that is for it, its own first.

    Raises:
        InputError: if it is no table.
    """
    newest = max(plot.schema_version for plot in registry.declared())
    try:
        header, rows = read_cells(path, (), newest)
    except (OSError, UnicodeDecodeError, csv.Error, InputError):
        raise InputError(path, "not a table: expected CSV text in UTF-8 with as many cells in "
                               "each row as in the header") from None  # fmt: skip
    plots = registry.plots_for(header, details_path(path.parent, path.stem).is_file())
    facts = _facts(path, rows)
    return [_entry(path, plot, facts) for plot in plots] or Other(path.stem, path, facts)


def _entry(path: Path, plot: Plot, facts: Facts) -> Entry:
    try:
        return _drawn(path, plot, plot.read(path), facts)
    except InputError:
        raise
    except UserError as error:
        return Entry(path.stem, path, plot, facts, reason=str(error))


def _drawn(path: Path, plot: Plot, study: Any, facts: Facts) -> Entry:
    figures, told = [], plot.captions(study)
    for suffix, draw in plot.drawings(study).items():
        name = f"{path.stem}{suffix}"
        wide, narrow = (
            inline(files.as_svg(draw, width), f"{name}{kind}")
            for kind, width in (("", style.TWO), ("-narrow", style.ONE))
        )
        figures.append(Figure(name, wide, narrow, told.get(suffix, "")))
    grids = tuple(plot.grids(study))
    chart = plot.chart(study)
    return Entry(
        path.stem, path, plot, facts, tuple(figures), grids,
        "" if grids else plot.describe(study), tuple(plot.headlines(study)),
        None if chart is None else specification(chart),
    )  # fmt: skip


def _facts(path: Path, rows: Sequence[Mapping[str, str]]) -> Facts:
    good = [row for row in rows if row.get("status", "ok") == "ok"]
    sources = dict.fromkeys(row.get("source") or UNSAID for row in good)
    started = sorted(filter(None, (row.get("started_at", "") for row in rows)))
    known = provenance.load(path)
    last = max(good, key=lambda row: row.get("started_at", ""), default={}).get("environment", "")
    machine = provenance.machine(known, last) if last in known else ""
    if not machine:
        told = {name: None for row in good if (name := row.get("cpu") or row.get("machine"))}
        machine = "; ".join(told)
    return Facts(
        rows=len(rows),
        sources=tuple(sources),
        began=_day(started[:1]),
        ended=_day(started[-1:]),
        machine=machine,
        environment=tuple(provenance.flat(known[last])) if last in known else (),
        not_ok=_not_ok(rows),
        noise=noise.disturbed(good),
    )


def _not_ok(rows: Sequence[Mapping[str, str]]) -> str:
    bad = [row for row in rows if row.get("status", "ok") != "ok"]
    if not bad:
        return ""
    counts = Counter(row["status"] for row in bad)
    reasons = list(dict.fromkeys(row.get("message", "") for row in bad if row.get("message")))
    more = f"; and {len(reasons) - REASONS} more reasons" if len(reasons) > REASONS else ""
    why = "; ".join(textwrap.shorten(reason, 100) for reason in reasons[:REASONS]) + more
    each = ", ".join(f"{status} {count}" for status, count in sorted(counts.items()))
    return f"{len(bad):,} of {len(rows):,} rows: {each}{f' ({why})' if why else ''}"


def _day(moments: Sequence[str]) -> str:
    return moments[0][:16].replace("T", " ") if moments else ""


def inline(svg: str, name: str) -> Markup:
    """An SVG element for use inside HTML, without what no reader sees.

    Identifiers are short, apart from those of other figures, and left out where nothing refers to
    them; places are told to a hundredth of a point; comments and line ends go. Together that is
    about two fifths of the element.
    """
    element = re.sub(r"<!--.*?-->", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    used = dict.fromkeys(re.findall(r'(?:href="#|url\(#)([^")]+)', element))
    own = f"f{zlib.crc32(name.encode()):x}"
    short = {old: f"{own}-{number:x}" for number, old in enumerate(used)}
    element = re.sub(
        r' id="([^"]*)"',
        lambda found: f' id="{short[found[1]]}"' if found[1] in short else "",
        element,
    )
    element = re.sub(r'(?:xlink:)?href="#([^"]+)"', lambda f: f'href="#{short[f[1]]}"', element)
    element = re.sub(r"url\(#([^)]+)\)", lambda f: f"url(#{short[f[1]]})", element)
    element = re.sub(r"\s+", " ", element).replace("> <", "><")
    return Markup(re.sub(r'translate\([^)]*\)| (?:d|x|y)="[^"]*"', _rounded, element))


def _rounded(places: re.Match[str]) -> str:
    """Coordinates with two digits behind the point, where they have more."""
    return re.sub(r"\d+\.\d{3,}", lambda number: f"{float(number[0]):.2f}", places[0])
