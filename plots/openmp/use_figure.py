"""Input gradients by every way, and attacks by threads and processes."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from plots.openmp import attack as openmp_attack
from plots.openmp.attack import Layout, Study
from plots.openmp.chain_figure import plain_logarithm
from plots.openmp.gradient import Gradient, gradients
from plots.openmp.table import NAMES, OpenMP
from plots.shared import layout, provenance, style

#: Marks by number of threads, in order.
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
_BACKENDS = {"torch": "PyTorch", "fused": "fused engine"}


def caption_of_gradients(found: OpenMP) -> str:
    """What was timed, and what the marks mean."""
    return (
        f"{_machine(found)} Input gradient of the study's network and loss, forward pass included. "
        "Full: time of use; hollow: time to build the matrices, once for given weights (masked "
        "Jacobians: once for every image and step, and their use begins behind the forward pass). "
        "Bars: 95 % intervals over launches."
    )


def draw_gradients(found: OpenMP, width: float = style.TWO) -> Figure:
    """A panel for each batch size."""
    sizes = gradients(found.of("gradient"))
    figure, (axes,) = layout.panels(width, 1, len(sizes), 2.4)
    for axis, (size, ways) in zip(axes, sizes.items(), strict=True):
        _gradients(axis, ways, labelled=axis.get_subplotspec().is_first_col())
        axis.set_title(f"batch size {size}", loc="left", pad=4)
    handles = dict(zip(*reversed(figure.axes[0].get_legend_handles_labels()), strict=True))
    return layout.finish(figure, [*handles.values()])


def _gradients(axis: Axes, ways: Sequence[Gradient], labelled: bool) -> None:
    methods = [name for name in NAMES if name in _GRADIENTS][::-1]
    counts = sorted({way.threads for way in ways})
    for way in ways:
        rank = counts.index(way.threads)
        y = methods.index(way.method) + 0.18 * ((len(counts) - 1) / 2 - rank)
        colour, mark = _GRADIENTS[way.method], MARKS[rank % len(MARKS)]
        label = f"{way.threads} thread{'s' if way.threads > 1 else ''}"
        seconds = way.seconds
        axis.plot(1000 * seconds.median, y, marker=mark, ms=4, color=colour, ls="")
        axis.plot([], [], marker=mark, ms=4, color="#444444", ls="", label=label)
        if seconds.low is not None and seconds.high is not None:
            axis.hlines(y, 1000 * seconds.low, 1000 * seconds.high, color=colour, lw=0.9)
        if way.building is not None:
            axis.plot(1000 * way.building.median, y, marker=mark, ms=4, color=colour, ls="",
                      fillstyle="none")  # fmt: skip
    axis.plot([], [], marker="o", ms=4, color="#444444", ls="", fillstyle="none",
              label="building")  # fmt: skip
    axis.set_xscale("log")
    plain_logarithm(axis, "x")
    axis.set_yticks(range(len(methods)), [NAMES[m] for m in methods] if labelled else [])
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(-0.6, len(methods) - 0.4)
    axis.set_xlabel("milliseconds")
    axis.grid(True, axis="x", color="#e6e6e6", lw=0.5)
    axis.set_axisbelow(True)


_GRADIENTS = {
    "autograd": "#000000", "fused": "#0072B2", "toeplitz_sparse": "#009E73",
    "toeplitz_dense": "#D55E00", "explicit": "#CC79A7",
}  # fmt: skip


def caption_of_attacks(found: OpenMP, study: Study | None) -> str:
    """What was timed, and what the marks mean."""
    first = found.of("attack")[0]
    size, steps = int(first["batch_size"]), int(first["adversary_steps"])
    told = (
        f" Grey: the original study's training on {study.cores} cores, 32 steps (star: threads of "
        "one process; circle: processes of one thread)."
        if study
        else ""
    )
    return (
        f"{_machine(found)} The study's attack, {steps} steps; every process attacks a minibatch "
        f"of {size} images of its own with so many intra-op threads. Speed-up: image-steps a "
        "second over those of one process with one thread. Bars: 95 % bootstrap over "
        f"launches.{told}"
    )


def draw_attacks(found: OpenMP, study: Study | None, width: float = style.TWO) -> Figure:
    """A panel for each backend: speed-up over cores."""
    backends = openmp_attack.layouts(found.of("attack"))
    figure, (axes,) = layout.panels(width, 1, len(backends), 2.9)
    ordered = sorted(backends, key=lambda name: list(_BACKENDS).index(name))
    for axis, name in zip(axes, ordered, strict=True):
        _attacks(axis, backends[name], study)
        rates = [one.rate.median for one in backends[name] if one.cores == 1]
        base = f", 1 core: {rates[0]:,.0f} image-steps/s" if rates else ""
        axis.set_title(f"{_BACKENDS[name]}{base}", loc="left", pad=4)
    return layout.finish(figure)


def _attacks(axis: Axes, layouts: Sequence[Layout], study: Study | None) -> None:
    most = max([*(one.cores for one in layouts), study.cores if study else 1])
    axis.plot([1, most], [1, most], color="#999999", lw=0.7)
    groups = {
        "threads of one process": [x for x in layouts if x.processes == 1],
        "processes of one thread": [x for x in layouts if x.threads == 1],
        "both": [x for x in layouts if x.threads > 1 and x.processes > 1],
    }
    looks = (("#D55E00", "*", 7.0), ("#0072B2", "o", 4.0), ("#009E73", "D", 3.6))
    for number, ((name, own), (colour, mark, size)) in enumerate(
        zip(groups.items(), looks, strict=True)
    ):
        known = [(x, x.speedup) for x in own if x.speedup is not None]
        if not known:
            continue
        xs = [one.cores * 1.025 ** (number - 1) for one, _ in known]
        axis.plot(xs, [y for _, y in known], color=colour, marker=mark, ms=size, lw=0.9,
                  ls="" if name == "both" else "-", label=name)  # fmt: skip
        for x, (one, _) in zip(xs, known, strict=True):
            if one.low is not None and one.high is not None:
                axis.vlines(x, one.low, one.high, color=colour, lw=0.9)
    if study:
        for mark, value in (("*", study.threads), ("o", study.processes)):
            axis.plot(study.cores, value, marker=mark, ms=7 if mark == "*" else 4.5, ls="",
                      color="#888888", fillstyle="none")  # fmt: skip
    counts = [1]
    while counts[-1] < most:
        counts.append(2 * counts[-1])
    slower = [2.0**-n for n in range(6, 0, -1)]  # shown where anything is slower than one core
    for set_scale, part in ((axis.set_xscale, axis.xaxis), (axis.set_yscale, axis.yaxis)):
        set_scale("log", base=2)
        part.set_major_locator(FixedLocator([*slower, *counts]))
        part.set_minor_locator(NullLocator())
        part.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axis.set_xlabel("cores")
    axis.set_ylabel("speed-up")
    axis.grid(True, color="#e6e6e6", lw=0.5)
    axis.set_axisbelow(True)
    if axis.get_legend_handles_labels()[0]:
        axis.legend(frameon=False, loc="upper left")


def _machine(found: OpenMP) -> str:
    selection = found.selection
    return f"{provenance.machine(provenance.load(selection.path), selection.environment)}."
