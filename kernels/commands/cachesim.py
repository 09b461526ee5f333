"""The command ``python -m kernels cachesim``: simulated traffic beside what is derived by hand."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
from rich.table import Table

from kernels.machines.machine import HERE, load
from kernels.traffic.analytic import Line
from sparring.commands.option_types import Renamed
from sparring.commands.terminal import console
from sparring.errors import SparringError


@click.command()
@click.option("--machine", "name", default="e5-2683v4", show_default=True,
              help="Whose caches; `here` is this machine.")  # fmt: skip
@click.option("--active-cores", type=click.IntRange(1),
              help="Busy cores, which share the shared caches [one here, else those of one "
              "socket].")  # fmt: skip
@click.option("--rounds", cls=Renamed, former=["--runs"], type=click.IntRange(1), default=2,
              show_default=True,
              help="Simulations from the beginning, to see whether they repeat.")  # fmt: skip
def cachesim(name: str, active_cores: int | None, rounds: int) -> None:
    """Simulate three kernels whose traffic can be derived by hand, and compare.

    Nothing is kept, so that each round simulates anew, which takes minutes. Ends with an error if a
    number is off by more than 5 % and 64 KiB, which PyTorch itself goes through.
    """
    from kernels.declarations.registry import KERNELS
    from kernels.traffic import analytic as byhand
    from kernels.traffic.cachesim import simulate as cachesim
    from kernels.traffic.cachesim.passes import passes

    machine = load(name)
    active = active_cores or (1 if name == HERE else machine.cores_per_socket)
    items = byhand.wanted()
    found = []
    for number in range(1, rounds + 1):
        click.echo(f"round {number} of {rounds}", err=True)
        with tempfile.TemporaryDirectory() as folder:
            found.append(cachesim.simulate(items, machine, active, Path(folder), lambda line: None))
    least = {item: KERNELS[item.kernel].bytes(item.case) for item in items}
    lines = byhand.compare(passes(machine, active), found, least)
    title = f"traffic on {machine.name}, {active} busy core{'' if active == 1 else 's'} [MB a call]"
    console(120).print(table(lines, title))
    if rounds > 1:
        furthest = max(line.spread for line in lines)
        click.echo(f"rounds differ by {furthest / 1e6:.4f} MB at most")
    if wrong := [line for line in lines if not line.agrees]:
        raise SparringError(
            f"{wrong[0].item.kernel} at {wrong[0].level}: what was simulated is not what was "
            "derived by hand; see the table"
        )


def table(lines: Sequence[Line], title: str) -> Table:
    """Of what was derived and simulated."""
    shown = Table(title=title, title_justify="left")
    for heading in ("kernel", "batch", "level"):
        shown.add_column(heading)
    for heading in ("compulsory", "by hand", "simulated", "agrees"):
        shown.add_column(heading, justify="right")
    for line in lines:
        low, high = f"{line.derived.low / 1e6:.3f}", f"{line.derived.high / 1e6:.3f}"
        shown.add_row(
            line.item.kernel, str(line.item.case.batch_size), line.level,
            f"{line.compulsory / 1e6:.3f}", low if low == high else f"{low} to {high}",
            ", ".join(f"{size / 1e6:.3f}" for size in line.simulated),
            "yes" if line.agrees else "NO",
        )  # fmt: skip
    return shown
