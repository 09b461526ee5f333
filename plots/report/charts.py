"""Interactive figures: Vega-Lite specifications, and the program that draws them.

The program (Vega, Vega-Lite and Vega-Embed, BSD licences) comes whole from the package
vl-convert-python: nothing is loaded from a network, when the page is made or when it is read.
"""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup

from plots.shared import style
from plots.shared.chart import Chart

SHAPES = {
    "measured": "circle", "oversubscribed": "triangle-up", "emulated": "square",
    "simulated": "diamond", "predicted": "triangle-down", "reference": "cross",
}  # fmt: skip
HEIGHT = 320  # pixels
DIGITS = 5
NUMBER = ",~g"  # on the abscissa
MARGIN = 12  # pixels between the axes and the outermost marks
#: With so few places on the abscissa each has a tick.
FEW = 12
#: Names of less letters stand side by side in a legend.
SHORT = 20


def program() -> Markup:
    """JavaScript that defines ``vegaEmbed``."""
    return Markup(vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;"))


def specification(chart: Chart) -> Markup:
    """A chart as JSON that may stand in a script element."""
    drawn = _drawn(chart).to_dict()
    # Vega's own: legends stand below each other. Altair's schema has no name for it.
    drawn["config"]["legend"] = {"layout": {"bottom": {"anchor": "start", "direction": "vertical"}}}
    text = json.dumps(drawn, separators=(",", ":"), sort_keys=True)
    return Markup(text.replace("<", "\\u003c"))


def _drawn(chart: Chart) -> Any:
    values = [_rounded(asdict(value)) for value in chart.values]
    words = any(isinstance(value.x, str) for value in chart.values)
    panels = list(dict.fromkeys(value.panel for value in chart.values))
    series = list(dict.fromkeys(value.series for value in chart.values))
    sources = [s for s in SHAPES if any(value.source == s for value in chart.values)]
    places = sorted({float(value.x) for value in chart.values}) if not words else []
    x_scale = alt.Undefined if words else alt.Scale(type="log" if chart.x_log else "linear",
                                                   zero=False, padding=MARGIN)  # fmt: skip
    x: Any = (
        alt.X("x:N", title=chart.x_title, sort=None, axis=alt.Axis(labelAngle=-30))
        if words
        else alt.X(
            "x:Q",
            title=chart.x_title,
            scale=x_scale,
            axis=alt.Axis(format=NUMBER, values=places)
            if len(places) <= FEW
            else alt.Axis(format=NUMBER),
        )
    )
    y_scale = alt.Scale(type="log" if chart.y_log else "linear", zero=False)
    y = alt.Y("y:Q", title=chart.y_title, scale=y_scale)
    looks = style.looks(series)
    colour = alt.Color(
        "series:N", title=None, sort=series,
        scale=alt.Scale(domain=series, range=[looks[name].colour for name in series]),
        legend=alt.Legend(orient="bottom", labelLimit=300,
                          columns=2 if max(map(len, series)) < SHORT else 1),
    )  # fmt: skip
    shape = alt.Shape(
        "source:N", title=None,
        scale=alt.Scale(domain=sources, range=[SHAPES[s] for s in sources]),
        legend=alt.Legend(orient="bottom") if len(sources) > 1 else None,
    )  # fmt: skip
    tooltip = [
        alt.Tooltip("series:N", title="series"),
        alt.Tooltip("x:N" if words else "x:Q", title=chart.x_title),
        alt.Tooltip("y:Q", title=chart.y_title), alt.Tooltip("low:Q", title="from"),
        alt.Tooltip("high:Q", title="to"), alt.Tooltip("source:N", title="source"),
    ]  # fmt: skip
    base = alt.Chart(alt.InlineData(values=values))
    params = []
    if len(panels) > 1:
        chosen = alt.param(
            name="panel", value=panels[0],
            bind=alt.binding_select(options=panels, name=f"{chart.panel_title} "),
        )  # fmt: skip
        params.append(chosen)
        base = base.transform_filter("datum.panel == panel")
    if len(series) > 1:
        params.append(alt.param(
            name="chosen", value="all", bind=alt.binding_select(options=["all", *series],
                                                               name="series "),
        ))  # fmt: skip
        base = base.transform_filter("chosen == 'all' || datum.series == chosen")
    layers: list[Any] = []
    if chart.joined and not words:
        layers.append(base.mark_line(strokeWidth=1.2, opacity=0.7).encode(
            x=x, y=y, color=colour, detail="source:N"))  # fmt: skip
    if any(value.low is not None for value in chart.values):
        interval = base.transform_filter("isValid(datum.low) && isValid(datum.high)")
        layers.append(interval.mark_rule(strokeWidth=1.6).encode(
            x=x, y=alt.Y("low:Q", title=chart.y_title, scale=y_scale), y2="high:Q", color=colour,
        ))  # fmt: skip
    layers.append(base.mark_point(filled=True, size=55, opacity=1).encode(
        x=x, y=y, color=colour, shape=shape, tooltip=tooltip))  # fmt: skip
    return (
        alt.layer(*layers)
        .add_params(*params)
        .properties(width="container", height=HEIGHT)
        .configure(autosize=alt.AutoSizeParams(type="fit-x", contains="padding"))
    )


def _rounded(value: dict[str, Any]) -> dict[str, Any]:
    return {
        key: float(f"{cell:.{DIGITS}g}") if isinstance(cell, float) else cell
        for key, cell in value.items()
        if cell is not None
    }
