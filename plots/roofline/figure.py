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

from plots.roofline import panel as roofline_panel
from plots.roofline.groups import GROUPS, backward, group, short
from plots.roofline.panel import MARKS
from plots.roofline.table import Entry, Panel, Study
from plots.shared import captions, files, style

#: Inches: one or two columns of a journal's page.
WIDTHS = {"one": 3.5, "two": 7.2}
PANEL = {"one": 2.4, "two": 3.0}  # inches: height of a panel
_ROW, _LEGEND = 0.118, 0.135  # inches: a line of the table, and of the legend
_TABLE_SIZE = 5.8  # points
#: Whose path over batch sizes is drawn, the first that a table has.
PATHS = ("attack_step", "network_forward", "conv2_forward")


def draw(
    study: Study, variants: Sequence[str], claims: Mapping[str, float], width: str = "two",
    path: str | None = None,
) -> Figure:  # fmt: skip
    """Panels beside each other on two columns, else below each other; the table below them.

    Args:
        study: what is drawn.
        variants: see `Study.chosen`.
        claims: the original study's intensities, drawn where nothing was measured, or in the last
            panel.
        width: a key of `WIDTHS`.
        path: the kernel whose path over batch sizes is drawn; one of `PATHS` if None.
    """
    entries = study.entries(variants)
    numbers = {entry: number for number, entry in enumerate(entries, 1)}
    inches, tall, count = WIDTHS[width], PANEL[width], len(study.panels)
    across = min(2, count) if width == "two" else 1
    down = -(-count // across)
    rows = _rows(study, entries)
    blocks = 2 if width == "two" and len(rows) > 8 else 1
    lines = captions.lines(_caption(study, entries, claims), inches)
    handles = _handles(study, entries)
    legend_columns = 5 if width == "two" else 2
    caption = captions.LINE * len(lines) + 0.1
    table = _ROW * (-(-len(rows) // blocks) + 1.5)
    legend = _LEGEND * -(-len(handles) // legend_columns) + 0.1
    height = tall * down + legend + table + caption
    figure = Figure(figsize=(inches, height), dpi=files.DOTS_PER_INCH)
    FigureCanvasAgg(figure)
    chosen = _path(study, entries, path)
    for number, panel in enumerate(study.panels):
        column, row = number % across, number // across
        left = (0.42 + inches * column / across) / inches
        bottom = height - tall * (row + 1) + 0.38
        axis = figure.add_axes(
            (left, bottom / height, 1 / across - 0.56 / inches, (tall - 0.62) / height)
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
        bbox_to_anchor=(0.5, (caption + table) / height), handlelength=1.2, columnspacing=1.0,
        borderaxespad=0.2, fontsize=6.2, handletextpad=0.3, labelspacing=0.25,
    )  # fmt: skip
    _write_table(figure, _header(study), rows, (caption + table) / height, blocks)
    captions.write(figure, lines)
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


def _header(study: Study) -> list[str]:
    cells = ["", "kernel"]
    for letter, _ in zip(ascii_lowercase, study.panels, strict=False):
        cells += [f"{letter}: GFLOP/s" if letter == "a" else letter, "of bound"]
    return cells


def _rows(study: Study, entries: Sequence[Entry]) -> list[list[str]]:
    """Number, kernel, and of each machine what was reached, and of which bound."""
    rows = []
    for number, entry in enumerate(entries, 1):
        row = [str(number), f"{short(entry[0])}, {_way(entry[1])}"]
        for panel in study.panels:
            row += _cells(panel, entry)
        rows.append(row)
    return rows


def _cells(panel: Panel, entry: Entry) -> list[str]:
    points = panel.of(*entry)
    if not points:
        return ["", ""]
    placed = panel.shown(points)
    limit = "peak" if placed.limit == "FMA" else placed.limit
    reached = placed.gflops if placed.measured else panel.prediction(placed.point)
    if reached is None:
        return ["", f"{placed.bound:,.0f}, {limit}"]
    return [f"{reached:,.0f}", f"{100 * reached / placed.bound:.0f} %, {limit}"]


def _way(variant: str) -> str:
    return {"fused": "engine", "torch_nchw": "PyTorch"}.get(
        variant, variant.removeprefix("torch_").replace("_", " ")
    )


def _write_table(
    figure: Figure, header: Sequence[str], rows: Sequence[Sequence[str]], top: float, blocks: int
) -> None:
    """Columns of text, in blocks beside each other; numbers are flush right."""
    height = figure.get_figheight()
    each, wide = -(-len(rows) // blocks), 0.96 / blocks
    columns = len(header) - 2
    for block in range(blocks):
        left = 0.02 + block * (wide + 0.02)
        # The kernel's name takes two parts, every other column its own.
        stops = [left + 0.035 * wide, left + 0.05 * wide]
        stops += [
            left + wide * (0.36 + 0.62 * (n + 1 + 0.2 * (n % 2 - 1)) / max(1, columns))
            for n in range(columns)
        ]
        for line, row in enumerate([header, *rows[block * each : (block + 1) * each]]):
            y = top - (_ROW * (line + 0.9)) / height
            for number, (x, cell) in enumerate(zip(stops, row, strict=True)):
                figure.text(
                    x, y, cell, fontsize=_TABLE_SIZE, ha="left" if number == 1 else "right",
                    va="baseline", color="#333333" if line else style.GREY,
                )  # fmt: skip


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


def _caption(study: Study, entries: Sequence[Entry], claims: Mapping[str, float]) -> str:
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
        words.append(f"{', '.join(idle)} only moves numbers, so it is not drawn.")
    if claims:
        words.append(
            "Crosses: intensities that the original study claims, on the DRAM roof; it counted "
            "every load and store as memory traffic."
        )
    return " ".join([*words, *(f"{note[0].upper()}{note[1:]}." for note in study.notes)])
