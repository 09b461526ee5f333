"""The legend of a scaling figure."""

from __future__ import annotations

from typing import Any

from matplotlib.lines import Line2D

from plots.scaling import at_one_p
from plots.scaling.caption import shown_fits
from plots.scaling.table import Analysis
from plots.shared import style
from plots.shared.observations import SEQUENTIAL

#: Over the marker of a point that says less than it seems to.
LIMITED: Any = {"marker": "x", "color": "#444444", "ms": 7.5, "mew": 0.7}

#: What a bound takes parts of a minibatch to cost, by `Curve.timed`.
BOUND = {
    None: "bound from p = 1",
    True: "bound from p = 1, shards as timed alone",
    False: "bound: shards as fast as the whole batch",
}


def handles(analysis: Analysis, looks: dict[str, style.Look]) -> list[Line2D]:
    """Of the series, their bounds and fits, the ideal, and how points came to be."""
    panels, found = analysis.panels, list[Line2D]()
    drawn = [point for panel in panels for point in panel.drawn]
    sources = list(dict.fromkeys(point.cell.source for point in drawn))
    only = sources[0] if len(sources) == 1 else "measured"
    for name in dict.fromkeys(point.cell.series for point in drawn):
        label = f"{style.plain(name)}" + (f" ({only})" if len(sources) == 1 else "")
        if name == SEQUENTIAL:
            if not at_one_p.goes_on(analysis):  # then T_1 is no mark
                continue
            label = f"sequential ({'R₁' if analysis.metric else 'T₁'})"
        found.append(Line2D([], [], ls="", label=label, **style.mark(looks[name], only)))
    for curve in {curve.strategy: curve for panel in panels for curve in panel.curves}.values():
        name = curve.strategy
        label = f"{style.plain(name)}, {BOUND[curve.timed]}"
        found.append(Line2D([], [], color=looks[name].colour, ls=looks[name].dashes, label=label))
    for fit in {f.series: f for panel in panels for f in shown_fits(panel)}.values():
        label = f"{style.plain(fit.series)}, {fit.model.name.capitalize()} fit"
        found.append(Line2D([], [], color=looks[fit.series].colour, lw=1.0, label=label))
    found.append(Line2D([], [], color="#444444", lw=0.8, label="ideal"))
    if analysis.kind == "strong" and analysis.is_training:
        label = "claim of the study's slides: Amdahl, f = 1/32"
        found.append(Line2D([], [], color=style.GREY, lw=0.8, ls=":", label=label))
    if analysis.reference:
        found.append(Line2D([], [], ls="", color=style.GREY, marker="x", ms=4.5, mew=1.1,
                              label=_reference_label(analysis)))  # fmt: skip
    neutral = style.Look("#444444", "o", (0, (1, 1)))
    if len(sources) > 1:
        found += [
            Line2D([], [], ls="", label=style.SOURCE_MEANINGS[s], **style.mark(neutral, s))
            for s in sources
        ]
    if any(point.cell.limited for point in drawn):
        label = "limited by the emulation (messages take the CPU)"
        found.append(Line2D([], [], ls="", label=label, **LIMITED))
    return found


def _reference_label(analysis: Analysis) -> str:
    assert analysis.reference is not None
    steps = str(analysis.reference.steps)
    found = {str(row["adversary_steps"]) for row in analysis.selection.rows}
    extra = "" if found == {steps} else f", {steps} steps"
    return f"Tumma et al. 2022, m4.16xlarge{extra} (reference)"
