"""How far each strategy scales on described machines, by simulation.

``python -m experiments.simulation`` writes results/simulation.csv (``source`` is ``simulated``).
"""

from __future__ import annotations

import csv
import resource
from pathlib import Path
from typing import Any

import click

from experiments.commands import run_command
from experiments.simulation.study import COLUMNS, machine_of, point, read, study_point
from harness.tables.table import format_csv, write_whole
from sparring.modelling.calibration.calibration import load

HERE = Path(__file__).parents[1]
#: Below this efficiency a strategy has stopped scaling.
STOPPED = 0.5


def newest_calibration(results: Path) -> Path | None:
    """The calibration that was written last, if there is one."""
    found = sorted((results / "calibration").glob("*.json"), key=lambda path: path.stat().st_mtime)
    return found[-1] if found else None


def describe(rows: list[dict[str, str]]) -> list[str]:
    """Per machine and series: the largest p, and where it stopped scaling."""
    groups: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in rows:
        if row["definition"] != "study":
            key = (row["machine"], row["definition"], row["variant"])
            groups.setdefault(key, []).append(row)
    width = max((len(variant) for _, _, variant in groups), default=0)
    lines = [f"machine            scaling    {'strategy':{width}} S at 32  trainers  staleness  "
             "limit at 32    efficient to p  then limited by  largest p: S"]  # fmt: skip
    for (machine, definition, variant), group in groups.items():
        at32 = next((row for row in group if row["processes"] == "32"), None)
        good = [row for row in group if float(row["efficiency"]) >= STOPPED]
        bad = [row for row in group if float(row["efficiency"]) < STOPPED]
        last = group[-1]
        lines.append(
            f"{machine[:18]:18} {definition:10} {variant:{width}} "
            f"{float(at32['speedup']) if at32 else 0:7.1f}  {at32['trainers'] if at32 else '':>8}  "
            f"{float(at32['staleness_mean']) if at32 else 0:9.1f}  "
            f"{at32['limit'] if at32 else '':14} "
            f"{good[-1]['processes'] if good else '-':>14}  "
            f"{bad[0]['limit'] if bad else '-':15}  {last['processes']}: "
            f"{float(last['speedup']):.1f} ({last['limit']})"
        )
    return lines


def study_lines(rows: list[dict[str, str]], reference: Path) -> list[str]:
    """The study's epochs: measured, simulated, and by the closed form."""
    with reference.open(encoding="utf-8", newline="") as file:
        measured = {row["processes"]: row for row in csv.DictReader(file)}
    one = measured["1"]
    generate = float(one["generate_seconds_per_batch"])
    update = float(one["train_seconds_per_batch"])
    lines = ["  p   measured s   simulated s            closed form s          limit"]
    for row in rows:
        if row["definition"] != "study" or row["processes"] not in measured:
            continue
        p, here = int(row["processes"]), float(measured[row["processes"]]["epoch_seconds"])
        closed = 938 * (max(update, generate / (p - 1)) if p > 1 else generate + update)
        seconds = float(row["seconds"])
        lines.append(
            f"{p:3}   {here:10.1f}   {seconds:8.1f} ({100 * (seconds / here - 1):+5.1f} %)    "
            f"{closed:8.1f} ({100 * (closed / here - 1):+5.1f} %)   {row['limit']}"
        )
    return lines


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("description", type=click.Path(path_type=Path), default=HERE / "simulation.toml")
@click.option("--results", type=click.Path(file_okay=False, path_type=Path),
              default=Path("results"), show_default=True)  # fmt: skip
@click.option("--calibration", type=click.Path(dir_okay=False, path_type=Path),
              help="Of this machine [default: the newest in RESULTS/calibration].")  # fmt: skip
@click.option("--processes", type=click.IntRange(1),
              help="Leave out points with more processes.")  # fmt: skip
def main(description: Path, results: Path, calibration: Path | None, processes: int | None) -> None:
    """Simulate the series of DESCRIPTION on its machines; write RESULTS/simulation.csv.

    A strategy has stopped scaling where its efficiency falls below one half; what limits it there
    is where most of the time goes of whoever all others wait for (docs/simulation.md).
    """
    simulation = read(description)
    here = calibration or newest_calibration(results)
    rows: list[dict[str, Any]] = []
    longest = (0.0, "")
    for entry in simulation.machines:
        cluster = machine_of(entry, description.parent, here)
        if cluster is None:
            click.echo("no calibration of this machine: `python -m sparring calibrate` makes one")
            continue
        for series in simulation.series:
            for p in series.processes:
                if processes is not None and p > processes:
                    continue
                row = point(simulation, series, cluster, p)
                rows.append(row)
                told = f"{series.variant} ({series.definition}) on {p} processes"
                longest = max(longest, (float(row["simulating_seconds"]), told))
    if simulation.study is not None:
        study = simulation.study
        node = load(description.parent / study.calibration)
        rows += [study_point(simulation, study, node, p) for p in study.processes]
    path = results / "simulation.csv"
    write_whole(path, format_csv(COLUMNS, rows))
    click.echo("\n".join(describe(rows)))
    if simulation.study is not None:
        reference = HERE.parent / "results" / "reference" / "strong_scaling.csv"
        click.echo("\nthe study's epoch, from its row of one process and stated facts")
        click.echo("\n".join(study_lines(rows, reference)))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    click.echo(f"\nlongest simulation: {longest[1]}, {longest[0]:.1f} s; peak memory of all "
               f"{peak:.0f} MiB\nwrote {path}")  # fmt: skip


def run() -> int:
    """The command; bad input becomes one sentence on stderr."""
    return run_command(main, "experiments.simulation")
