"""The commands ``python -m kernels measure`` and ``python -m kernels list``."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click
from rich.table import Table as RichTable

from kernels.machines.caches import cores
from kernels.machines.machine import HERE, load
from kernels.measure.sweeps import PRESETS, Item, narrowed
from kernels.table import Row, Table, Value
from sparring.benchmark.machine import cpu_model
from sparring.commands.terminal import console
from sparring.errors import SparringError
from sparring.fused.machine import machine_isa

if TYPE_CHECKING:
    from kernels.machines.core_roofs import Above

_numbers = click.IntRange(1)


def tell(line: str) -> None:
    """Say something about the progress."""
    click.echo(line, err=True)


@click.command()
@click.option(
    "--kernel", "kernels", multiple=True,
    help="A kernel's name or its beginning, such as conv2; list shows them [all].",
)  # fmt: skip
@click.option(
    "--variant", "variants", multiple=True,
    help="A variant, such as fused or torch_nchw [all].",
)  # fmt: skip
@click.option("--batch-size", "batch_sizes", multiple=True, type=_numbers,
              help="Images; instead of the preset's cases.")  # fmt: skip
@click.option("--input-size", "input_sizes", multiple=True, type=click.IntRange(9),
              help="Rows and columns of an image; instead of the preset's cases.")  # fmt: skip
@click.option("--threads", "threads", multiple=True, type=_numbers,
              help="PyTorch's and the engine's; instead of the preset's cases.")  # fmt: skip
@click.option("--preset", type=click.Choice(list(PRESETS)), default="laptop", show_default=True)
@click.option("--machine", "machines", multiple=True, default=(HERE,), show_default=True,
              help="here, or a machine of experiments/machines, on whose roofs kernels are placed "
              "without being timed; may be given several times.")  # fmt: skip
@click.option("--bytes-source", "sources", multiple=True, default=("auto",), show_default=True,
              type=click.Choice(["auto", "compulsory", "cachesim", "likwid"]),
              help="compulsory: each input and output once; cachesim: simulated by Valgrind, with "
              "one thread; likwid: counted by this processor, else simulated; auto: compulsory, "
              "and where the preset has it likwid or cachesim.")  # fmt: skip
@click.option("--active-cores", type=_numbers,
              help="Busy cores of a machine that is not here, which share its caches and memory "
              "[those of one socket].")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True, help="Of the order.")
@click.option(
    "--results", type=click.Path(file_okay=False, path_type=Path), default=Path("results"),
    show_default=True, help="Folder of the tables, to which rows are added.",
)  # fmt: skip
def measure(
    kernels: Sequence[str], variants: Sequence[str], batch_sizes: Sequence[int],
    input_sizes: Sequence[int], threads: Sequence[int], preset: str, machines: Sequence[str],
    sources: Sequence[str], active_cores: int | None, seed: int, results: Path,
) -> None:  # fmt: skip
    """Time the kernels, check them, and place them under the roofs.

    The roofs of this machine are those of the latest `ceilings` with as many threads; without them
    they are measured first.

    \b
    Examples:
      python -m kernels measure --preset smoke
      python -m kernels measure --kernel conv2 --batch-size 64 --bytes-source cachesim
      python -m kernels measure --machine here --machine e5-2683v4
    """  # noqa: D301 (click's mark for a paragraph that is not rewrapped)
    from kernels.declarations.registry import VARIANTS
    from kernels.machines import core_roofs as shares
    from kernels.measure.measure import Measurement, checked_sources, planned
    from kernels.measure.rows import COLUMNS

    for name in variants:
        if name not in VARIANTS:
            raise SparringError(f"variant {name!r} is not known; expected {', '.join(VARIANTS)}")
    described = [load(name) for name in dict.fromkeys(machines)]
    active = {m.name: active_cores or m.cores_per_socket for m in described} | {HERE: 1}
    for machine in described:
        if machine.name != HERE:
            shares.of_core(machine, active[machine.name])  # fails now if it lacks numbers
    chosen = narrowed(PRESETS[preset], batch_sizes, input_sizes, threads)
    items = planned(chosen, kernels, variants, bool({"cachesim", "likwid"} & set(sources)))
    if too_many := [count for count in threads if count > len(cores())]:
        raise SparringError(f"{too_many[0]} threads: this process may use {len(cores())} cores")
    isa, table = machine_isa(), Table(results / "roofline.csv", COLUMNS)
    roofs = shares.of_here(
        results, {item.threads for item in items}, isa, tell, rounds=2 if preset == "smoke" else 7
    )
    work = Measurement(
        isa, roofs, described, active, checked_sources(sources), results / "cachesim",
        table.append, tell,
    )  # fmt: skip

    def measured(which: Sequence[Item], seed: int) -> list[Row]:
        return work.measure(
            which, repetitions=chosen.repetitions, seconds=chosen.seconds, seed=seed
        )  # fmt: skip

    rows = measured(items, seed)
    by_threads = {
        number: [row for row in rows if row["threads"] == number and row["source"] == "measured"]
        for number in sorted(roofs)
    }
    # A host's memory is faster in one minute than in another.
    high = {n: shares.above(own, roofs[n], None, median) for n, own in by_threads.items()}
    again = [item for item in items if any(_is_of(point, item) for point in high[item.threads])]
    now = roofs
    if again:
        tell(f"{len(again)} cases lie above their roof: taking more samples of them and the roofs")
        now = shares.of_here_again(results, roofs, isa)
        more = measured(again, seed + 1)
        rows += more
        for number, own in by_threads.items():
            own += [r for r in more if r["threads"] == number and r["source"] == "measured"]
    if any(row["seconds"] for row in rows):
        console(120).print(_summary(rows))
    for line in dict.fromkeys(_complaint(row) for row in rows if row["status"] != "ok"):
        click.echo(line)
    click.echo(f"{len(rows)} rows added to {table.path}")
    above = [
        sentence
        for number, own in by_threads.items()
        for sentence in shares.doubts(own, now[number], roofs[number])
    ]
    for sentence in above:
        click.echo(f"above its roof: {sentence}", err=True)
    if any(row["status"] == "failed" for row in rows):
        raise SparringError("some results were wrong, and have no times; see the table")
    if above:
        raise SparringError(
            f"{len(above)} points lie above their roof by more than the interval of both: the "
            "roofs were measured while something else ran; measure them again (python -m kernels "
            "ceilings) on a quiet machine, then this. The rows are in the table"
        )


def _is_of(point: Above, item: Item) -> bool:
    _, _, kernel, variant, *size = point.key[:6]
    case = [item.case.batch_size, item.case.input_size]
    return kernel == item.kernel.name and variant in item.variants and size == case


def _complaint(row: Row) -> str:
    case = f"batch {row['batch_size']}, {row['input_size']} pixels, {row['threads']} threads"
    return f"{row['status']}: {row['kernel']} {row['variant']}, {case}: {row['message']}"


def _summary(rows: Sequence[Row]) -> RichTable:
    """Medians of the batch size nearest to 64 on one thread, here, at its nearest roof."""
    groups: dict[tuple[Value, ...], list[Row]] = {}
    for row in rows:
        if row["seconds"] is not None and row["threads"] == 1 and row["input_size"] == 28:
            key = tuple(
                row[name] for name in ("kernel", "variant", "batch_size", "bytes_source", "level")
            )
            groups.setdefault(key, []).append(row)
    batches = [batch for key in groups if isinstance(batch := key[2], int)]
    nearest = min(batches, key=lambda batch: abs(batch - 64)) if batches else 0
    title = f"{cpu_model()}, 1 thread, batch size {nearest}"
    table = RichTable(title=title, title_justify="left")
    for heading in ("kernel", "variant", "bytes"):
        table.add_column(heading, no_wrap=True)
    for heading in ("level", "us a call", "GFLOP/s", "FLOP/B", "ceiling", "% of it"):
        table.add_column(heading, justify="right")
    for key in sorted(groups, key=str):
        group = groups[key]
        if key[2] == nearest:
            table.add_row(
                str(key[0]), str(key[1]), str(key[3]), str(key[4]),
                *(_cell(group, column, form, factor) for column, form, factor in (
                    ("seconds", ".1f", 1e6), ("gflops", ".1f", 1),
                    ("arithmetic_intensity", ".2f", 1))),
                *(_cell(group, column, form, 1) for column, form in (
                    ("ceiling_gflops", ".1f"), ("percent_of_ceiling", ".0f"))),
            )  # fmt: skip
    return table


def _cell(rows: Sequence[Row], column: str, form: str, factor: float) -> str:
    values = [value for row in rows if isinstance(value := row[column], int | float)]
    return format(factor * median(values), form) if values and any(values) else ""


@click.command(name="list")
@click.option("--batch-size", type=_numbers, default=64, show_default=True)
@click.option("--input-size", type=click.IntRange(9), default=28, show_default=True)
def list_kernels(batch_size: int, input_size: int) -> None:
    """Show the kernels with their FLOPs, compulsory bytes and variants."""
    from kernels.declarations.kernel import Case
    from kernels.declarations.registry import KERNELS

    case = Case(batch_size, input_size)
    table = RichTable(title=f"batch size {batch_size}, {input_size} pixels", title_justify="left")
    table.add_column("kernel")
    for heading in ("MFLOP", "MB", "FLOP/B"):
        table.add_column(heading, justify="right")
    table.add_column("variants")
    for kernel in KERNELS.values():
        flops, size = kernel.flops(case), kernel.bytes(case)
        table.add_row(
            kernel.name, f"{flops / 1e6:.4g}", f"{size / 1e6:.4g}", f"{flops / size:.3g}",
            ", ".join(kernel.variants),
        )  # fmt: skip
    console(120).print(table)
