"""When to take which strategy: a table made by the simulator.

python -m experiments.advice CALIBRATION ...
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from experiments.commands import run_command
from sparring.modelling.calibration.calibration import Calibration, load
from sparring.modelling.simulator import Job, simulate
from sparring.strategies import DataParallel, Pipeline, Sequential, Sharded, Strategy

#: Those that lose no robustness (docs/robustness.md): adversaries are new, or are refreshed.
STRATEGIES: dict[str, Strategy] = {
    "data_parallel": DataParallel(),
    "sharded, refreshed": Sharded(overlap=True, refresh_steps=1),
    "pipeline, trainer group, refreshed": Pipeline(
        weights="window", messages="packed", receive="completion", send="double_buffered",
        weight_sends="on_change", receive_interval=8, trainers="auto", refresh_steps=1,
    ),
}  # fmt: skip
_BATCHES_PER_PROCESS = 20


def speedups(
    calibration: Calibration, processes: int, batch_size: int, steps: int
) -> dict[str, tuple[float, int]]:
    """Each strategy's speed-up over one process, and its trainers.

    Args:
        calibration: the machine; its node is taken to have as many cores as there are processes.
        processes: ranks, from 2.
        batch_size: images in a minibatch.
        steps: ascent steps of an attack.
    """
    cores = {"cores_per_node": max(processes, calibration.cores_per_node)}
    machine = Calibration.model_validate({**calibration.model_dump(), **cores})
    updates = _BATCHES_PER_PROCESS * processes
    one = simulate(Sequential(), Job(100, steps, batch_size), machine, 1).seconds / 100
    found = {}
    for name, strategy in STRATEGIES.items():
        result = simulate(strategy, Job(updates, steps, batch_size, updates), machine, processes)
        found[name] = (one * updates / result.seconds, result.trainers)
    return found


def table(
    calibrations: Sequence[tuple[str, Calibration]], processes: Sequence[int],
    batch_sizes: Sequence[int], steps: Sequence[int],
) -> list[str]:  # fmt: skip
    """Lines of a Markdown table; of each row the largest speed-up is bold."""
    lines = [
        f"| cores like | p | batch | steps | {' | '.join(STRATEGIES)} (trainers) |",
        "| --- |" + " --- |" * (3 + len(STRATEGIES)),
    ]
    for title, calibration in calibrations:
        for p in processes:
            for batch in batch_sizes:
                for count in steps:
                    found = speedups(calibration, p, batch, count)
                    best = max(value for value, _ in found.values())
                    cells = []
                    for name, (value, trainers) in found.items():
                        text = f"**{value:.1f}**" if value == best else f"{value:.1f}"
                        cells.append(f"{text} ({trainers})" if "pipeline" in name else text)
                    lines.append(f"| {title} | {p} | {batch} | {count} | {' | '.join(cells)} |")
    return lines


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("calibrations", nargs=-1, required=True,
                type=click.Path(path_type=Path, exists=True, dir_okay=False))  # fmt: skip
@click.option("--processes", type=click.IntRange(2), multiple=True, default=(8, 32, 64),
              show_default=True, help="May be given several times.")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1), multiple=True, default=(64, 256),
              show_default=True, help="May be given several times.")  # fmt: skip
@click.option("--steps", type=click.IntRange(1), multiple=True, default=(7, 32),
              show_default=True, help="Ascent steps; may be given several times.")  # fmt: skip
def main(
    calibrations: tuple[Path, ...], processes: tuple[int, ...], batch_size: tuple[int, ...],
    steps: tuple[int, ...],
) -> None:  # fmt: skip
    """Simulated speed-ups over one process of the strategies that lose no robustness.

    On one node of CALIBRATIONS' cores each; for the pipeline also how many ranks train.
    """
    loaded = [(path.stem.partition(".")[0], load(path)) for path in calibrations]
    click.echo("\n".join(table(loaded, processes, batch_size, steps)))


def run() -> int:
    """The command; bad input becomes one sentence on stderr."""
    return run_command(main, "experiments.advice")
