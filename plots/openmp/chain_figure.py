"""Chain products: speed-up over threads, and what the time at the most threads is made of."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, NullLocator

from plots.openmp.table import BETWEEN, NAMES, Chain, OpenMP, Way
from plots.shared import layout, provenance, style
from plots.shared.style import Look

PANEL = 1.6  # inches

LOOKS = {
    "sequential": Look("#000000", "s", (0, ())),
    "optimal": Look("#0072B2", "o", (0, (5, 1.5))),
    "multi_dot": Look("#56B4E9", "X", (0, (8, 2))),
    "blocks": Look("#D55E00", "^", (0, (4, 1.2, 1, 1.2))),
    "queue": Look("#009E73", "D", (0, (2, 1))),
    "python_blocks": Look("#CC79A7", "v", (0, (1, 1))),
}
#: What factors are of, where there is room to say it in one line, and where there is not.
UNIT = "core-seconds / those of left to right, 1 thread"
UNIT_LINES = "core-seconds\n(1: left to right,\n1 thread)"
#: Of the three factors: colour and marker.
FACTORS = {
    "work": ("#0072B2", "o", "more work"),
    "rate": ("#E69F00", "s", "slower products"),
    "parallel": ("#D55E00", "^", "worse parallelism"),
}


def draw(found: OpenMP, width: float = style.TWO) -> Figure:
    """A row of two panels for each chain; in one column, those of a kind in rows of two."""
    narrow = layout.is_narrow(width)
    figure, speedups, factors = (_blocks if narrow else _beside)(width, len(found.chains))
    for chain, left, right in zip(found.chains, speedups, factors, strict=True):
        _speedups(left, chain)
        _factors(right, chain, apart=narrow)
    across = 2 if narrow else 1
    for axis in speedups[-across:]:
        axis.set_xlabel("threads")
    for axis in factors[-across:]:
        axis.set_xlabel(UNIT_LINES if narrow else UNIT)
    for axis in speedups[1::2] if narrow else ():
        axis.set_ylabel("")
    handles = {
        label: handle
        for axis in (*speedups, factors[0])
        for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)
    }
    return layout.finish(figure, [*handles.values()])


def _beside(width: float, count: int) -> tuple[Figure, list[Axes], list[Axes]]:
    """Both panels of a chain in one row."""
    figure, axes = layout.panels(width, count, 2, PANEL)
    return figure, [*axes[:, 0]], [*axes[:, 1]]


def _blocks(width: float, count: int) -> tuple[Figure, list[Axes], list[Axes]]:
    """Speed-ups above, factors below, each with margins of its own."""
    down = -(-count // 2)
    figure = layout.figure(width, 2 * down * PANEL)
    halves = figure.add_gridspec(2, 1)
    upper, lower = (
        [figure.add_subplot(grid[place // 2, place % 2]) for place in range(count)]
        for grid in (halves[0].subgridspec(down, 2), halves[1].subgridspec(down, 2))
    )
    return figure, upper, lower


def _speedups(axis: Axes, chain: Chain) -> None:
    counts = sorted({way.threads for way in chain.ways})
    axis.plot(counts, counts, color="#999999", lw=0.7, zorder=1)
    methods = list(dict.fromkeys(way.method for way in chain.ways))
    for number, method in enumerate(methods):
        look = LOOKS[method]
        # Beside each other: intervals would hide each other else.
        shift = 1.03 ** (number - (len(methods) - 1) / 2)
        own = [way for way in chain.ways if way.method == method]
        xs, ys = [way.threads * shift for way in own], [way.speedup.median for way in own]
        fill = "none" if method in BETWEEN else "full"
        axis.plot(xs, ys, color=look.colour, marker=look.marker, ms=3.6, ls=look.dashes, lw=0.9,
                  fillstyle=fill, label=NAMES[method])  # fmt: skip
        for x, way in zip(xs, own, strict=True):
            if way.speedup.low is not None and way.speedup.high is not None:
                axis.vlines(x, way.speedup.low, way.speedup.high, color=look.colour, lw=0.8)
    axis.set_xscale("log", base=2)
    axis.set_yscale("log")
    axis.xaxis.set_major_locator(FixedLocator(counts))
    axis.xaxis.set_minor_locator(NullLocator())
    axis.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    plain_logarithm(axis, "y")
    axis.set_xlim(counts[0] / 1.2, counts[-1] * 1.2)
    axis.set_ylabel("speed-up")
    base = chain.at(1)[0].seconds.median
    drawn = f", {chain.draws} draws" if chain.draws > 1 else ""
    axis.set_title(f"{chain.name}{drawn}; T₁ = {_time(base)}", loc="left", pad=3)
    _grid(axis)


def _factors(axis: Axes, chain: Chain, apart: bool = False) -> None:
    """What the time is made of; ``apart``: the chain's other panel is not beside this one."""
    ways = [way for way in chain.at(chain.threads) if way.rate and way.parallel]
    axis.axvline(1, color="#444444", lw=0.7, zorder=1)
    for place, way in enumerate(reversed(ways)):
        whole = chain.threads / way.speedup.median
        axis.barh(place, whole - 1, left=1, height=0.6, color="#dddddd", zorder=0)
        for number, (name, (colour, marker, label)) in enumerate(FACTORS.items()):
            summary = getattr(way, name)
            y = place + 0.2 * (1 - number)
            axis.plot(summary.median, y, marker=marker, ms=3.2, color=colour, ls="",
                      label=label if place == 0 else None)  # fmt: skip
            if summary.low is not None and summary.high is not None:
                axis.hlines(y, summary.low, summary.high, color=colour, lw=0.8)
    axis.set_xscale("log")
    plain_logarithm(axis, "x")
    axis.set_yticks(
        range(len(ways)), [NAMES[way.method] if apart else _label(way) for way in reversed(ways)]
    )
    axis.tick_params(axis="y", length=0)
    axis.set_ylim(-0.6, len(ways) - 0.4)
    plural = "" if chain.threads == 1 else "s"
    name = f"{chain.name}, " if apart else "with "
    axis.set_title(f"{name}{chain.threads} thread{plural}", loc="left", pad=3)
    _grid(axis)


def _label(way: Way) -> str:
    return f"{NAMES[way.method]} ({'between' if way.method in BETWEEN else 'inside'})"


def plain_logarithm(axis: Axes, which: str) -> None:
    """Ticks such as 0.5, 1, 2 and 10 instead of powers with exponents."""
    part = axis.xaxis if which == "x" else axis.yaxis
    low, high = sorted(axis.get_xlim() if which == "x" else axis.get_ylim())
    if high / low < 3:  # a decade has no tick inside so narrow a range
        middle = (low * high) ** 0.5
        low, high = min(low, middle / 1.75), max(high, middle * 1.75)
        (axis.set_xlim if which == "x" else axis.set_ylim)(low, high)
    narrow, wide = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0), (1.0,)
    within = (1.0, 2.0, 5.0) if high / low < 150 else wide
    part.set_major_locator(LogLocator(10, narrow if high / low < 5 else within))
    part.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    part.set_minor_locator(NullLocator())


def _grid(axis: Axes) -> None:
    axis.grid(True, color="#e6e6e6", lw=0.5)
    axis.set_axisbelow(True)


def _time(seconds: float) -> str:
    return f"{seconds:.3g} s" if seconds >= 1 else f"{1000 * seconds:.3g} ms"


def caption(found: OpenMP) -> str:
    """What was measured, and what the marks mean."""
    rows = found.selection.rows
    machine = provenance.machine(provenance.load(found.selection.path), found.selection.environment)
    launches = len({row["launch"] for chain in found.chains for row in chain.rows})
    return (
        f"{machine}. {launches} launches, {len({row['point'] for row in rows})} points of the "
        "study; float32. Speed-up: time of left to right on one thread over the way's time in the "
        "same round; grey line: threads. Hollow: one thread a product, threads between products; "
        "full: threads inside each. Grey bar: all core-seconds, the product of its three factors: "
        "FLOPs of the way's order; seconds per FLOP of that order on one thread; and core-seconds "
        "over those of the same order on one thread. Bars: 95 % intervals over launches. Where all "
        "matrices have one shape, every order is optimal."
    )
