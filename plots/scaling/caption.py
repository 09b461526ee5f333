"""What a scaling figure says in words: titles, results of fits, and the caption."""

from __future__ import annotations

from harness.tables.statistics import CONFIDENCE
from plots.scaling import at_one_p
from plots.scaling.fits import Fit, above_best
from plots.scaling.laws import AMDAHL, GUSTAFSON
from plots.scaling.table import Analysis, Panel
from plots.scaling.text import parameters_in_words, quantity
from plots.shared import noise, provenance, style
from plots.shared.facets import DEFINITIONS, constants, in_words

PREFERRED = {"amdahl+communication": "Amdahl + communication", "power": "a power of p"}
NOTE_CHARACTERS = 52
CLEARLY_WORSE = 2.0  # in AICc (Burnham and Anderson 2002, section 2.6)

#: Those that are drawn; their alternatives stand in the table.
LAWS = (AMDAHL, GUSTAFSON)


def fit_words(panel: Panel) -> str:
    """The fitted parameters, for a corner of the panel."""
    lines: list[str] = []
    above = above_best(panel.fits)
    several = len({fit.source for fit in panel.fits}) > 1
    for fit in panel.fits:
        if fit.model not in LAWS:
            continue
        name = style.plain(fit.series) + (f" ({fit.source})" if several else "")
        if fit.estimates:
            found = f"{fit.model.name.capitalize()} {parameters_in_words(fit)}"
            short = len(name) + len(found) < NOTE_CHARACTERS
            lines += [f"{name}: {found}"] if short else [f"{name}:", f"   {found}"]
            if above.get(fit, 0.0) > CLEARLY_WORSE:
                best = min((f for f in above if f.data == fit.data), key=lambda f: above[f])
                lines.append(f"   (AICc prefers {PREFERRED.get(best.model.name, best.model.name)})")
    return "\n".join(lines)


def title(panel: Panel, metric: str = "") -> str:
    """Definition, configuration and T_1 in seconds; of throughput scaling the rate R_1."""
    definition = DEFINITIONS.get(panel.facet.definition or "", "")
    if definition and panel.points[0].cell.size is None:
        definition = "classical weak scaling: a problem p times as large"
    return ";  ".join(filter(None, (definition, panel.facet.name, _t1(panel, metric))))


def _t1(panel: Panel, metric: str) -> str:
    cells = panel.baselines
    unit = style.plain(metric) if metric else "s"
    times = [f"{quantity(cell.seconds.median, metric)} {unit}" for cell in cells]
    if cells[0].size is not None and len(cells) > 1:
        return f"T₁ = {times[0]} (size {cells[0].size}) to {times[-1]} (size {cells[-1].size})"
    by_source = len({cell.source for cell in cells}) > 1
    names = [cell.source if by_source else style.plain(cell.series) for cell in cells]
    return ("R₁ = " if metric else "T₁ = ") + ", ".join(
        f"{t} ({name})" for t, name in zip(times, names, strict=True)
    )


def caption(analysis: Analysis) -> str:
    """Machine, problem, launches per point, meaning of the bars, and all notes."""
    selection = analysis.selection
    environments = provenance.load(selection.path)
    counts = sorted({p.cell.seconds.n for panel in analysis.panels for p in panel.points})
    launches = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    drawn = [p for panel in analysis.panels for p in panel.drawn if p.cell is not p.baseline]
    series = {point.cell.series for point in drawn}
    curves = any(panel.curves for panel in analysis.panels)
    level = f"{100 * CONFIDENCE:g} %"
    if all(point.low is None for point in drawn):
        bars = f"n too small for a {level} interval"
    else:
        bands = any(fit.draws is not None for panel in analysis.panels for fit in shown_fits(panel))
        bars = f"bars{' and bands' if bands else ''}: {level} bootstrap intervals over launches"
        if pairs := sorted({point.pairs for point in drawn if point.pairs}):
            number = f"{pairs[0]}" if len(pairs) == 1 else f"{pairs[0]} to {pairs[-1]}"
            bars = f"bars: {level} intervals of the ratio within rounds, {number} per point"
            if any(point.low is not None and not point.pairs for point in drawn):
                bars += "; where launches are of no rounds, bootstrap intervals"
            bars += "; bands: bootstrap over launches" if bands else ""
        if any(point.low is None for point in drawn):
            bars += " (none where n too small)"
    parts = [
        f"throughput: {style.plain(analysis.metric)}; T is what a unit of it costs"
        if analysis.metric else "",
        provenance.machine(environments, selection.environment),
        ", ".join(in_words(name, value) for name, value in constants(
            selection, [panel.facet for panel in analysis.panels])),
        f"medians over launches, {launches} per point; {bars}",
        "points at the same p stand side by side"
        if len(series) > 1 and not all(map(at_one_p.only, analysis.panels)) else "",
        "bounds count no communication and no waiting" if curves else "",
        noise.disturbed(selection.rows),
        *dict.fromkeys((*analysis.notes, *(n for panel in analysis.panels for n in panel.notes))),
        *_refusals(analysis),
    ]  # fmt: skip
    return ". ".join(part[0].upper() + part[1:] for part in parts if part) + "."


def _refusals(analysis: Analysis) -> list[str]:
    """Reasons against a law's fit, each with those that it holds for; where one overlaps, none."""
    reasons: dict[str, dict[str, None]] = {}
    fits = [fit for panel in analysis.panels for fit in panel.fits if fit.model in LAWS]
    several = len({fit.source for fit in fits}) > 1
    for fit in fits:
        if fit.refusal and not fit.refusal.startswith("not fitted"):
            source = f" ({fit.source})" if several else ""
            reasons.setdefault(fit.refusal, {})[f"{style.plain(fit.series)}{source}"] = None
    return [f"{', '.join(names)}: {reason}" for reason, names in reasons.items()]


def shown_fits(panel: Panel) -> list[Fit]:
    """The law itself is drawn; its alternatives stand in the table."""
    return [fit for fit in panel.fits if fit.estimates and fit.model in LAWS]
