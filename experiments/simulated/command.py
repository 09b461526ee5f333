"""A study's emulated points, simulated: the same strategies, lengths and calibration.

python -m experiments.simulated results/strategies.csv
python -m experiments.validation results/strategies.csv results/strategies.simulated.csv \
        --of simulated --against emulated --goal 10
"""

from __future__ import annotations

import hashlib
import math
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click

from experiments.commands import run_command
from experiments.emulated import TRAINING_IMAGES
from experiments.parameters import Parameters, build_strategy, parse
from harness.errors import UserError
from harness.tables.table import (
    ROW_COLUMNS,
    SCHEMA_VERSION,
    format_csv,
    read_rows,
    text_of,
    write_whole,
)
from sparring.modelling.calibration.calibration import Calibration, load
from sparring.modelling.simulator import Job, simulate

_RESULT = (
    "images_per_second", "staleness_mean", "staleness_max", "trainer_utilisation",
    "generator_utilisation", "limit", "simulating_seconds", "calibration",
)  # fmt: skip


def emulated_points(table: Path) -> Iterator[tuple[str, Parameters, str]]:
    """Identifier, parameters and calibration of each emulated point that has a usable row.

    Raises:
        UserError: if the table cannot be read, or has no such point.
        ValueError: for a parameter that is out of range.
    """
    rows = [row for row in read_rows(table) if row["status"] == "ok"]
    points: dict[str, dict[str, Any]] = {}
    for row in rows:
        if row["source"] == "emulated":
            points.setdefault(row["point"], row)
    if not points or "calibration" not in rows[0]:
        raise UserError(f"{table}: no emulated points; expected a table of `harness run --emulate`")
    for point, row in points.items():
        known = [name for name in Parameters.model_fields if row.get(name) is not None]
        values = {name: row[name] for name in known}
        yield point, parse(values), str(row["calibration"])


def on_enough_cores(calibration: Calibration, processes: int) -> Calibration:
    """The calibration with a core for each process, as an emulation assumes."""
    cores = max(processes, calibration.cores_per_node)
    return Calibration.model_validate({**calibration.model_dump(), "cores_per_node": cores})


def job_of(chosen: Parameters) -> Job:
    """The updates of a point; the last minibatch of an epoch is what is left of the images."""
    images = TRAINING_IMAGES[chosen.dataset]
    batch = min(chosen.batch_size, images)
    length = math.ceil(images / batch)

    def rows(number: int) -> int:
        return min(batch, images - number % length * batch)

    return Job(chosen.updates, chosen.adversary_steps, chosen.batch_size, length, rows)


def row_of(
    table: Path, point: str, chosen: Parameters, calibration: Calibration, launch: int
) -> dict[str, Any]:
    """One simulated run of a point; launches differ in the draws of all durations."""
    job = job_of(chosen)
    began = time.perf_counter()
    result = simulate(
        build_strategy(chosen), job, on_enough_cores(calibration, chosen.processes),
        chosen.processes, seed=chosen.seed + launch,
    )  # fmt: skip
    spent = time.perf_counter() - began
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        # What the table does not tell stays empty: the point is to be the same one.
        **chosen.model_dump(include=chosen.model_fields_set),
        "schema_version": SCHEMA_VERSION, "study": table.stem,
        "point": "p" + hashlib.sha256(f"simulated {point}".encode()).hexdigest()[:12],
        "launch": f"simulated-{launch}", "repetition": 0, "warmup": False, "order": launch,
        "source": "simulated", "workload": "sparring.modelling.simulator", "workload_version": 1,
        "cores": chosen.processes, "status": "ok", "message": "", "environment": "",
        "seed": chosen.seed + launch, "started_at": now, "seconds": result.seconds,
        "images_per_second": sum(map(job.rows, range(job.updates))) / result.seconds,
        "staleness_mean": float(result.staleness.mean()),
        "staleness_max": int(result.staleness.max()),
        "trainer_utilisation": result.trainer_utilisation,
        "generator_utilisation": result.generator_utilisation,
        "limit": result.limit.name, "simulating_seconds": spent,
    }  # fmt: skip


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("table", type=click.Path(path_type=Path))
@click.option("--launches", type=click.IntRange(1), default=6, show_default=True,
              help="Simulations of a point, with other draws.")  # fmt: skip
def main(table: Path, launches: int) -> None:
    """Simulate every emulated point of TABLE; write them beside it, as NAME.simulated.csv."""
    names = [name for name in Parameters.model_fields if name not in ROW_COLUMNS]
    columns = (*ROW_COLUMNS, *names, *_RESULT)
    calibrations: dict[str, Calibration] = {}
    rows = []
    for point, chosen, named in emulated_points(table):
        if named not in calibrations:
            inside = table.parent / "calibration" / named
            calibrations[named] = load(inside if inside.is_file() else Path(named))
        for launch in range(launches):
            row = row_of(table, point, chosen, calibrations[named], launch)
            row["calibration"] = named
            rows.append({name: text_of(row.get(name)) for name in columns})
    path = table.with_suffix(".simulated.csv")
    write_whole(path, format_csv(columns, rows))
    spent = sum(float(row["simulating_seconds"]) for row in rows)
    click.echo(f"{len(rows)} simulations of {len(rows) // launches} points in {spent:.1f} s")
    click.echo(f"wrote {path}")


def run() -> int:
    """The command; bad input becomes one sentence on stderr."""
    return run_command(main, "experiments.simulated")
