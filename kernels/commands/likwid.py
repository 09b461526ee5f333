"""The command ``python -m kernels likwid``, and what ``ceilings --likwid`` prints."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click
from rich.table import Table

from kernels.table import Row
from kernels.traffic.likwid.bench import compare
from kernels.traffic.likwid.count import Session
from kernels.traffic.likwid.tools import TOOLS, probe
from sparring.commands.terminal import console


@click.command()
def likwid() -> None:
    """Tell what of LIKWID works here, and check the counters against a known volume.

    Where counters cannot be read, bytes are simulated or compulsory instead.
    """
    cpu = min(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 0
    tools = probe(cpu)
    for tool in TOOLS:
        click.echo(f"{tool}: {tools.paths.get(tool, 'not installed')}")
    click.echo(f"pylikwid (optional): {'works' if tools.pylikwid else 'absent or unusable'}")
    if tools.refusal is not None:
        click.echo(tools.refusal)
        return
    click.echo("hardware counters: can be read")
    Session(tools, cpu, click.echo)


def show_comparison(rows: Sequence[Row], isa: str) -> None:
    """Print our roofs beside likwid-bench's, or why there is nothing to compare."""
    bench = probe().paths.get("likwid-bench")
    if bench is None:
        click.echo("likwid-bench is not installed (Debian: apt install likwid): nothing to compare")
        return
    click.echo("measuring the same roofs by likwid-bench", err=True)
    table = Table(title=f"ours beside likwid-bench, {isa}", title_justify="left")
    for heading in ("threads", "level", "kind", "test of likwid-bench"):
        table.add_column(heading)
    for heading in ("ours", "likwid-bench", "ours over theirs", ""):
        table.add_column(heading, justify="right")
    for one in compare(rows, isa, bench, lambda line: click.echo(line, err=True)):
        unit = "GFLOP/s" if one.column == "gflops" else "GB/s"
        theirs = ("", "") if one.theirs is None else (
            f"{one.theirs:.1f}", f"{one.ours / one.theirs:.2f}"
        )  # fmt: skip
        table.add_row(str(one.threads), one.level, one.kind, one.test or "none",
                      f"{one.ours:.1f}", *theirs, unit)  # fmt: skip
    console(120).print(table)
