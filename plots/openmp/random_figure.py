"""Random chains: task queue against blocks, draw by draw, and every way's gain."""

from __future__ import annotations

from statistics import median

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.openmp import random as openmp_random
from plots.openmp.chain_figure import LOOKS, plain_logarithm
from plots.openmp.table import BETWEEN, NAMES, Chain, OpenMP, grouped, way_of
from plots.shared import layout, style


def kinds(found: OpenMP) -> list[Chain]:
    """The random chains that are drawn."""
    return [chain for chain in found.chains if chain.draws > 1 and chain.threads > 1]


def draw(found: OpenMP, width: float = style.TWO) -> Figure:
    """Two panels for each kind of random chains."""
    figure, axes = layout.panels(width, len(kinds(found)), 2, 2.8)
    for chain, (left, right) in zip(kinds(found), axes, strict=True):
        _against(left, chain)
        _gains(right, chain)
    return layout.finish(figure)


def caption(found: OpenMP) -> str:
    """What the draws tell, and what the marks mean."""
    told = " ".join(f"{c.name}: {openmp_random.describe(openmp_random.draws(c))}."
                    for c in kinds(found))  # fmt: skip
    return (
        f"{told} Queue against blocks: every draw, the task queue's time and FLOPs over the "
        "blocks' in the same round, bars: 95 % intervals over launches; on the diagonal the work "
        "explains the time, below 1 the queue wins. Speed-up: time of left to right on one thread "
        "over the way's, a mark for each draw (median over launches), the line their median."
    )


def _against(axis: Axes, chain: Chain) -> None:
    draws = openmp_random.draws(chain)
    for one in draws:
        x, y = one.work.median, one.time
        colour = "#009E73" if y.median < 1 else "#D55E00"
        if y.low is not None and y.high is not None:
            axis.vlines(x, y.low, y.high, color=colour, lw=0.8)
        axis.plot(x, y.median, marker="D" if y.median < 1 else "^", ms=4, color=colour, ls="")
    axis.axhline(1, color="#444444", lw=0.7)
    axis.axvline(1, color="#444444", lw=0.7)
    axis.set_xscale("log")
    axis.set_yscale("log")
    values = [v for one in draws for v in (one.work.median, one.time.median)]
    low, high = min(0.7, *values) / 1.1, max(1.4, *values) * 1.1
    axis.plot([low, high], [low, high], color="#999999", lw=0.7, ls=(0, (4, 2)))
    axis.set_xlim(low, high)
    axis.set_ylim(low, high)
    plain_logarithm(axis, "x")
    plain_logarithm(axis, "y")
    axis.set_xlabel("FLOPs, task queue / blocks")
    axis.set_ylabel("time, task queue / blocks")
    axis.set_title(f"{chain.name}, {chain.threads} threads", loc="left", pad=4)
    axis.text(0.97, 0.03, "queue wins", transform=axis.transAxes, ha="right", color="#009E73")
    axis.text(0.03, 0.95, "blocks win", transform=axis.transAxes, va="top", color="#D55E00")


def _gains(axis: Axes, chain: Chain) -> None:
    gains = _by_way(chain)
    ways = [way for way in gains if way != ("sequential", 1)][::-1]
    for place, (method, threads) in enumerate(ways):
        look, values = LOOKS[method], gains[method, threads]
        axis.plot(values, [place] * len(values), marker=look.marker, ms=3.4, ls="",
                  color=look.colour, fillstyle="none" if method in BETWEEN else "full",
                  markeredgewidth=0.7, alpha=0.7)  # fmt: skip
        axis.vlines(median(values), place - 0.33, place + 0.33, color="#000000", lw=1.1)
    axis.axvline(1, color="#444444", lw=0.7)
    axis.set_xscale("log")
    plain_logarithm(axis, "x")
    labels = [f"{NAMES[m]}, {t} thread{'s' if t > 1 else ''}" for m, t in ways]
    axis.set_yticks(range(len(ways)), labels)
    axis.tick_params(axis="y", length=0)
    axis.set_xlabel("speed-up over left to right, 1 thread")
    axis.grid(True, axis="x", color="#e6e6e6", lw=0.5)
    axis.set_axisbelow(True)


def _by_way(chain: Chain) -> dict[tuple[str, int], list[float]]:
    """Each draw's speed-up, median over launches, with one thread and with the most."""
    found: dict[tuple[str, int], list[float]] = {
        (way.method, way.threads): []
        for way in chain.ways
        if way.threads in (1, chain.threads)
    }  # fmt: skip
    for rows in grouped(chain.rows, lambda row: int(row["draw"])).values():
        ratios: dict[tuple[str, int], list[float]] = {}
        together = grouped(rows, lambda row: (row["launch"], row["repetition"], row["round"]))
        for members in together.values():
            times = {way_of(row): float(row["seconds"]) for row in members}
            for way, seconds in times.items():
                ratios.setdefault(way, []).append(times["sequential", 1] / seconds)
        for way in found:
            found[way].append(median(ratios[way]))
    return found
