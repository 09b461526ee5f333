"""The roofline: kernels under the roofs of every level of memory, a panel a machine.

A kernel is a number; the table below says its name, how fast it was and how near its bound. Colour
tells its group, fill its direction, the mark how its height came to be.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from string import ascii_lowercase

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from plots.roofline import columns
from plots.roofline import panel as roofline_panel
from plots.roofline.groups import GROUPS, backward, group, short
from plots.roofline.panel import MARKS
from plots.roofline.table import Entry, Study
from plots.shared import files, layout, style

#: Inches: height of a panel in a figure of one column, and of two.
NARROW, WIDE = 2.4, 3.0
LEFT, RIGHT = 0.5, 0.14  # inches beside a panel
_LEGEND = 0.135  # inches: a line of the legend
#: Whose path over batch sizes is drawn, the first that a table has.
PATHS = ("attack_step", "network_forward", "conv2_forward")


def draw(
    study: Study, variants: Sequence[str], claims: Mapping[str, float], path: str | None = None,
    width: float = style.TWO,
) -> Figure:  # fmt: skip
    """Panels beside each other on two columns, else below each other; the table below them.

    Args:
        study: what is drawn.
        variants: see `Study.chosen`.
        claims: the original study's intensities, drawn where nothing was measured, or in the last
            panel.
        path: the kernel whose path over batch sizes is drawn; one of `PATHS` if None.
        width: in inches.
    """
    entries = study.entries(variants)
    numbers = {entry: number for number, entry in enumerate(entries, 1)}
    narrow, count = layout.is_narrow(width), len(study.panels)
    tall, across = (NARROW, 1) if narrow else (WIDE, min(2, count))
    down = -(-count // across)
    blocks = 1 if narrow or len(entries) <= 8 else 2
    handles = _handles(study, entries)
    legend_columns = 2 if narrow else 5
    table = columns.height(len(entries), blocks)
    legend = _LEGEND * -(-len(handles) // legend_columns) + 0.1
    height = tall * down + legend + table
    figure = Figure(figsize=(width, height), dpi=files.DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    chosen = _path(study, entries, path)
    for number, panel in enumerate(study.panels):
        column, row = number % across, number // across
        left = (LEFT + width * column / across) / width
        bottom = height - tall * (row + 1) + 0.38
        axis = figure.add_axes(
            (left, bottom / height, 1 / across - (LEFT + RIGHT) / width, (tall - 0.62) / height)
        )
        roofline_panel.draw(
            figure,
            axis,
            panel,
            numbers,
            claims if number == count - 1 else {},
            chosen,
            ascii_lowercase[number],
        )
    figure.legend(
        handles=handles, loc="lower center", ncols=legend_columns, frameon=False,
        bbox_to_anchor=(0.5, table / height), handlelength=1.2, columnspacing=1.0,
        borderaxespad=0.2, fontsize=6.2, handletextpad=0.3, labelspacing=0.25,
    )  # fmt: skip
    columns.write(figure, study, entries, blocks)
    return figure


def _path(study: Study, entries: Sequence[Entry], named: str | None) -> Entry | None:
    wanted = (named,) if named else PATHS
    return next(
        (
            entry
            for name in wanted
            for entry in entries
            if entry[0] == name and any(len(panel.of(*entry)) > 1 for panel in study.panels)
        ),
        None,
    )


def _handles(study: Study, entries: Sequence[Entry]) -> list[Line2D]:
    def mark(shape: str, words: str, colour: str = "#333333", fill: bool = True) -> Line2D:
        return Line2D([], [], ls="", marker=shape, ms=4.2, mew=0.8, mec=colour,
                      mfc=colour if fill else "white", label=words)  # fmt: skip

    used = {group(*entry) for entry in entries}
    handles = [mark("s", one.title, one.colour) for one in GROUPS if one in used]
    directions = {backward(kernel) for kernel, _ in entries}
    if False in directions:
        handles.append(mark("s", "forward"))
    if True in directions:
        handles.append(mark("s", "backward, or both", fill=False))
    kinds = {
        "measured": any(panel.measured for panel in study.panels),
        "predicted": any(panel.predicted and not panel.measured for panel in study.panels),
        "bound": not all(panel.measured for panel in study.panels),
    }
    handles += [mark(MARKS[kind], kind) for kind, there in kinds.items() if there]
    return handles


def caption(study: Study, variants: Sequence[str], claims: Mapping[str, float]) -> str:
    """What is drawn, and how it came to be."""
    entries = study.entries(variants)
    shown = [panel.shown(points) for panel in study.panels for entry in entries
             if (points := panel.of(*entry))]  # fmt: skip
    batches = sorted({placed.point.batch_size for placed in shown})
    sources = sorted({placed.bytes_source for placed in shown})
    threads = study.panels[0].roofs.cores if study.panels[0].measured else 1
    size = max(p.input_size for panel in study.panels for p in panel.points)
    known = {
        "likwid": "counted", "cachesim": "from simulated caches",
        "compulsory": "compulsory, the least possible",
    }  # fmt: skip
    words = [
        f"Float32, images of {size} x {size}, {threads} thread{'' if threads == 1 else 's'}, "
        f"batches of {' or '.join(map(str, batches))}; bytes "
        f"{' or '.join(known[source] for source in sources)}. "
        "A kernel stands at its intensity at main memory, or at the outermost level that it uses "
        "(black roof: main memory; grey: caches). The table has the percentage of what the roofs "
        "of all levels allow, or that bound where nothing is known, and the level that bounds it.",
        "x: gradient for the input, w: for the weights. Grey line: one kernel over batch sizes.",
    ]
    if not all(panel.measured for panel in study.panels):
        words.append(
            "On a machine that was not at hand nothing is measured: bounds are what its described "
            "roofs imply, predictions a model's of its core and caches, with all cores at work, "
            "each on a batch of its own."
        )
    if idle := [short(kernel) for kernel in study.kernels if kernel not in study.computing()]:
        move, are = ("moves", "it is") if len(idle) == 1 else ("move", "they are")
        words.append(f"{', '.join(idle)} only {move} numbers, so {are} not drawn.")
    if claims:
        words.append(
            "Crosses: intensities that the original study claims, on the DRAM roof; it counted "
            "every load and store as memory traffic."
        )
    return " ".join([*words, *(f"{note[0].upper()}{note[1:]}." for note in study.notes)])
