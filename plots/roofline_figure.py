"""The hierarchical roofline: kernels under the roofs of every level of memory, a panel a machine.

A kernel has one performance and, at each level, an intensity of its own: a row of markers in the
levels' colours, each to be compared with the roof of its colour. Its way from small batches to
large ones is a thin line.
"""

from __future__ import annotations

import io
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.text import Text
from matplotlib.ticker import FuncFormatter, LogLocator

from harness.tables import write_whole
from plots import style
from plots.roofline import BYTES_SOURCES, Panel, Placed, Point, Study
from plots.roofline_labels import Box, Label, Segment, place
from plots.roofline_roofs import LEVELS, Roofs
from plots.scaling_caption import wrapped

WIDTH = 7.2  # inches: two columns of a journal page
PANEL = 4.0  # inches: height of a panel
DOTS_PER_INCH = 200
CAPTION_SIZE = 6.3  # points
LABEL_SIZE = 5.8

#: Colours and dashes of roofs and of what is compared with them.
COLOURS = {"L1": "#009E73", "L2": "#0072B2", "L3": "#CC79A7", "L4": "#E69F00", "DRAM": "#D55E00"}
SHAPES = {"likwid": "s", "cachesim": "o", "compulsory": "D"}
SOURCE_WORDS = {
    "likwid": "counted (LIKWID)",
    "cachesim": "simulated caches",
    "compulsory": "compulsory (least possible)",
}
_SHORT = (("_forward", " fwd"), ("_backward_input", " bwd x"), ("_backward_weights", " bwd w"),
          ("_backward", " bwd"), ("_", " "))  # fmt: skip


def save(study: Study, folder: Path, variants: Sequence[str], claims: Mapping[str, float]
         ) -> list[Path]:  # fmt: skip
    """Write ``<table>.svg`` and ``<table>.png``; equal input gives equal bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / f"{study.path.stem}.{ending}" for ending in ("svg", "png")]
    with mpl.rc_context(style.SETTINGS):
        figure = draw(study, variants, claims)
        write_whole(paths[0], _svg(figure))
        figure.savefig(paths[1], dpi=DOTS_PER_INCH, metadata={"Software": None})
    return paths


def svg(study: Study, variants: Sequence[str], claims: Mapping[str, float]) -> str:
    """The figure as SVG text without a date."""
    with mpl.rc_context(style.SETTINGS):
        return _svg(draw(study, variants, claims))


def _svg(figure: Figure) -> str:
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return buffer.getvalue()


def draw(study: Study, variants: Sequence[str], claims: Mapping[str, float]) -> Figure:
    """A panel below another.

    Args:
        study: what is drawn.
        variants: see `Study.chosen`.
        claims: the original study's intensities, drawn where nothing was measured, or in the last
            panel.
    """
    chosen = study.chosen(variants)
    lines = wrapped(_caption(study, chosen, claims), CAPTION_SIZE, WIDTH - 0.3)
    caption = 0.125 * len(lines) + 0.1
    legend = 0.3
    count = len(study.panels)
    height = PANEL * count + legend + caption
    figure = Figure(figsize=(WIDTH, height), dpi=DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    for number, panel in enumerate(study.panels):
        bottom = caption + legend + PANEL * (count - 1 - number) + 0.4
        axis = figure.add_axes((0.075, bottom / height, 0.91, (PANEL - 0.65) / height))
        _draw_panel(figure, axis, panel, chosen, claims if number == count - 1 else {})
    figure.legend(
        handles=_handles(study, chosen), loc="lower center", ncols=5, frameon=False,
        bbox_to_anchor=(0.5, caption / height), handlelength=1.8, columnspacing=1.4,
        borderaxespad=0.2,
    )  # fmt: skip
    figure.text(0.02, 0.05 / height, "\n".join(lines), fontsize=CAPTION_SIZE, color="#333333",
                va="bottom", linespacing=1.25)  # fmt: skip
    return figure


def _trajectory(panel: Panel, points: Sequence[Point]) -> list[Placed]:
    """A kernel from small batches to large, by the one source that most of them have."""
    counts = {name: sum(name in p.traffic for p in points) for name in BYTES_SOURCES}
    source = max(BYTES_SOURCES, key=lambda name: counts[name])
    return [panel.place(point, source) for point in points if source in point.traffic]


def _outer(placed: Placed) -> float:
    """Intensity at the level farthest from the core."""
    return next(placed.intensities[level] for level in reversed(LEVELS)
                if level in placed.intensities)  # fmt: skip


def _draw_panel(
    figure: Figure, axis: Axes, panel: Panel, chosen: Mapping[str, str],
    claims: Mapping[str, float],
) -> None:  # fmt: skip
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
    anchors: list[tuple[float, float, str, str]] = []
    for kernel, placed in shown.items():
        _draw_levels(axis, placed)
        anchors.append((_outer(placed), placed.gflops, _name(kernel), "#000000"))
    for name, intensity in claims.items():
        anchors.append((*_draw_claim(axis, panel.roofs, intensity), f"study: {name}", style.GREY))
    _write(figure, axis, anchors, [*shown.values()], texts)
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
    axis.set_xlim(min(low / 3, knee / 60), max(high * 2.5, ridge * 3))
    axis.set_ylim(bottom, top * 3.5)
    for ticks in (axis.xaxis, axis.yaxis):
        ticks.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        ticks.set_minor_locator(LogLocator(subs=()))


def _draw_roofs(axis: Axes, roofs: Roofs) -> list[Text]:
    """Lines with their names on them; the names."""
    texts = []
    left, right = axis.get_xlim()
    bottom = axis.get_ylim()[0]
    for level, rate in roofs.bandwidth.items():
        start, ridge = max(left, bottom / rate), roofs.peak / rate
        axis.plot([left, ridge], [left * rate, roofs.peak], color=COLOURS[level], lw=1.1, zorder=1)
        here = start * 1.12
        first = axis.transData.transform((start, start * rate))
        last = axis.transData.transform((ridge, roofs.peak))
        angle = math.degrees(math.atan2(last[1] - first[1], last[0] - first[0]))
        texts.append(axis.text(
            here, here * rate, f"{level} {_rate(rate)} GB/s", color=COLOURS[level], rotation=angle,
            rotation_mode="anchor", va="bottom", ha="left", fontsize=LABEL_SIZE + 0.4, zorder=4,
        ))  # fmt: skip
    knee = roofs.peak / max(roofs.bandwidth.values())
    axis.plot([knee, right], [roofs.peak] * 2, color=style.BLACK, lw=1.1, zorder=1)
    named = {roofs.peak_name: roofs.peak, **roofs.others}
    for rate in named.values():
        if rate != roofs.peak:
            knee = rate / max(roofs.bandwidth.values())
            axis.plot([knee, right], [rate] * 2, color=style.BLACK, lw=0.6, ls=(0, (4, 2)),
                      zorder=1)  # fmt: skip
    return texts + _name_ceilings(axis, roofs, named)


def _name_ceilings(axis: Axes, roofs: Roofs, named: Mapping[str, float]) -> list[Text]:
    """Their names on the left of where they begin, above all roofs, where no kernel can be."""
    texts, below = list[Text](), -math.inf
    step = 1.25 * (LABEL_SIZE + 0.4) / 72 * axis.get_figure().dpi  # type: ignore[union-attr]
    fastest = max(roofs.bandwidth.values())
    for name, rate in sorted(named.items(), key=lambda item: item[1]):
        x, y = axis.transData.transform((rate / fastest, rate))
        below = max(y, below + step)
        texts.append(axis.annotate(
            f"{name}, {_rate(rate)} GFLOP/s", (rate / fastest, rate), (x - 0.35 * step, below),
            textcoords="figure pixels", ha="right", va="center", fontsize=LABEL_SIZE + 0.4,
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
    height, _ = roofs.bound({"DRAM": intensity})
    axis.plot([intensity] * 2, [axis.get_ylim()[0], height], color=style.GREY, lw=0.5,
              ls=(0, (1, 2)), zorder=1)  # fmt: skip
    axis.plot([intensity], [height], "x", color=style.GREY, ms=4, mew=0.9, zorder=3)
    return intensity, height


def _write(
    figure: Figure, axis: Axes, anchors: Sequence[tuple[float, float, str, str]],
    placed: Sequence[Placed], others: Sequence[Text],
) -> None:  # fmt: skip
    """The kernels' names, beside their points."""
    renderer = figure.canvas.get_renderer()  # type: ignore[attr-defined]
    pixel = axis.transData.transform
    radius = 2.6 * figure.dpi / 72
    frame = axis.get_window_extent(renderer)
    marks = [pixel((value, p.gflops)) for p in placed for value in p.intensities.values()]
    marks += [pixel((x, y)) for x, y, _, _ in anchors]
    obstacles = [Box(x - radius, y - radius, x + radius, y + radius) for x, y in marks]
    for text in others:
        obstacles += _tiles(text, renderer)
    lines: list[Segment] = []
    for line in axis.get_lines():
        ends = axis.transData.transform(line.get_xydata())
        lines += [(*a, *b) for a, b in pairwise(ends)]
    labels = []
    for x, y, words, colour in anchors:
        probe = axis.text(x, y, words, fontsize=LABEL_SIZE, color=colour)
        size = probe.get_window_extent(renderer)
        probe.remove()
        at = pixel((x, y))
        labels.append(Label(float(at[0]), float(at[1]), size.width + 3, size.height + 1))
    area = Box(frame.x0 + 2, frame.y0 + 2, frame.x1 - 2, frame.y1 - 2)
    back = axis.transData.inverted().transform
    halo = [withStroke(linewidth=1.6, foreground="white")]
    for anchor, label, box in zip(anchors, labels, place(labels, area, obstacles, lines),
                                  strict=True):  # fmt: skip
        x, y, words, colour = anchor
        at = back(box.middle)
        axis.text(at[0], at[1], words, fontsize=LABEL_SIZE, color=colour, ha="center", va="center",
                  zorder=5, path_effects=halo)  # fmt: skip
        nearest = box.nearest(label.x, label.y)
        if math.hypot(nearest[0] - label.x, nearest[1] - label.y) > 2.2 * radius:
            to = back(nearest)
            axis.plot([x, to[0]], [y, to[1]], color=colour, lw=0.35, zorder=2.5)


def _tiles(text: Text, renderer: object) -> list[Box]:
    """Small upright boxes that cover a slanted text."""
    angle = math.radians(text.get_rotation())
    if angle == 0:
        box = text.get_window_extent(renderer)  # type: ignore[arg-type]
        return [Box(box.x0, box.y0, box.x1, box.y1)]
    whole = text.get_window_extent(renderer)  # type: ignore[arg-type]
    count = 12
    # A text that rises to the right fills the diagonal of its box.
    wide, tall = whole.width / count, whole.height / count
    slack = 4.0
    return [
        Box(whole.x0 + wide * i, whole.y0 + tall * i - slack, whole.x0 + wide * (i + 1),
            whole.y0 + tall * (i + 1) + slack)
        for i in range(count)
    ]  # fmt: skip


def _name(kernel: str) -> str:
    for long, short in _SHORT:
        kernel = kernel.replace(long, short)
    return kernel


def _rate(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _handles(study: Study, chosen: Mapping[str, str]) -> list[Line2D]:
    sources = {
        panel.shown(points).bytes_source
        for panel in study.panels
        for kernel, variant in chosen.items()
        if (points := panel.of(kernel, variant))
    }

    def mark(shape: str, words: str, fill: str = "white") -> Line2D:
        return Line2D([], [], ls="", marker=shape, ms=4.2, mew=0.8, mec="#333333", mfc=fill,
                      label=words)  # fmt: skip

    handles = [mark(SHAPES[s], f"bytes: {SOURCE_WORDS[s]}") for s in BYTES_SOURCES if s in sources]
    if any(panel.measured for panel in study.panels):
        handles.append(mark("o", "performance measured", "#333333"))
    if not all(panel.measured for panel in study.panels):
        handles.append(mark("o", "bound under the roofs, not measured"))
    handles.append(Line2D([], [], color="#999999", lw=0.5, marker=".", ms=2.5, markevery=[0],
                          label="batch size, from the dot upwards"))  # fmt: skip
    return handles


def _caption(study: Study, chosen: Mapping[str, str], claims: Mapping[str, float]) -> str:
    shown = {panel.shown(points).point.batch_size for panel in study.panels for kernel, variant in
             chosen.items() if (points := panel.of(kernel, variant))}  # fmt: skip
    batches = f"batch size {min(shown)}" if len(shown) == 1 else (
        f"batch sizes {', '.join(map(str, sorted(shown)))} (the largest "
        "with the best known traffic)"
    )  # fmt: skip
    threads = study.panels[0].roofs.cores if study.panels[0].measured else 1
    sizes = {p.input_size for panel in study.panels for p in panel.points}
    size = max(sizes)
    variants: dict[str, list[str]] = {}
    for kernel, variant in chosen.items():
        variants.setdefault(variant, []).append(_name(kernel))
    ways = "; ".join(f"{name.replace('_', ' ')}: {', '.join(kernels)}"
                     for name, kernels in variants.items())  # fmt: skip
    words = [
        f"Float32, images of {size} x {size}, {threads} thread{'' if threads == 1 else 's'}; "
        f"markers: {batches}. A kernel has one performance and at each level of memory an "
        "intensity of its own: a marker is to be compared with the roof of its colour.",
        "x: gradient for the input, w: for the weights.",
        f"Variants: {ways}.",
    ]
    if not all(panel.measured for panel in study.panels):
        words.append(
            "On a machine that was not at hand a kernel stands at the bound that the roofs imply, "
            "if all cores work on a batch of their own and share the last cache: no measurement."
        )
    if claims:
        words.append(
            "Grey: intensities that the original study claims, on the DRAM roof: it counted every "
            "load and store as memory traffic (and drew one socket's roof, 76.8 GB/s)."
        )
    return " ".join([*words, *(f"{note[0].upper()}{note[1:]}." for note in study.notes)])
