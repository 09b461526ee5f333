"""The figure of simulations: speed-up over processes by machine, and the study's epoch."""

from __future__ import annotations

from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, NullLocator

from plots.shared import layout, style
from plots.simulation.table import DEFINITIONS, Epochs, Panel, Simulations

ROW_HEIGHT = 2.5  # inches
#: The bound of a pipeline's seconds, in closed form.
CLOSED = "N max(u, g / (p - 1))"
#: Drawn over what the emulation itself slows down.
CROSS: dict[str, Any] = {
    "ls": "", "marker": "x", "color": "#444444", "ms": 7.0, "mew": 0.8, "zorder": 5,
}  # fmt: skip


def draw(study: Simulations, width: float = style.TWO) -> Figure:
    """A row of panels per machine, the study's epoch below, one legend."""
    machines = list(dict.fromkeys(panel.machine for panel in study.panels))
    rows = len(machines) + (study.epochs is not None)
    figure, axes = layout.panels(width, rows, 2, ROW_HEIGHT)
    names = list(dict.fromkeys(name for panel in study.panels for name in panel.series))
    looks = style.looks(names)
    for row, machine in zip(axes, machines, strict=False):
        for axis, definition in zip(row, DEFINITIONS, strict=True):
            found = [p for p in study.panels if (p.machine, p.definition) == (machine, definition)]
            if found:
                _draw_panel(axis, found[0], looks)
            else:
                axis.set_axis_off()
    if study.epochs is not None:
        _draw_epochs(axes[-1][0], study.epochs)
        _draw_errors(axes[-1][1], study.epochs)
    sources = [m.source for p in study.panels for marks in p.series.values() for m in marks]
    handles = [
        Line2D([], [], label=style.plain(name), ls=look.dashes, color=look.colour,
               **_marker(look, "simulated"))
        for name, look in looks.items()
    ]  # fmt: skip
    handles.append(Line2D([], [], color="#444444", lw=0.8, label="ideal"))
    neutral = style.Look("#444444", "o", (0, (1, 1)))
    handles += [
        Line2D([], [], ls="", label=style.SOURCE_MEANINGS[s], color="#444444",
               **_marker(neutral, s))
        for s in style.SOURCE_MEANINGS if s in {*sources}
    ]  # fmt: skip
    if any(m.limited for p in study.panels for marks in p.series.values() for m in marks):
        handles.append(Line2D([], [], label="limited by the emulation", **CROSS))
    return layout.finish(figure, handles)


def caption(study: Simulations) -> str:
    """What was simulated, and what stands beside it."""
    sources = {m.source for p in study.panels for marks in p.series.values() for m in marks}
    beside = [name for name in ("measured", "oversubscribed", "emulated") if name in sources]
    words = [
        "Simulated by a discrete-event model from phase times measured on one process: a described "
        "machine, and nothing measured on it.",
        f"Beside it, on the machine at hand: {' and '.join(beside)} points." if beside else "",
        "The study's epoch: its published seconds, and what the model gives from those on one "
        "process."
        if study.epochs is not None
        else "",
    ]
    return " ".join(filter(None, words))


def _draw_panel(axis: Axes, panel: Panel, looks: dict[str, style.Look]) -> None:
    largest = max(mark.processes for marks in panel.series.values() for mark in marks)
    axis.plot([1, largest], [1, largest], color="#444444", lw=0.8, zorder=1)
    for name, marks in panel.series.items():
        look = looks[name]
        simulated = [mark for mark in marks if mark.source == "simulated"]
        # Between two simulated points lies another that could be simulated.
        axis.plot([m.processes for m in simulated], [m.speedup for m in simulated],
                  color=look.colour, ls=look.dashes, lw=0.9, zorder=2)  # fmt: skip
        for mark in marks:
            front = 3 + (mark.source != "simulated")
            line = _marker(look, mark.source)
            axis.plot(mark.processes, mark.speedup, ls="", color=look.colour, zorder=front, **line)
            if mark.limited:
                axis.plot(mark.processes, mark.speedup, **CROSS)
    # A machine's name beside both would not fit.
    strong = panel.definition == "strong"
    whose = f"{panel.machine}: " if strong else ""
    axis.set_title(f"{whose}{DEFINITIONS[panel.definition]}", loc="left")
    _logarithmic(axis, largest)
    axis.set_xlabel("processes p")
    axis.set_ylabel("speed-up" if strong else "scaled speed-up")


def _logarithmic(axis: Axes, largest: int) -> None:
    for scale in (axis.set_xscale, axis.set_yscale):
        scale("log")
    ticks = [p for p in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 10000) if p <= largest]
    if len(ticks) > 7:
        ticks = [p for p in ticks if p in (1, 4, 16, 32, 128, 1024, 10000)]
    for side in (axis.xaxis, axis.yaxis):
        side.set_major_locator(FixedLocator(ticks))
        side.set_minor_locator(NullLocator())
        side.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axis.set_xlim(0.85, largest * 1.25)
    axis.set_ylim(0.7, largest * 1.25)
    axis.grid(True, color="#e6e6e6", lw=0.5)
    axis.set_axisbelow(True)


def _draw_epochs(axis: Axes, epochs: Epochs) -> None:
    pipeline = style.looks(["pipeline"])["pipeline"]
    axis.plot(list(epochs.closed), list(epochs.closed.values()), color=style.GREY, ls=":", lw=1.0,
              label=CLOSED)  # fmt: skip
    axis.plot(list(epochs.simulated), list(epochs.simulated.values()), ls="", color=pipeline.colour,
              label="simulated from the row p = 1", **_marker(pipeline, "simulated"))  # fmt: skip
    axis.plot(list(epochs.measured), list(epochs.measured.values()), ls="", color="black",
              marker="x", mew=1.1, ms=4.5, label="Tumma et al. 2022 (reference)")  # fmt: skip
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.xaxis.set_major_locator(FixedLocator(list(epochs.measured)))
    axis.set_xticklabels([str(p) for p in epochs.measured])
    axis.set_title("m4.16xlarge: the study's epoch", loc="left")
    axis.set_xlabel("processes p")
    axis.set_ylabel("seconds")
    axis.grid(True, color="#e6e6e6", lw=0.5)
    axis.legend(frameon=False)


def _draw_errors(axis: Axes, epochs: Epochs) -> None:
    pipeline = style.looks(["pipeline"])["pipeline"]
    shared = [p for p in epochs.measured if p in epochs.simulated]
    axis.axhspan(-10, 10, color="#f0f0f0", lw=0)
    axis.axhline(0, color="#444444", lw=0.8)
    for values, line in (
        (epochs.closed, {"color": style.GREY, "marker": ".", "ls": "", "label": CLOSED}),
        (epochs.simulated, {"color": pipeline.colour, "ls": "", "label": "simulated",
                            **_marker(pipeline, "simulated")}),
    ):  # fmt: skip
        errors = [(p, 100 * (values[p] / epochs.measured[p] - 1)) for p in shared if p in values]
        axis.plot(*zip(*errors, strict=True), **line)
    axis.set_xscale("log", base=2)
    axis.xaxis.set_major_locator(FixedLocator(shared))
    axis.set_xticklabels([str(p) for p in shared])
    axis.set_title("errors (grey band: 10 %)", loc="left")
    axis.set_xlabel("processes p")
    axis.set_ylabel("error, %")
    axis.grid(True, color="#e6e6e6", lw=0.5)
    axis.legend(frameon=False)


def _marker(look: style.Look, source: str) -> dict[str, Any]:
    return {
        "marker": look.marker, "markeredgecolor": look.colour, "mew": 0.9, "ms": 4.0,
        "fillstyle": style.FILLS.get(source, "full"), "markerfacecoloralt": "white",
        "markerfacecolor": look.colour,
    }  # fmt: skip
