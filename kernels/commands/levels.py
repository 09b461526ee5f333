"""What a curve of bandwidths tells of the caches, to look at."""

from __future__ import annotations

import math
from collections.abc import Sequence

import click
from rich.console import Console
from rich.table import Table

from kernels.machines import curve
from kernels.machines.caches import caches, cores
from kernels.table import Row


def show_levels(console: Console, rows: Sequence[Row]) -> None:
    """Print each level's plateau and capacities, with a warning where they are not as described.

    Args:
        console: where to.
        rows: of one run of `kernels.machines.curve`.
    """
    cpus = cores()
    table = Table(title="bandwidth over the working set of all threads", title_justify="left")
    table.add_column("level")
    for heading in ("threads", "plateau, GB/s", "holds", "reaches", "described"):
        table.add_column(heading, justify="right")
    warnings = []
    for threads in sorted({int(str(row["threads"])) for row in rows}):
        for level in curve.levels_of(rows, cpus[:threads], caches(cpus[0])):
            table.add_row(
                level.level, str(threads), f"{level.gbytes_per_second:.1f}",
                *(_size(size) for size in (level.holds, level.reaches, level.described)),
            )  # fmt: skip
            if level.warning:
                word = "thread" if threads == 1 else "threads"
                warnings.append(f"warning: {threads} {word}: {level.warning}")
    console.print(table)
    for line in warnings:
        click.echo(line, err=True)


def _size(size: float | None) -> str:
    if size is None or not math.isfinite(size):
        return ""
    return f"{size / 2**20:.3g} MiB" if size >= 2**20 else f"{size / 2**10:.3g} KiB"
