"""The figure of the attack benchmark: image-steps per second over batch size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullFormatter, NullLocator

from plots.attack_benchmark.table import NAMES, Benchmark, Panel
from plots.shared import layout, style
from plots.shared.style import Look

PANEL = 2.3  # inches: height of a panel with its title

SOLID: style.Dashes = (0, ())
#: Ours are solid lines with filled markers, the others' are dashed.
LOOKS = {
    "fused": Look("#D55E00", "o", SOLID),
    "sparring": Look("#0072B2", "s", SOLID),
    "plain": Look("#000000", "x", (0, (1, 1))),
    "compile": Look("#CC79A7", "v", (0, (5, 1.5))),
    "torchattacks": Look("#009E73", "D", (0, (4, 1.2, 1, 1.2))),
    "foolbox": Look("#E69F00", "P", (0, (2, 1))),
    "art": Look("#56B4E9", "^", (0, (6, 1, 1, 1, 1, 1))),
}
UNKNOWN = Look(style.GREY, "*", (0, (3, 3)))


def draw(benchmark: Benchmark, width: float = style.TWO) -> Figure:
    """A row of panels for each number of threads, a column for each number of steps."""
    threads = sorted({panel.threads for panel in benchmark.panels})
    steps = sorted({panel.steps for panel in benchmark.panels})
    figure, axes = layout.panels(width, len(threads), len(steps), PANEL, sharex=True, sharey=True)
    sizes = sorted({cell.batch_size for panel in benchmark.panels for cell in panel.cells})
    panels = {(panel.threads, panel.steps): panel for panel in benchmark.panels}
    for row, own in zip(axes, threads, strict=True):
        for axis, count in zip(row, steps, strict=True):
            if panel := panels.get((own, count)):
                _draw_panel(panel, axis, sizes)
            else:
                axis.set_title("not measured", loc="left", pad=4)
    layout.outer(axes, "batch size [images]", "image-steps per second")
    return layout.finish(figure, [_handle(name) for name in benchmark.competitors], columns=8)


def _draw_panel(panel: Panel, axis: Axes, sizes: Sequence[int]) -> None:
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    measured = [cell for cell in panel.cells if cell.rate is not None]
    for name in reversed(list(dict.fromkeys(cell.competitor for cell in measured))):
        look = LOOKS.get(name, UNKNOWN)
        own = [cell for cell in measured if cell.competitor == name]
        points = [(cell.batch_size, cell.rate) for cell in own if cell.rate is not None]
        axis.plot(
            [size for size, _ in points], [rate.median for _, rate in points],
            **_strokes(look, name),
        )  # fmt: skip
        for size, rate in points:
            if rate.low is not None and rate.high is not None:
                axis.vlines(size, rate.low, rate.high, color=look.colour, lw=2.6, alpha=0.35)
    axis.xaxis.set_major_locator(FixedLocator(sizes))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.yaxis.set_major_locator(LogLocator(10, subs=(1, 2, 5)))
    axis.yaxis.set_minor_formatter(NullFormatter())
    axis.yaxis.set_major_formatter(FuncFormatter(lambda value, _: _thousands(value)))
    axis.grid(True, color="#e6e6e6", lw=0.5)
    axis.set_axisbelow(True)
    axis.set_title(panel.title, loc="left", pad=4)


def _strokes(look: Look, name: str) -> dict[str, Any]:
    ours = name in ("fused", "sparring")
    return {
        "color": look.colour, "marker": look.marker, "ls": look.dashes, "ms": 4.0,
        "lw": 1.6 if ours else 1.1, "markerfacecolor": look.colour if ours else "white",
        "markeredgecolor": look.colour, "markeredgewidth": 0.9,
    }  # fmt: skip


def _handle(name: str) -> Line2D:
    return Line2D([], [], label=NAMES.get(name, name), **_strokes(LOOKS.get(name, UNKNOWN), name))


def _thousands(value: float) -> str:
    if value >= 1e6:
        return f"{value / 1e6:g}M"
    return f"{value / 1e3:g}k" if value >= 1e3 else f"{value:g}"


def caption_of(benchmark: Benchmark, update: str = "") -> str:
    """What was measured how, and on what; ``update`` tells of the training, if there is any."""
    row = next(row for row in benchmark.rows if row["status"] == "ok")
    cores = int(row["cores"])
    cpu = " ".join(str(row["cpu"]).replace("(R)", "").replace("(TM)", "").split())
    versions = {
        str(r["competitor"]): str(r["version"]) for r in benchmark.rows if r["status"] == "ok"
    }
    libraries = [
        f"{NAMES[name]} {versions[name]}"
        for name in ("torchattacks", "foolbox", "art")
        if name in versions
    ]
    counts = [cell.rate.n for panel in benchmark.panels for cell in panel.cells if cell.rate]
    some = any(c.rate and c.rate.low is None for p in benchmark.panels for c in p.cells)
    trained = benchmark.weights == "trained"
    weights = ("trained on " if trained else "with its initial weights, images of ") + str(
        row["dataset"]
    )
    parts = (
        f"{cpu}, {cores} core{'s' if cores > 1 else ''}.",
        "PGD, L-infinity, epsilon 0.3, step 0.02, float32, "
        f"on network '{row['network']}' {weights}.",
        update,
        "Every competitor in a process of its own, in turns, in random order; what it finds was "
        "checked first.",
        f"Medians of {min(counts)} to {max(counts)} rounds."
        if min(counts) < max(counts) else f"Medians of {counts[0]} rounds.",
        "With 95 % intervals" + ("; none where n is too small." if some else "."),
        f"PyTorch {row['torch_version']}" + (f", {', '.join(libraries)}." if libraries else "."),
        f"Run {benchmark.run}.",
    )  # fmt: skip
    return " ".join(part for part in parts if part)
