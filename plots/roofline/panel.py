"""One machine's panel of the roofline: its ceilings, and numbered kernels under them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator

from plots.roofline.groups import backward, group
from plots.roofline.names import SIZE, Name, write
from plots.roofline.roofs import LEVELS, Roofs
from plots.roofline.table import Entry, Panel, Placed
from plots.shared import style

#: How a point came to be.
MARKS = {"measured": "o", "predicted": "D", "bound": "v"}
_CEILING_SIZE = SIZE
#: Of a panel's width, a letter of that size and a little more.
_LETTER = 0.019


def rate(value: float) -> str:
    """GFLOP/s or GB/s on a ceiling."""
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def draw(
    figure: Figure, axis: Axes, panel: Panel, numbers: Mapping[Entry, int],
    claims: Mapping[str, float], path: Entry | None, letter: str,
) -> None:  # fmt: skip
    """Draw a panel.

    Args:
        figure: where.
        axis: one of its axes.
        panel: what.
        numbers: of the kernels' variants that are drawn.
        claims: intensities that the original study claims, by name.
        path: whose way from small batches to large ones is drawn.
        letter: of the panel.
    """
    shown = {entry: panel.shown(points) for entry in numbers if (points := panel.of(*entry))}
    way = _trajectory(panel, path) if path in shown else []
    _limits(axis, panel, [*shown.values(), *way])
    figure.canvas.draw()  # axes know their pixels
    texts = _draw_roofs(figure, axis, panel.roofs, list(claims.values()))
    names = list[Name]()
    for text in _draw_way(axis, way):
        names.append(text)
    marks = list[tuple[float, float]]()
    for entry, placed in shown.items():
        marks += _draw_kernel(axis, panel, entry, placed)
        names.append(Name(*marks[-1], str(numbers[entry]), group(*entry).colour))
    for name, intensity in claims.items():
        names.append(Name(*_draw_claim(axis, panel.roofs, intensity), f"study: {name}", style.GREY))
    write(figure, axis, names, marks, texts)
    cores = f"{panel.roofs.cores} core{'' if panel.roofs.cores == 1 else 's'}"
    what = "measured" if panel.measured else "predicted" if panel.predicted else "bounds"
    axis.set_title(f"{letter}  {panel.roofs.title}, {cores}: {what}", loc="left", pad=4)
    axis.set_xlabel("FLOP per byte at the outermost level used", labelpad=1)
    axis.set_ylabel("GFLOP/s", labelpad=1)


def outer(placed: Placed) -> float:
    """Intensity at the level farthest from the core at which bytes move."""
    return next(placed.intensities[level] for level in reversed(LEVELS)
                if level in placed.intensities)  # fmt: skip


def _limits(axis: Axes, panel: Panel, placed: Sequence[Placed]) -> None:
    roofs = panel.roofs
    axis.set_xscale("log")
    axis.set_yscale("log")
    values = [value for p in placed for value in (outer(p), min(p.intensities.values()))]
    low, high = min(values, default=0.1), max(values, default=100.0)
    heights = [value for p in placed for value in (p.gflops, panel.prediction(p.point)) if value]
    top = max([roofs.peak, *roofs.others.values(), *heights])
    bottom = min([top / 300, *(0.6 * height for height in heights)])
    ridge = roofs.peak / min(roofs.bandwidth.values())
    left, right = math.log(low / 2), math.log(max(high * 2, ridge * 3))
    # Room for the names of the ceilings, which end at their knees: each takes a part of the width.
    for name, value in (roofs.peak_name, roofs.peak), *roofs.others.items():
        part = _LETTER * len(_label(name, value))
        knee = math.log(value / max(roofs.bandwidth.values()))
        left = min(left, (knee - part * right) / (1 - part))
    axis.set_xlim(math.exp(left), math.exp(right))
    axis.set_ylim(bottom, top * 2.2)
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ticks.set_minor_locator(LogLocator(subs=()))


def _draw_roofs(figure: Figure, axis: Axes, roofs: Roofs, claims: Sequence[float]) -> list[Text]:
    """Lines with their names on them; the names. Main memory's is the one of the markers.

    Its name stands above the ``claims`` that lie on it.
    """
    texts = []
    left, right = axis.get_xlim()
    bottom = axis.get_ylim()[0]
    origin, one = axis.transData.transform([(1.0, 1.0), (math.e, math.e)])
    angle = math.atan2(one[1] - origin[1], one[0] - origin[0])
    across, up = (one - origin) / (figure.dpi / 72)  # points for a factor of e
    apart = up * math.cos(angle)
    for level, value in roofs.bandwidth.items():
        axis.plot(
            [left, roofs.peak / value], [left * value, roofs.peak], color=_roof_colour(level),
            lw=1.1 if level == "DRAM" else 0.7, zorder=1,
        )  # fmt: skip
    for crowd in crowds(roofs.bandwidth, apart):
        steepest = crowd[0][1]
        name = "\n".join(f"{level} {rate(value)} GB/s" for level, value in crowd)
        lines = 1.4 * _CEILING_SIZE * len(crowd) * math.sin(angle)  # they go to the left
        here = max(left * math.exp(lines / across), 1.5 * bottom / steepest)
        if crowd[-1][0] == "DRAM":
            long = math.exp(0.7 * _CEILING_SIZE * len(name) / math.hypot(across, up))
            for claim in sorted(claims):
                if here / 1.3 < claim < here * long * 1.3:
                    here = 1.4 * claim
        texts.append(axis.text(
            here, here * steepest, name,
            color=_roof_colour(crowd[-1][0]), rotation=math.degrees(angle), rotation_mode="anchor",
            va="bottom", ha="left", fontsize=_CEILING_SIZE, zorder=4,
        ))  # fmt: skip
    named, fastest = {roofs.peak_name: roofs.peak, **roofs.others}, max(roofs.bandwidth.values())
    step, below = 1.25 * _CEILING_SIZE / 72 * figure.dpi, -math.inf
    for name, value in sorted(named.items(), key=lambda item: item[1]):
        peak, knee = value == roofs.peak, value / fastest
        axis.plot([knee, right], [value] * 2, color=style.BLACK, lw=1.1 if peak else 0.6,
                  ls="-" if peak else (0, (4, 2)), zorder=1)  # fmt: skip
        # Above all roofs, where no kernel can be.
        y = axis.transData.transform((knee, value))[1]
        below = max(y, below + step)
        # In points and from the knee: pixels of the figure shift when a caption is put below it.
        up = (below - y) * 72 / figure.dpi
        texts.append(axis.annotate(
            _label(name, value), (knee, value), (-0.44 * _CEILING_SIZE, up),
            textcoords="offset points", ha="right", va="center", fontsize=_CEILING_SIZE, zorder=4,
        ))  # fmt: skip
    return texts


def _roof_colour(level: str) -> str:
    return style.BLACK if level == "DRAM" else "#8C8C8C"


def crowds(bandwidth: Mapping[str, float], apart: float) -> list[list[tuple[str, float]]]:
    """Levels from the fastest on, those together between whose roofs no name has room.

    ``apart`` is the distance of two roofs whose bandwidths differ by a factor of e, in points.
    Their names stand left of the fastest of them, in the order of the roofs.
    """
    crowds = list[list[tuple[str, float]]]()
    for level, value in sorted(bandwidth.items(), key=lambda item: -item[1]):
        near = crowds and math.log(crowds[-1][-1][1] / value) * apart < 1.4 * _CEILING_SIZE
        if near and level != "DRAM":
            crowds[-1].append((level, value))
        else:
            crowds.append([(level, value)])
    return crowds


def _label(name: str, value: float) -> str:
    """A ceiling's name, short, and its height: of peaks with multiply-adds the clock alone."""
    return f"{name.removeprefix('FMA peak at ').split(' at ')[0]}: {rate(value)}"


def _draw_kernel(
    axis: Axes, panel: Panel, entry: Entry, placed: Placed
) -> list[tuple[float, float]]:
    """A kernel's marks, the one that its number stands at last; a thin line joins them."""
    colour, at = group(*entry).colour, outer(placed)
    heights = {"measured" if placed.measured else "bound": placed.gflops}
    predicted = None if placed.measured else panel.prediction(placed.point)
    if predicted:
        heights["predicted"] = predicted
        axis.plot([at] * 2, [placed.gflops, predicted], color=colour, lw=0.5, zorder=2)
    for kind, height in heights.items():
        axis.plot(
            [at], [height], MARKS[kind], ms=3.4 if kind == "bound" else 4.2, mew=0.8, mec=colour,
            mfc="white" if backward(entry[0]) else colour, zorder=3,
        )  # fmt: skip
    return [(at, height) for height in heights.values()]


def _draw_way(axis: Axes, way: Sequence[Placed]) -> list[Name]:
    """A kernel's path over batch sizes; what to write at its ends."""
    if len(way) < 2:
        return []
    axis.plot([outer(p) for p in way], [p.gflops for p in way], ".-", color="#9A9A9A", lw=0.7,
              ms=3, zorder=2)  # fmt: skip
    return [
        Name(outer(p), p.gflops, f"{word}{p.point.batch_size}", style.GREY)
        for word, p in (("batch ", way[0]), ("", way[-1]))
    ]


def _draw_claim(axis: Axes, roofs: Roofs, intensity: float) -> tuple[float, float]:
    """A claimed intensity, on the DRAM roof that it was compared with; where it stands."""
    height = min(roofs.peak, intensity * roofs.bandwidth["DRAM"])
    axis.plot([intensity], [height], "x", color=style.GREY, ms=4, mew=0.9, zorder=3)
    return intensity, height


def _trajectory(panel: Panel, entry: Entry | None) -> list[Placed]:
    """A kernel from small batches to large, all by the one source that most of them have."""
    points = panel.of(*entry) if entry else []
    counts = [source for point in points for source in point.traffic]
    if not counts:
        return []
    source = max(sorted(set(counts)), key=counts.count)
    return [panel.place(point, source) for point in points if source in point.traffic]
