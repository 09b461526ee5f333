"""The table below the roofline's panels: each kernel's number, name, rate and bound."""

from __future__ import annotations

from collections.abc import Sequence
from string import ascii_lowercase

from matplotlib.figure import Figure

from plots.roofline.groups import short
from plots.roofline.table import Entry, Panel, Study
from plots.shared import style

ROW = 0.118  # inches: a line
SIZE = 5.8  # points


def height(rows: int, blocks: int) -> float:
    """Inches that so many rows take, with their header, in blocks beside each other."""
    return ROW * (-(-rows // blocks) + 1.5)


def write(figure: Figure, study: Study, entries: Sequence[Entry], blocks: int) -> None:
    """Columns of text at a figure's lower end, in blocks beside each other; numbers flush right."""
    header, rows = _header(study), _rows(study, entries)
    whole = figure.get_figheight()
    top = height(len(rows), blocks) / whole
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
            y = top - ROW * (line + 0.9) / whole
            for number, (x, cell) in enumerate(zip(stops, row, strict=True)):
                figure.text(
                    x, y, cell, fontsize=SIZE, ha="left" if number == 1 else "right",
                    va="baseline", color="#333333" if line else style.GREY,
                )  # fmt: skip


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
