"""The command line: ceilings and stages; the other commands have modules of their own."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click
from rich.table import Table as RichTable

from kernels.commands.cachesim import cachesim
from kernels.commands.levels import show_levels
from kernels.commands.likwid import likwid, show_comparison
from kernels.commands.machines import machines
from kernels.commands.measure import list_kernels, measure, tell
from kernels.commands.predict import predict
from kernels.machines import ceilings as roofs
from kernels.machines import core_roofs as shares
from kernels.machines import curve
from kernels.machines.caches import cores
from kernels.machines.roof import Roof
from kernels.table import Row, Table, utc_now
from sparring.benchmark.machine import cpu_model
from sparring.benchmark.plan import WEIGHTS
from sparring.commands.group import Group
from sparring.commands.option_types import Renamed
from sparring.commands.terminal import console
from sparring.fused.machine import Isa, machine_isa

if TYPE_CHECKING:
    from torch import Tensor, nn


class _Kernels(Group):
    """Rows are added as they are measured."""

    interrupted = "interrupted; what was measured is in the table"


def _threads(context: click.Context, option: click.Parameter, values: Sequence[str]) -> list[int]:
    """Numbers of threads; ``all`` is one on each core."""
    counts = []
    for value in values:
        if value != "all" and not (value.isdecimal() and int(value) > 0):
            raise click.BadParameter(f"{value!r} is neither a number of threads nor 'all'")
        counts.append(len(cores()) if value == "all" else int(value))
    return counts


_results = click.option(
    "--results", type=click.Path(file_okay=False, path_type=Path), default=Path("results"),
    show_default=True, help="Folder of the tables, to which rows are added.",
)  # fmt: skip


@click.group(cls=_Kernels, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Place the compute kernels on this machine's roofline.

    \b
    python -m kernels ceilings    measure the roofs: peak and bandwidths
    python -m kernels stages      the fused engine's stages, and how near the roofs they come
    python -m kernels list        the kernels with their FLOPs, bytes and variants
    python -m kernels measure     time the kernels and place them under the roofs
    python -m kernels predict     times by a model of the core and its caches, and their errors
    python -m kernels cachesim    simulated traffic beside what is derived by hand
    python -m kernels machines    machines that are known, their caches and theoretical roofs
    python -m kernels likwid      what of LIKWID works here
    """  # noqa: D301 (click's mark for a paragraph that is not rewrapped)
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")


main.add_command(list_kernels)
main.add_command(machines)
main.add_command(likwid)
main.add_command(measure)
main.add_command(cachesim)
main.add_command(predict)


@main.command()
@click.option(
    "--threads", multiple=True, default=("1", "all"), show_default=True, callback=_threads,
    metavar="NUMBER|all",
    help="Threads, each bound to a core of its own; may be given several times.",
)  # fmt: skip
@click.option("--rounds", type=click.IntRange(1), default=7, show_default=True,
              help="Samples of each roof.")  # fmt: skip
@click.option(
    "--seconds", type=click.FloatRange(0, min_open=True), default=0.02, show_default=True,
    help="How long a sample lasts, nearly.",
)  # fmt: skip
@click.option(
    "--likwid", "beside", is_flag=True,
    help="Measure the roofs by likwid-bench as well, and compare; it adds no rows.",
)  # fmt: skip
@_results
def ceilings(
    threads: Sequence[int], rounds: int, seconds: float, beside: bool, results: Path
) -> None:
    """Measure the peak of multiply-adds and the bandwidth of each level of memory.

    Float32, with the widest vectors of this processor (SPARRING_ISA names narrower ones). sgemm is
    NumPy's matrix product, by the vectors that its library chooses: what one reaches. A triad
    a = b + s c counts 12 bytes an element: the line that an ordinary store fetches first is not
    counted, and triad_nontemporal does not fetch it.

    First the bandwidth over the working set is measured (bandwidth_curve.csv). Its plateaus tell
    what a program has of each cache, which on a virtual machine may be less than the system says;
    each level's roof is then measured where the curve is highest on its plateau.
    """
    table, rows = Table(results / "ceilings.csv", roofs.COLUMNS), list[Row]()
    curves, shape = Table(results / shares.CURVE, curve.COLUMNS), list[Row]()
    isa = machine_isa()

    def add(row: Row) -> None:
        table.append([row])
        rows.append(row)

    def add_to_curve(row: Row) -> None:
        curves.append([row])
        shape.append(row)

    roofs.measure(
        threads, isa, rounds=rounds, seconds=seconds, add=add, add_to_curve=add_to_curve, tell=tell
    )
    show_levels(console(120), shape)
    console(120).print(_ceilings_table(rows, f"{cpu_model()}, {isa.name}"))
    click.echo(f"{len(rows)} rows added to {table.path}, {len(shape)} to {curves.path}")
    if beside:
        show_comparison(rows, isa.name)


def _ceilings_table(rows: Sequence[Row], title: str) -> RichTable:
    table = RichTable(title=title, title_justify="left")
    for heading in ("threads", "level", "kind"):
        table.add_column(heading)
    for heading in ("working set", "n", "median", "min to max", ""):
        table.add_column(heading, justify="right")
    order = ("FMA", "L1", "L2", "L3", "L4", "DRAM")
    groups: dict[tuple[int, int, str, str], list[Row]] = {}
    for row in rows:
        threads, level = row["threads"], str(row["level"])
        assert isinstance(threads, int)
        key = (threads, order.index(level), level, str(row["kind"]))
        groups.setdefault(key, []).append(row)
    for key in sorted(groups):
        group = groups[key]
        column = "gflops" if key[2] == "FMA" else "gbytes_per_second"
        rates = [rate for row in group if isinstance(rate := row[column], float)]
        table.add_row(
            str(key[0]), key[2], key[3], _size(group[0]["working_set_bytes"]), str(len(rates)),
            f"{median(rates):.1f}", f"{min(rates):.1f} to {max(rates):.1f}",
            "GFLOP/s" if column == "gflops" else "GB/s",
        )  # fmt: skip
    return table


def _size(size: object) -> str:
    if not isinstance(size, int):
        return ""
    return f"{size / 2**20:.4g} MiB" if size >= 2**20 else f"{size / 2**10:.4g} KiB"


@main.command()
@click.option(
    "--network", type=click.Choice(["study", "madry"]), default="study", show_default=True
)
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@click.option("--steps", type=click.IntRange(1), default=20, show_default=True,
              help="Steps of each attack.")  # fmt: skip
@click.option("--rounds", cls=Renamed, former=["--repetitions"], type=click.IntRange(1),
              default=7, show_default=True, help="Attacks that are timed.")  # fmt: skip
@click.option(
    "--layout", type=click.Choice(["wide", "tile"]), default="wide", show_default=True,
    help="Which kernel: an image to each lane of a vector, or places of one image in the lanes.",
)  # fmt: skip
@click.option(
    "--weights", type=click.Choice(WEIGHTS), default="initial", show_default=True,
    help="Of the network: as they are drawn, or after some seconds of clean training. Times depend "
    "on how many ReLUs are open.",
)  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=0, show_default=True)
@_results
def stages(
    network: str, batch_size: int, steps: int, rounds: int, layout: str, weights: str,
    seed: int, results: Path,
) -> None:  # fmt: skip
    """Time the fused engine's stages in an attack, and place them under this machine's roofs.

    One thread; PGD's L-infinity step. The roofs are those of the latest `ceilings` of this machine;
    without one they are measured.
    """
    from kernels.measure import placement
    from kernels.measure.stages import measure

    isa = machine_isa()
    table = Table(results / "engine_stages.csv", placement.COLUMNS)
    over = _roof(results, isa)
    model, images, labels = _problem(network, batch_size, seed, weights)
    common: dict[str, str | int] = {
        "run": utc_now(), "network": network, "weights": weights, "variant": f"fused_{layout}",
        "dtype": "float32", "threads": 1, "machine": cpu_model(), "isa": isa.name,
        "source": "measured", "started_at": utc_now(),
    }  # fmt: skip
    measured = measure(
        model, images, labels, isa, layout, steps=steps, repetitions=rounds, seed=seed
    )
    rows = placement.rows(measured, over, batch_size=batch_size, steps=steps, common=common)
    table.append(rows)
    title = (
        f"{network}, {weights} weights, fused {layout}, batch size {batch_size}, {steps} steps, "
        "1 thread"
    )
    console(120).print(placement.summary(rows, title))
    ratios = [sample.overhead for sample in measured.samples]
    click.echo(
        f"counting ticks made the attack {median(ratios):.3f} times as long "
        f"({min(ratios):.3f} to {max(ratios):.3f})"
    )
    click.echo(f"{len(rows)} rows added to {table.path}")
    # A stage of some hundred nanoseconds may seem faster than it is: told, and no error.
    for sentence in shares.doubts(rows, over):
        click.echo(f"warning: {sentence}", err=True)


def _roof(results: Path, isa: Isa) -> Roof:
    return shares.of_here(results, [1], isa, tell)[1]


def _problem(
    network: str, images: int, seed: int, weights: str
) -> tuple[nn.Module, Tensor, Tensor]:
    """A network, and images that attacks are made on."""
    from sparring import data
    from sparring.benchmark import problem

    made = problem.make(network, data.load("mnist-5k"), images, seed, weights)
    return made.model, made.images, made.labels
