"""One machine's panel of the roofline: its ceilings, the kernels under them, their names."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator

from plots.roofline.names import SIZE, Name, write
from plots.roofline.points import BYTES_SOURCES, Point
from plots.roofline.roofs import LEVELS, Roofs
from plots.roofline.table import Panel, Placed
from plots.shared import style

#: Colours of roofs and of what is compared with them; shapes of what tells the bytes.
COLOURS = {"L1": "#009E73", "L2": "#0072B2", "L3": "#CC79A7", "L4": "#E69F00", "DRAM": "#D55E00"}
SHAPES = {"likwid": "s", "cachesim": "o", "compulsory": "D"}
_CEILING_SIZE = SIZE + 0.4  # points
_SHORT = (("_forward", " fwd"), ("_backward_input", " bwd x"), ("_backward_weights", " bwd w"),
          ("_backward", " bwd"), ("_", " "))  # fmt: skip


def short(kernel: str) -> str:
    """A kernel's name as it stands in the figure."""
    for long, brief in _SHORT:
        kernel = kernel.replace(long, brief)
    return kernel


def rate(value: float) -> str:
    """GFLOP/s or GB/s on a ceiling."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def draw(
    figure: Figure, axis: Axes, panel: Panel, chosen: Mapping[str, str],
    claims: Mapping[str, float],
) -> None:  # fmt: skip
    """Draw a panel.

    Args:
        figure: where.
        axis: one of its axes.
        panel: what.
        chosen: the variant of each kernel that is drawn.
        claims: intensities that the original study claims, by name.
    """
    ways, shown = {}, {}
    for kernel, variant in chosen.items():
        if points := panel.of(kernel, variant):
            ways[kernel] = _trajectory(panel, points)
            shown[kernel] = panel.shown(points)
    _limits(axis, panel.roofs, [*shown.values(), *(p for way in ways.values() for p in way)])
    figure.canvas.draw()  # axes know their pixels
    texts = _draw_roofs(axis, panel.roofs)
    for way in ways.values():
        axis.plot([_outer(p) for p in way], [p.gflops for p in way], color="#999999", lw=0.5,
                  zorder=2)  # fmt: skip
        for p in way[:1]:
            axis.plot([_outer(p)], [p.gflops], ".", color="#999999", ms=2.5, zorder=2)
    names = list[Name]()
    for kernel, placed in shown.items():
        _draw_levels(axis, placed)
        names.append(Name(_outer(placed), placed.gflops, short(kernel), style.BLACK))
    for name, intensity in claims.items():
        at = _draw_claim(axis, panel.roofs, intensity)
        names.append(Name(*at, f"study: {name}", style.GREY))
    marks = [(value, p.gflops) for p in shown.values() for value in p.intensities.values()]
    write(figure, axis, names, marks, texts)
    what = "measured" if panel.measured else "bounds, nothing measured"
    cores = f"{panel.roofs.cores} core{'' if panel.roofs.cores == 1 else 's'}"
    axis.set_title(f"{panel.roofs.title}, {cores}: {what}; roofs {panel.roofs.source}",
                   loc="left", pad=4)  # fmt: skip
    axis.set_xlabel("arithmetic intensity at a level of memory [FLOP per byte]", labelpad=1)
    axis.set_ylabel("GFLOP/s")


def _limits(axis: Axes, roofs: Roofs, placed: Sequence[Placed]) -> None:
    axis.set_xscale("log")
    axis.set_yscale("log")
    intensities = [value for p in placed for value in p.intensities.values()]
    low, high = min(intensities, default=0.1), max(intensities, default=100.0)
    top = max([roofs.peak, *roofs.others.values(), *(p.gflops for p in placed)])
    bottom = min([top / 1e3, *(p.gflops / 2 for p in placed)])
    ridge = roofs.peak / min(roofs.bandwidth.values())
    # Room for the names of the ceilings on the left, and for names of kernels above.
    knee = roofs.peak / max(roofs.bandwidth.values())
    axis.set_xlim(min(low / 3, knee / 200), max(high * 2.5, ridge * 3))
    axis.set_ylim(bottom, top * 3.5)
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ticks.set_minor_locator(LogLocator(subs=()))


def _draw_roofs(axis: Axes, roofs: Roofs) -> list[Text]:
    """Lines with their names on them; the names."""
    texts = []
    left, right = axis.get_xlim()
    bottom = axis.get_ylim()[0]
    for level, value in roofs.bandwidth.items():
        start, ridge = max(left, bottom / value), roofs.peak / value
        axis.plot([left, ridge], [left * value, roofs.peak], color=COLOURS[level], lw=1.1, zorder=1)
        here = start * 1.12
        first = axis.transData.transform((start, start * value))
        last = axis.transData.transform((ridge, roofs.peak))
        angle = math.degrees(math.atan2(last[1] - first[1], last[0] - first[0]))
        texts.append(axis.text(
            here, here * value, f"{level} {rate(value)} GB/s", color=COLOURS[level], rotation=angle,
            rotation_mode="anchor", va="bottom", ha="left", fontsize=_CEILING_SIZE, zorder=4,
        ))  # fmt: skip
    knee = roofs.peak / max(roofs.bandwidth.values())
    axis.plot([knee, right], [roofs.peak] * 2, color=style.BLACK, lw=1.1, zorder=1)
    named = {roofs.peak_name: roofs.peak, **roofs.others}
    for value in named.values():
        if value != roofs.peak:
            knee = value / max(roofs.bandwidth.values())
            axis.plot([knee, right], [value] * 2, color=style.BLACK, lw=0.6, ls=(0, (4, 2)),
                      zorder=1)  # fmt: skip
    return texts + _name_ceilings(axis, roofs, named)


def _name_ceilings(axis: Axes, roofs: Roofs, named: Mapping[str, float]) -> list[Text]:
    """Their names on the left of where they begin, above all roofs, where no kernel can be."""
    texts, below = list[Text](), -math.inf
    step = 1.25 * (_CEILING_SIZE) / 72 * axis.get_figure().dpi  # type: ignore[union-attr]
    fastest = max(roofs.bandwidth.values())
    for name, value in sorted(named.items(), key=lambda item: item[1]):
        x, y = axis.transData.transform((value / fastest, value))
        below = max(y, below + step)
        texts.append(axis.annotate(
            f"{name}, {rate(value)} GFLOP/s", (value / fastest, value), (x - 0.35 * step, below),
            textcoords="figure pixels", ha="right", va="center", fontsize=_CEILING_SIZE,
            zorder=4,
        ))  # fmt: skip
    return texts


def _draw_levels(axis: Axes, placed: Placed) -> None:
    """The markers of a point, one a level, filled if its performance was measured."""
    levels = [level for level in LEVELS if level in placed.intensities]
    values = [placed.intensities[level] for level in levels]
    axis.plot([min(values), max(values)], [placed.gflops] * 2, color="#555555", lw=0.5, zorder=2)
    for level, value in zip(levels, values, strict=True):
        axis.plot(
            [value], [placed.gflops], SHAPES[placed.bytes_source], ms=4.0, mew=0.8, zorder=3,
            mec=COLOURS[level], mfc=COLOURS[level] if placed.measured else "white",
        )  # fmt: skip


def _draw_claim(axis: Axes, roofs: Roofs, intensity: float) -> tuple[float, float]:
    """A claimed intensity, under the DRAM roof that it was compared with; where it stands."""
    height = min(roofs.peak, intensity * roofs.bandwidth["DRAM"])
    axis.plot([intensity] * 2, [axis.get_ylim()[0], height], color=style.GREY, lw=0.5,
              ls=(0, (1, 2)), zorder=1)  # fmt: skip
    axis.plot([intensity], [height], "x", color=style.GREY, ms=4, mew=0.9, zorder=3)
    return intensity, height


def _trajectory(panel: Panel, points: Sequence[Point]) -> list[Placed]:
    """A kernel from small batches to large, by the one source that most of them have."""
    counts = {name: sum(name in p.traffic for p in points) for name in BYTES_SOURCES}
    source = max(BYTES_SOURCES, key=lambda name: counts[name])
    return [panel.place(point, source) for point in points if source in point.traffic]


def _outer(placed: Placed) -> float:
    """Intensity at the level farthest from the core."""
    return next(placed.intensities[level] for level in reversed(LEVELS)
                if level in placed.intensities)  # fmt: skip
