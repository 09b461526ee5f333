"""One HTML page from all tables that exist; it needs no other file."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from string import Template

from harness.errors import InputError, UserError
from harness.tables.table import ROW_COLUMNS, details_path, read_cells
from plots.attack_benchmark import files as attack_benchmark_files
from plots.attack_benchmark import table as attack_benchmark
from plots.gallery import gallery
from plots.openmp import attack as openmp_attack
from plots.openmp import figure as openmp_figure
from plots.openmp import table as openmp
from plots.openmp import text as openmp_text
from plots.robustness import figure as robustness_figure
from plots.robustness import table as robustness
from plots.robustness import text as robustness_text
from plots.roofline import claims as roofline_claims
from plots.roofline import figure as roofline_figure
from plots.roofline import points as roofline_points
from plots.roofline import roofs as roofline_roofs
from plots.roofline import table as roofline
from plots.roofline import text as roofline_text
from plots.scaling import figure as scaling_figure
from plots.scaling.table import Analysis, analyse
from plots.scaling.text import FIT_HEADER, POINT_HEADER, fit_cells, panel_name, point_cells
from plots.shared import provenance, reference
from plots.shared.observations import Selection, select
from plots.staleness import figure as staleness_figure
from plots.staleness import table as staleness

COMPANIONS = (".ranks.csv", ".points.csv", ".details.csv", ".fits.csv", ".verdicts.csv")
SHOWN_ROWS = 100

PAGE = Template("""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Sparring: report</title>
<style>
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; }
h1, h2, h3 { line-height: 1.2; } h2 { margin-top: 3rem; border-top: 1px solid #ccc;
  padding-top: 1rem; }
svg { width: 100%; height: auto; } pre { font-size: 0.78rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: 0.82rem; font-variant-numeric: tabular-nums;
  margin: 0.6rem 0; }
th, td { padding: 0.2rem 0.7rem 0.2rem 0; text-align: left; white-space: nowrap;
  border-bottom: 1px solid #e4e4e4; }
th { border-bottom: 1px solid #888; }
.note { color: #555; font-size: 0.85rem; }
</style>
</head>
<body>
<h1>Sparring: report</h1>
<nav><ul>$contents</ul></nav>
$sections
</body>
</html>
""")


def page(results: Path) -> tuple[str, list[str]]:
    """The page, and a sentence for each table that is named without a figure.

    Raises:
        UserError: if the folder is absent or holds no table.
    """
    if not results.is_dir():
        raise UserError(f"{results}: expected a folder with the tables of studies")
    tables = [path for path in sorted(results.glob("*.csv")) if not path.name.endswith(COMPANIONS)]
    if not tables:
        raise UserError(f"{results}: no table to report on; run a study first")
    sections, skipped = [], []
    for path in tables:
        body, reason = _section(path)
        name = escape(path.stem)
        sections.append(f'<section id="{name}"><h2>{name}</h2>{body}</section>')
        skipped += [reason] if reason else []
    contents = "".join(f'<li><a href="#{s}">{s}</a></li>' for s in (escape(t.stem) for t in tables))
    return PAGE.substitute(contents=contents, sections="\n".join(sections)), skipped


def _section(path: Path) -> tuple[str, str | None]:
    try:
        header, rows = read_cells(path, (), attack_benchmark.SCHEMA_VERSION)
    except (OSError, UnicodeDecodeError, csv.Error, InputError):
        raise InputError(path, "not a table: expected CSV text in UTF-8 with as many cells in "
                               "each row as in the header") from None  # fmt: skip
    cells = [[row[name] for name in header] for row in rows]
    if set(attack_benchmark.REQUIRED) <= set(header):
        return _attack_benchmark(path)
    if set(roofline_points.REQUIRED) <= set(header):
        return _roofline(path)
    if set(gallery.REQUIRED) <= set(header):
        return _gallery(path), None
    if not set(ROW_COLUMNS) <= set(header):
        return _table(header, cells[:SHOWN_ROWS]) + _more(len(cells)), None
    try:
        selection = select(path)
        if set(staleness.KEYS) <= set(header) and details_path(path.parent, path.stem).is_file():
            return _staleness(staleness.analyse(selection)), None
        if set(robustness.KEYS) <= set(header):
            return _robustness(robustness.analyse(selection)), None
        if set(openmp.KEYS) <= set(header) and details_path(path.parent, path.stem).is_file():
            return _openmp(openmp.analyse(selection)), None
        analysis = analyse(selection)
    except InputError:
        raise
    except UserError as error:
        return f'<p class="note">No figure: {escape(str(error))}</p>', str(error)
    return _study(analysis), None


def _attack_benchmark(path: Path) -> tuple[str, str | None]:
    try:
        found = attack_benchmark.analyse(path)
    except InputError:
        raise
    except UserError as error:
        return f'<p class="note">No figure: {escape(str(error))}</p>', str(error)
    text = escape(attack_benchmark.describe(found))
    figures = [_inline(svg, name) for name, svg in attack_benchmark_files.svgs(found).items()]
    return "\n".join((*figures, f'<pre class="wide">{text}</pre>')), None


def _roofline(path: Path) -> tuple[str, str | None]:
    try:
        study = roofline.analyse(path, roofline_roofs.load(path))
    except InputError:
        raise
    except UserError as error:
        return f'<p class="note">No figure: {escape(str(error))}</p>', str(error)
    figure = roofline_figure.svg(study, (), roofline_claims.load(path))
    text = escape(roofline_text.describe(study))
    return f'{_inline(figure, path.stem)}<pre class="wide">{text}</pre>', None


def _openmp(found: openmp.OpenMP) -> str:
    selection = found.selection
    study = openmp_attack.study(reference.find(selection.path, None))
    drawn = openmp_figure.svgs(found, study).items()
    return "\n".join(
        (
            *(_inline(svg, f"{selection.study}-{part}") for part, svg in drawn),
            f'<pre class="wide">{escape(openmp_text.describe(found, study))}</pre>',
            _environment(selection),
        )
    )


def _gallery(path: Path) -> str:
    figures = gallery.svgs(gallery.load(path))
    return "\n".join(_inline(svg, name) for name, svg in figures.items())


def _robustness(study: robustness.Robustness) -> str:
    selection = study.selection
    return "\n".join(
        (
            _inline(robustness_figure.svg(study), selection.study),
            f'<pre class="wide">{escape(robustness_text.describe(study))}</pre>',
            _environment(selection),
        )
    )


def _staleness(study: staleness.Staleness) -> str:
    selection = study.selection
    return "\n".join(
        (
            _inline(staleness_figure.svg(study), selection.study),
            f'<pre class="wide">{escape(staleness.describe(study))}</pre>',
            _environment(selection),
        )
    )


def _study(analysis: Analysis) -> str:
    selection = analysis.selection
    notes = [f"{gone.count} rows left out: {gone.reason}" for gone in selection.left_out]
    parts = [
        _inline(scaling_figure.svg(analysis), selection.study),
        _list((f"{analysis.kind} scaling, {len(selection.rows)} of {selection.total} rows", *notes,
               *analysis.notes)),
    ]  # fmt: skip
    for panel in analysis.panels:
        parts.append(f"<h3>{escape(panel_name(panel) or 'Points')}</h3>")
        parts.append(_table(POINT_HEADER, point_cells(panel.points)))
        if panel.fits:
            parts.append(_table(FIT_HEADER, fit_cells(panel.fits)))
        parts.append(_list(panel.notes))
    return "\n".join((*parts, _environment(selection)))


def _environment(selection: Selection) -> str:
    """What is known of the machine that a figure's rows were measured on."""
    known = provenance.load(selection.path).get(selection.environment)
    heading = f"<h3>Environment {escape(selection.environment)}</h3>"
    if not known:
        return heading + '<p class="note">Not recorded.</p>'
    summary = provenance.machine({selection.environment: known}, selection.environment)
    table = _table(("key", "value"), provenance.flat(known))
    return f"{heading}<details><summary>{escape(summary)}</summary>{table}</details>"


def _inline(svg: str, study: str) -> str:
    """An SVG element for use inside HTML; the prefix keeps identifiers of figures apart."""
    element = svg[svg.index("<svg") :]
    return re.sub(r'(id="|href="#|url\(#)', lambda found: f"{found[1]}{study}-", element)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{escape(cell)}</th>" for cell in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    table = f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    return f'<div class="wide">{table}</div>'


def _more(count: int) -> str:
    hidden = count - SHOWN_ROWS
    return f'<p class="note">{hidden} further rows in the file.</p>' if hidden > 0 else ""


def _list(items: Iterable[str]) -> str:
    inner = "".join(f"<li>{escape(item)}</li>" for item in items)
    return f'<ul class="note">{inner}</ul>' if inner else ""
