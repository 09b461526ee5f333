"""The command ``python -m kernels machines``."""

from __future__ import annotations

from pathlib import Path

import click
from rich.table import Table

from kernels.machines import table as machine_table
from kernels.machines.machine import FOLDER, HERE, Machine, load, names
from sparring.commands.option_types import Renamed
from sparring.commands.terminal import console


@click.command()
@click.argument("name", nargs=-1)
@click.option("--out", "path", cls=Renamed, former=["--csv"],
              type=click.Path(dir_okay=False, path_type=Path),
              help="Write the roofs to this table, for `python -m plots roofline`, and show "
              "nothing.")  # fmt: skip
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), default=FOLDER,
              help="Folder of the machines' files [default: experiments/machines].")  # fmt: skip
def machines(name: tuple[str, ...], path: Path | None, folder: Path) -> None:
    """Show machines, their caches and theoretical roofs; all that are known, or those named.

    `here` is this machine. Its roofs are measured: python -m kernels ceilings.

    \b
    Examples:
      python -m kernels machines e5-2683v4
      python -m kernels machines --out results/machines.csv
    """  # noqa: D301 (click's mark for a paragraph that is not rewrapped)
    found = [load(one, folder) for one in (name or names(folder))]
    if path is not None:
        count = machine_table.write(path, [machine for machine in found if machine.name != HERE])
        click.echo(f"{count} rows written to {path}")
        return
    for machine in found:
        console(120).print(_caches(machine))
        if machine.clocks:
            console(120).print(_roofs(machine))


def _caches(machine: Machine) -> Table:
    sockets = f"{machine.sockets} socket{'s' if machine.sockets > 1 else ''}"
    title = f"{machine.name}: {machine.title}, {sockets}, {machine.cores} cores, {machine.isa}"
    table = Table(title=title, title_justify="left")
    for heading in ("cache", "KiB", "ways", "line", "cores that share it"):
        table.add_column(heading, justify="right")
    for cache in machine.caches:
        table.add_row(f"L{cache.level}", f"{cache.bytes / 1024:g}", str(cache.ways),
                      str(cache.line), str(cache.shared_by))  # fmt: skip
    return table


def _roofs(machine: Machine) -> Table:
    table = Table(title="theoretical roofs", title_justify="left")
    rows = machine_table.rows(machine)
    levels = list(dict.fromkeys(str(row["level"]) for row in rows if row["kind"] == "bandwidth"))
    for heading in ("cores", "clock"):
        table.add_column(heading)
    for heading in ("GFLOP/s", *(f"{level} GB/s" for level in levels)):
        table.add_column(heading, justify="right")
    for extent, cores in machine.extents.items():
        for clock in machine.clocks:
            roof = machine.roof(cores, clock.name)
            assert roof is not None
            rates = (f"{roof.bandwidth[level]:,.1f}" for level in levels)
            table.add_row(f"{cores} ({extent})", f"{clock.name}, {clock.ghz:g} GHz",
                          f"{roof.peak:,.1f}", *rates)  # fmt: skip
    return table
