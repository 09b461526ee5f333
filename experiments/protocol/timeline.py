"""Draw the timeline of a short run: who generates, updates, sends, receives and waits, and when."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Patch

#: Colours of the phases, after Okabe and Ito.
COLOURS = {
    "generate": "#56B4E9",
    "update": "#D55E00",
    "send": "#009E73",
    "receive": "#CC79A7",
    "wait": "#E8E8E8",
}


def draw(traces: dict[str, Path], path: Path) -> None:
    """Draw Chrome traces, one panel each over a common axis, to a PNG.

    Args:
        traces: files as `sparring.Trainer.fit(timeline=...)` writes them, by title.
        path: the PNG.
    """
    documents = {title: json.loads(trace.read_text("utf-8")) for title, trace in traces.items()}
    seconds = max(
        (event["ts"] + event["dur"]) / 1e6
        for document in documents.values()
        for event in document["traceEvents"]
        if event["ph"] == "X"
    )
    figure = Figure(figsize=(7.2, 0.35 + 1.35 * len(traces)), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(len(traces), 1, squeeze=False)[:, 0]
    for axis, (title, document) in zip(axes, documents.items(), strict=True):
        events = document["traceEvents"]
        names = {e["tid"]: e["args"]["name"] for e in events if e["ph"] == "M"}
        for event in (e for e in events if e["ph"] == "X"):
            _draw_span(axis, event)
        axis.set_yticks(sorted(names))
        axis.set_yticklabels([names[rank] for rank in sorted(names)], fontsize=7)
        axis.set_ylim(max(names) + 0.5, -0.5)
        axis.set_xlim(0, 1.01 * seconds)
        axis.tick_params(axis="x", labelsize=7)
        axis.set_title(title, loc="left", fontsize=8)
    axes[-1].set_xlabel("seconds", fontsize=7.5)
    handles = [Patch(facecolor=colour, label=phase) for phase, colour in COLOURS.items()]
    figure.legend(handles=handles, ncols=len(handles), loc="outside lower center", fontsize=7,
                  frameon=False)  # fmt: skip
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=200)


def _draw_span(axis: Any, event: dict[str, Any]) -> None:
    begin, length = event["ts"] / 1e6, event["dur"] / 1e6
    axis.broken_barh(
        [(begin, length)], (event["tid"] - 0.38, 0.76), facecolor=COLOURS[event["name"]], lw=0
    )
    if event["name"] == "generate" and length > 0.05 and "batch" in event["args"]:
        axis.text(begin + length / 2, event["tid"], str(event["args"]["batch"]), fontsize=5.5,
                  ha="center", va="center", clip_on=True)  # fmt: skip
