"""The figure of training: milliseconds of an update and of an iteration, by competitor."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter

from plots.attack_benchmark.figure import LOOKS, UNKNOWN, caption_of
from plots.attack_benchmark.table import NAMES, Benchmark, Cell, Panel
from plots.shared import layout, style
from plots.shared.style import GREY

INTERVAL = "#555555"
BAR = 0.19  # inches from bar to bar
GAP = 0.34  # inches between two rows of panels: a title and an axis' numbers
#: Where in them times end and ratios begin, in points.
TIMES, RATIOS = 27, 33
LABEL_SIZE = 6.5  # points


def draw(benchmark: Benchmark, width: float = style.TWO) -> Figure:
    """A row of panels for each task and batch size, a column for each number of threads."""
    threads = sorted({panel.threads for panel in benchmark.panels})
    keys = list(
        dict.fromkeys(
            (panel.task, panel.steps, cell.batch_size)
            for panel in benchmark.panels
            for cell in panel.cells
        )
    )
    names = list(reversed(benchmark.competitors))
    panels = {(panel.task, panel.steps, panel.threads): panel for panel in benchmark.panels}
    figure, axes = layout.panels(
        width, len(keys), len(threads), BAR * len(names) + GAP,
        sharex=False if layout.is_narrow(width) else "row", sharey=True,
    )  # fmt: skip
    for own, (task, steps, batch_size) in zip(axes, keys, strict=True):
        for axis, count in zip(own, threads, strict=True):
            panel = panels.get((task, steps, count))
            _draw_panel(panel, axis, batch_size, names, 3 if layout.is_narrow(width) else 5)
            what = f"{task}, batch {batch_size}" + (f", {steps} steps" if steps else "")
            axis.set_title(f"{what}, {count} thread{'s' if count > 1 else ''}", loc="left", pad=3)
        for axis in own:
            axis.set_xlim(0, 1.03 * max(axis.dataLim.x1 for axis in own) or 1)
    against = NAMES.get(benchmark.base or "")
    layout.outer(axes, "time [ms]", "")
    for first in axes.ravel()[:1] if layout.is_narrow(width) else axes[0]:
        _beside(first, len(names) - 0.15, "ms", f"/ {against}" if against else "", GREY)
    return layout.finish(figure)


def caption(benchmark: Benchmark) -> str:
    """What was measured how, and on what."""
    return caption_of(benchmark, _update(benchmark))


def _draw_panel(
    panel: Panel | None, axis: Axes, batch_size: int, names: list[str], nbins: int
) -> None:
    cells = {
        cell.competitor: cell
        for cell in (panel.cells if panel else ())
        if cell.batch_size == batch_size
    }
    for place, name in enumerate(names):
        cell = cells.get(name)
        if cell is None or cell.seconds is None:
            axis.annotate("not measured", (0, place), (3, 0), textcoords="offset points",
                          va="center", fontsize=LABEL_SIZE, color=GREY)  # fmt: skip
            continue
        colour, seconds = LOOKS.get(name, UNKNOWN).colour, cell.seconds
        median = 1000 * seconds.median
        axis.barh(place, median, height=0.66, color=colour, alpha=0.85, lw=0)
        if seconds.low is not None and seconds.high is not None:
            axis.plot([1000 * seconds.low, 1000 * seconds.high], [place, place], color=INTERVAL,
                      lw=0.9, marker="|", ms=4, markeredgewidth=0.9)  # fmt: skip
        _beside(axis, place, _digits(median), _ratio(cell), "black")
    axis.set_ylim(-0.6, len(names) - 0.4)
    axis.set_yticks(range(len(names)), [NAMES.get(name, name) for name in names])
    axis.tick_params(axis="y", length=0)
    axis.tick_params(axis="x", pad=1.5, length=2)
    axis.locator_params(axis="x", nbins=nbins)
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,g}"))
    axis.grid(True, axis="x", color="#e6e6e6", lw=0.5)
    axis.set_axisbelow(True)


def _beside(axis: Axes, place: float, time: str, ratio: str, colour: str) -> None:
    """Two texts to the right of a panel."""
    for text, points, side in ((time, TIMES, "right"), (ratio, RATIOS, "left")):
        axis.annotate(text, (1, place), (points, 0), xycoords=axis.get_yaxis_transform(),
                      textcoords="offset points", ha=side, va="center", fontsize=LABEL_SIZE,
                      color=colour, annotation_clip=False)  # fmt: skip


def _ratio(cell: Cell) -> str:
    """Its time over the base's, with the interval; empty for the base itself."""
    ratio = cell.ratio
    if ratio is None or cell.rows == cell.base:
        return ""
    if ratio.low is None or ratio.high is None:
        return _digits(ratio.median)
    return f"{_digits(ratio.median)} ({_digits(ratio.low)} to {_digits(ratio.high)})"


def _digits(value: float) -> str:
    """Three digits, or all of those before the point."""
    return f"{value:,.0f}" if value >= 100 else f"{value:#.3g}".rstrip(".")


def _update(benchmark: Benchmark) -> str:
    """What the tasks are, and what labels mean."""
    against = NAMES.get(benchmark.base or "")
    return (
        "Update: gradients of all parameters on a batch, and a step of SGD (learning rate 0.01, "
        "momentum 0.5). Iteration: an attack, then an update on what it found."
        + (f" Ratios are to {against} in the same round." if against else "")
    )
