"""The command ``python -m kernels predict``: times by a model, and how right they are."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

import click
from rich.table import Table as RichTable

from kernels.commands.measure import tell
from kernels.machines.machine import HERE, Machine, load
from kernels.machines.roof import Roof
from kernels.measure.sweeps import BATCH
from kernels.prediction.architecture import named, of_here
from kernels.prediction.calibration import MESSAGES, of_predictions
from kernels.table import Row, Table, utc_now
from kernels.traffic.cachesim.passes import passes
from kernels.traffic.cachesim.simulate import Simulated, Wanted, simulate
from sparring.benchmark.machine import cpu_model
from sparring.commands.terminal import console
from sparring.errors import SparringError
from sparring.fused.machine import ISA_VARIABLE, machine_isa
from sparring.modelling.calibration.files import keep

if TYPE_CHECKING:
    from kernels.prediction.code import Piece
    from kernels.prediction.timing import Measured

#: A validation asks for errors of at most so many per cent: the median, and the worst.
MEDIAN, WORST = 15.0, 40.0
#: Apart from measured calibrations, the newest of which is taken for this machine's.
CALIBRATIONS = Path("calibration") / "predicted"


@contextmanager
def with_avx2() -> Iterator[None]:
    """What Valgrind shows programs; roofs, the engine and processes that are started follow it."""
    before = os.environ.get(ISA_VARIABLE)
    os.environ[ISA_VARIABLE] = "avx2"
    try:
        yield
    finally:
        if before is None:
            del os.environ[ISA_VARIABLE]
        else:
            os.environ[ISA_VARIABLE] = before


@click.command()
@click.option("--machine", "names", multiple=True, default=(HERE,), show_default=True,
              help="here, or a machine of experiments/machines that has a `core`; several "
              "times.")  # fmt: skip
@click.option("--validate", is_flag=True,
              help="Tell how far the predictions for this machine are off, in the median and at "
              "worst; ends with an error if that is too far.")  # fmt: skip
@click.option("--kernel", "kernels", multiple=True, help="A kernel's name or its beginning [all].")
@click.option("--variant", "variants", multiple=True, type=click.Choice(["fused", "torch_nchw"]),
              help="[both]")  # fmt: skip
@click.option("--batch-size", "batch_sizes", type=click.IntRange(1), multiple=True,
              default=(BATCH,), show_default=True, help="Several times: each of them.")  # fmt: skip
@click.option("--input-size", type=click.IntRange(9), default=28, show_default=True)
@click.option("--active-cores", type=click.IntRange(1),
              help="Busy cores of a machine that is not here [those of one socket].")  # fmt: skip
@click.option("--calibration", "messages", is_flag=False, flag_value=str(MESSAGES),
              type=click.Path(dir_okay=False, path_type=Path), metavar="[MESSAGES]",
              help="Keep a calibration of the predicted times, for experiments.simulation, in the "
              "results' calibration/predicted/: of the engine's attack_step and update, with the "
              "messages of another calibration [those of the study's node].")  # fmt: skip
@click.option(
    "--results", type=click.Path(file_okay=False, path_type=Path), default=Path("results"),
    show_default=True, help="Folder of prediction.csv, to which rows are added.",
)  # fmt: skip
@with_avx2()
def predict(
    names: Sequence[str], validate: bool, kernels: Sequence[str], variants: Sequence[str],
    batch_sizes: Sequence[int], input_size: int, active_cores: int | None, messages: Path | None,
    results: Path,
) -> None:  # fmt: skip
    """Predict the time of kernels by the Execution-Cache-Memory model, on one core with AVX2.

    In-core cycles are those of OSACA or llvm-mca, whichever has more, for every piece of code that
    ran, times how often it ran, which Callgrind counts; so it does mispredicted branches. The
    traffic is simulated. Needs Valgrind. On this machine the same kernels are measured, too.

    \b
    Examples:
      python -m kernels predict --machine here --validate
      python -m kernels predict --machine e5-2683v4
      python -m kernels predict --machine e5-2683v4 --active-cores 1 \
        --batch-size 1 --batch-size 2 --batch-size 8 --batch-size 64 \
        --variant fused --kernel attack_step --kernel update --calibration
    """  # noqa: D301 (click's mark for a paragraph that is not rewrapped)
    from kernels.prediction import table as rows_of
    from kernels.prediction.timing import measured

    sizes = sorted(set(batch_sizes))
    wanted = [one for size in sizes for one in rows_of.chosen(size, input_size, kernels, variants)]
    machines = [load(name) for name in dict.fromkeys(names)]
    for machine in machines:
        if machine.name != HERE and (machine.core is None or not machine.clocks):
            lacking = "core" if machine.core is None else "clocks"
            raise SparringError(
                f"machine {machine.name}: its description lacks {lacking}, without which nothing "
                "is predicted"
            )
    if validate and HERE not in {machine.name for machine in machines}:
        raise SparringError("--validate: only `here` can be measured; add --machine here")
    table, made = Table(results / "prediction.csv", rows_of.COLUMNS), list[Row]()
    active = {
        machine.name: 1 if machine.name == HERE else active_cores or machine.cores_per_socket
        for machine in machines
    }
    # First what is measured, alone on the machine; then what is simulated, on all cores.
    roof, here = None, None
    if HERE in active:
        roof, here = _roof_here(results), measured(wanted)
        click.echo(here.said)
    with ThreadPoolExecutor(len(machines)) as pool:
        runs = [pool.submit(_ran, one, active[one.name], wanted, results) for one in machines]
    for machine, ran in zip(machines, runs, strict=True):
        pieces, traffic = ran.result()
        own = _predicted(machine, active[machine.name], pieces, traffic, here, roof)
        table.append(own)
        if messages is not None:
            command = " ".join(["python -m kernels predict", *sys.argv[2:]])
            kept = keep(of_predictions(own, machine, messages, command), results / CALIBRATIONS)
            click.echo(f"wrote {kept}")
        made += own
        for size in sizes:
            console(140).print(_summary([row for row in own if row["batch_size"] == size]))
        for line in dict.fromkeys(
            f"{_named(row)}: {row['message']}" for row in own if row["message"]
        ):
            click.echo(line)
    click.echo(f"{len(made)} rows added to {table.path}")
    if validate:
        _judge(made)


def _ran(
    machine: Machine, active: int, wanted: Sequence[Wanted], results: Path
) -> tuple[dict[Wanted, list[Piece]], dict[Wanted, Simulated]]:
    """What the kernels executed, and the traffic between the machine's levels."""
    from kernels.prediction.capture import capture

    core = machine.core if machine.name != HERE else None
    march = named(str(core)).llvm if core else ""
    folder, levels = results / "cachesim", passes(machine, active)
    with ThreadPoolExecutor(1) as pool:
        near = levels[min(1, len(levels) - 1)]
        capturing = pool.submit(capture, wanted, march, near, folder, tell)
        traffic = simulate(wanted, machine, active, folder, tell)
        return capturing.result(), traffic


def _predicted(
    machine: Machine,
    active: int,
    pieces: Mapping[Wanted, list[Piece]],
    traffic: Mapping[Wanted, Simulated],
    here: Measured | None,
    roof: Roof | None,
) -> list[Row]:
    from kernels.prediction import table as rows_of
    from kernels.prediction.ecm import predict as by_model
    from kernels.prediction.incore import Analyser

    own = here if machine.name == HERE else None
    if own is not None and roof is not None:
        core, exact = of_here()
        if not exact:
            tell(f"this processor is not in the analyser's tables: {core.title} is the nearest")
        ghz, links, title = own.ghz, rows_of.links_of_roof(roof), cpu_model()
    else:
        core, ghz, title = named(str(machine.core)), machine.clocks[0].ghz, machine.name
        links = rows_of.links_of_machine(machine, active, ghz)
    run, analyser, found = utc_now(), Analyser(core), list[Row]()
    for item, simulated in traffic.items():
        prediction = by_model(pieces[item], simulated.traffic, links, ghz, analyser)
        times = own.seconds[item] if own is not None else []
        found.append(
            rows_of.row(item, prediction, simulated.flops, times)
            | {"run": run, "machine": title, "core": core.osaca, "ghz": ghz,
               "active_cores": active, "started_at": run}
        )  # fmt: skip
    return found


def _roof_here(results: Path) -> Roof:
    from kernels.machines import core_roofs

    return core_roofs.of_here(results, [1], machine_isa(), tell)[1]


def _judge(rows: Sequence[Row]) -> None:
    """Print the errors' median and worst.

    Raises:
        SparringError: if they are too large, or nothing was compared.
    """
    errors = {
        _named(row): abs(error) for row in rows if isinstance(error := row["error_percent"], float)
    }
    if not errors:
        raise SparringError("nothing was both predicted and measured")
    worst = max(errors, key=lambda name: errors[name])
    middle = median(errors.values())
    said = (
        f"{len(errors)} kernels: the prediction is off by {middle:.0f} % in the median, by "
        f"{errors[worst]:.0f} % at worst ({worst})"
    )
    click.echo(said)
    if middle > MEDIAN or errors[worst] > WORST:
        raise SparringError(
            f"{said}; at most {MEDIAN:g} % and {WORST:g} % are asked for, on an idle machine"
        )


def _named(row: Row) -> str:
    return f"{row['kernel']} {row['variant']} of {row['batch_size']}"


def _summary(rows: Sequence[Row]) -> RichTable:
    first = rows[0] if rows else dict.fromkeys(("machine", "core", "ghz", "batch_size"))
    title = (
        f"{first['machine']} as {first['core']} at {first['ghz']:.2f} GHz, batches of "
        f"{first['batch_size']}, predicted: us a call"
    )
    table = RichTable(title=title if rows else "nothing was predicted", title_justify="left")
    for heading in ("kernel", "variant"):
        table.add_column(heading, no_wrap=True)
    parts = {
        "OSACA": "throughput_seconds", "llvm-mca": "second_opinion_seconds",
        "branches": "mispredicted_seconds", "fetch": "fetch_seconds", "loads": "load_seconds",
        "data": "data_seconds", "all": "seconds", "measured": "measured_seconds",
    }  # fmt: skip
    for heading in (*parts, "GFLOP/s", "error"):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in rows:
        cells = {name: _cell(row, name, 1e6) for name in parts.values()}
        cells["seconds"] = cells["seconds"] or str(row["status"])
        table.add_row(
            str(row["kernel"]),
            str(row["variant"]),
            *cells.values(),
            _cell(row, "gflops", 1),
            f"{row['error_percent']:+.0f} %" if row["error_percent"] is not None else "",
        )
    return table


def _cell(row: Row, name: str, factor: float) -> str:
    value = row[name]
    return f"{factor * value:.1f}" if isinstance(value, int | float) else ""
