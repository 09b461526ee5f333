"""The hierarchical roofline: kernels under the roofs of every level of memory, a panel a machine.

A kernel has one performance and, at each level, an intensity of its own: a row of markers in the
levels' colours, each to be compared with the roof of its colour. Its way from small batches to
large ones is a thin line.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from plots.roofline import panel as roofline_panel
from plots.roofline.panel import SHAPES, short
from plots.roofline.points import BYTES_SOURCES
from plots.roofline.table import Study
from plots.shared import captions, files

WIDTH = 7.2  # inches: two columns of a journal page
PANEL = 4.0  # inches: height of a panel

SOURCE_WORDS = {
    "likwid": "counted (LIKWID)",
    "cachesim": "simulated caches",
    "compulsory": "compulsory (least possible)",
}


def draw(study: Study, variants: Sequence[str], claims: Mapping[str, float]) -> Figure:
    """A panel below another.

    Args:
        study: what is drawn.
        variants: see `Study.chosen`.
        claims: the original study's intensities, drawn where nothing was measured, or in the last
            panel.
    """
    chosen = study.computing(variants)
    lines = captions.lines(_caption(study, chosen, claims), WIDTH)
    caption = captions.LINE * len(lines) + 0.1
    legend = 0.45  # two lines
    count = len(study.panels)
    height = PANEL * count + legend + caption
    figure = Figure(figsize=(WIDTH, height), dpi=files.DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    for number, panel in enumerate(study.panels):
        bottom = caption + legend + PANEL * (count - 1 - number) + 0.4
        axis = figure.add_axes((0.075, bottom / height, 0.91, (PANEL - 0.65) / height))
        roofline_panel.draw(figure, axis, panel, chosen, claims if number == count - 1 else {})
    figure.legend(
        handles=_handles(study, chosen), loc="lower center", ncols=3, frameon=False,
        bbox_to_anchor=(0.5, caption / height), handlelength=1.8, columnspacing=1.4,
        borderaxespad=0.2,
    )  # fmt: skip
    captions.write(figure, lines)
    return figure


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
        variants.setdefault(variant, []).append(short(kernel))
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
    if idle := [short(kernel) for kernel in study.kernels if kernel not in study.computing()]:
        words.append(f"{', '.join(idle)} only moves numbers, so it is not drawn.")
    if claims:
        words.append(
            "Grey: intensities that the original study claims, on the DRAM roof: it counted every "
            "load and store as memory traffic (and drew one socket's roof, 76.8 GB/s)."
        )
    return " ".join([*words, *(f"{note[0].upper()}{note[1:]}." for note in study.notes)])
