"""Bandwidth over the working set, from ``bandwidth_curve.csv``, with each level's roof.

The levels' roofs, from ``ceilings.csv`` beside it, stand at the working set at which they were
measured (docs/tables.md).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from harness.errors import InputError
from harness.tables.table import read_cells
from plots.shared import layout, style

SCHEMA_VERSION = 1
COLUMNS = ("run", "machine", "isa", "threads", "kind", "working_set_bytes", "gbytes_per_second")
ROOF_COLUMNS = (*COLUMNS, "level")
_LOOKS = {"read": ("o", "#0072B2"), "triad": ("s", "#D55E00")}


@dataclass(frozen=True)
class Curves:
    """The latest run.

    Attributes:
        machine: the processor's model, and the instruction set.
        samples: GB/s by threads and kind, then by bytes of all threads.
        roofs: by threads, kind and level: bytes, and the best sample in GB/s.
    """

    machine: str
    samples: Mapping[tuple[int, str], Mapping[int, Sequence[float]]]
    roofs: Mapping[tuple[int, str, str], tuple[int, float]]


def load(path: Path) -> Curves:
    """The latest run of a table of curves.

    Raises:
        InputError: if it is no such table, or empty.
    """
    _, rows = read_cells(path, COLUMNS, SCHEMA_VERSION)
    if not rows:
        raise InputError(path, "has no rows; `python -m kernels ceilings` writes them")
    run = max(row["run"] for row in rows)
    rows = [row for row in rows if row["run"] == run]
    samples: dict[tuple[int, str], dict[int, list[float]]] = {}
    for row in rows:
        of = samples.setdefault((int(row["threads"]), row["kind"]), {})
        of.setdefault(int(row["working_set_bytes"]), []).append(float(row["gbytes_per_second"]))
    roofs: dict[tuple[int, str, str], tuple[int, float]] = {}
    beside = path.with_name("ceilings.csv")
    if beside.is_file():
        for row in read_cells(beside, ROOF_COLUMNS, SCHEMA_VERSION)[1]:
            if row["run"] == run and row["kind"] in _LOOKS:
                key = int(row["threads"]), row["kind"], row["level"]
                found = int(row["working_set_bytes"]), float(row["gbytes_per_second"])
                roofs[key] = max(roofs.get(key, found), found, key=lambda one: one[1])
    return Curves(f"{rows[0]['machine']}, {rows[0]['isa']}", samples, roofs)


def draw(curves: Curves, width: float = style.TWO) -> Figure:
    """One panel for each number of threads."""
    counts = sorted({threads for threads, _ in curves.samples})
    figure, (axes,) = layout.panels(width, 1, len(counts), 2.9, sharey=True)
    for axis, threads in zip(axes, counts, strict=True):
        for kind, (marker, colour) in _LOOKS.items():
            sizes = sorted(curves.samples.get((threads, kind), {}))
            if not sizes:
                continue
            rates = [curves.samples[threads, kind][size] for size in sizes]
            axis.plot(sizes, [max(some) for some in rates], color=colour, lw=1, label=kind)
            axis.plot(sizes, [median(some) for some in rates], marker, color=colour, ms=2, mew=0)
        for (count, kind, level), (size, rate) in curves.roofs.items():
            if count == threads:
                axis.plot([size], [rate], _LOOKS[kind][0], color=_LOOKS[kind][1], mfc="white", ms=5)
                if kind == "read":
                    axis.annotate(
                        level, (size, rate), (0, 6), textcoords="offset points", ha="center",
                        fontsize=7, path_effects=[withStroke(linewidth=2, foreground="white")],
                    )  # fmt: skip
        axis.set_xscale("log", base=2)
        axis.set_yscale("log")
        axis.xaxis.set_major_locator(LogLocator(base=16))
        axis.xaxis.set_major_formatter(FuncFormatter(lambda size, _: in_bytes(size)))
        axis.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axis.yaxis.set_major_formatter(FuncFormatter(lambda rate, _: f"{rate:g}"))
        axis.yaxis.set_minor_formatter(NullFormatter())
        axis.set_title(f"{threads} thread{'' if threads == 1 else 's'}", loc="left")
        axis.grid(alpha=0.3, lw=0.4)
    layout.outer(axes, "working set of all threads", "GB/s")
    axes[0].legend(frameon=False)
    return layout.finish(figure)


def describe(curves: Curves) -> str:
    """The roof of each level, and where it was measured."""
    lines = [f"{curves.machine}: {len(curves.samples)} curves over the working set"]
    if curves.roofs:
        lines += ["", "threads  level  kind   working set      GB/s"]
    lines += [
        f"{threads:7}  {level:5}  {kind:5}  {in_bytes(size):>11}  {rate:8.1f}"
        for (threads, kind, level), (size, rate) in sorted(
            curves.roofs.items(), key=lambda roof: (roof[0][0], roof[0][1], roof[1][0])
        )
    ]
    return "\n".join(lines)


def in_bytes(size: float) -> str:
    """A power of two as KiB, MiB or GiB."""
    unit = max(0, min(3, int(math.log2(max(size, 1.0))) // 10))
    return f"{size / 1024**unit:.4g} {('B', 'KiB', 'MiB', 'GiB')[unit]}"


def caption(curves: Curves) -> str:
    """The machine, and what the marks are."""
    return (f"{curves.machine}. Lines: best sample; dots: median; open marks: what is taken as a "
            "level's roof.")  # fmt: skip
