"""Does data_parallel train the same weights as sequential, on any number of processes?

``python -m experiments.equality --dtype float32 --processes 1 --processes 2`` prints the largest
difference after some updates. Sign-free ascent by raw gradients amplifies rounding little by
little, so float64 agrees to many digits and float32 to fewer.
"""

from __future__ import annotations

import json
import secrets
import sys
import tempfile
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from harness.launch.launcher import find_launcher
from harness.launch.process import run
from harness.machine import machine_cores

#: float64 weights may part by this fraction of the largest weight: rounding, and no more.
TOLERANCE = 1e-9


def train(strategy: str, processes: int, folder: Path, **parameters: Any) -> npt.NDArray[Any]:
    """Flat weights after training with a strategy on real MPI ranks.

    Args:
        strategy: a strategy's name.
        processes: MPI ranks.
        folder: where the ranks leave their files.
        parameters: further parameters of `experiments.parameters.Parameters`.

    Raises:
        RuntimeError: if the ranks fail, with the end of their output.
    """
    name = f"{strategy}-{processes}"
    output, log = folder / f"{name}.npy", folder / f"{name}.log"
    chosen = {"strategy": strategy, "processes": processes, **parameters}
    program = [sys.executable, "-m", "experiments.equality.ranks", json.dumps(chosen), str(output)]
    launcher = find_launcher()
    outcome = run(
        launcher.command(processes, 1, program), launcher.variables(processes, 1),
        mark=f"{name}-{secrets.token_hex(6)}", log=log, limit_seconds=600,
    )  # fmt: skip
    if outcome.exit_code != 0:
        raise RuntimeError(log.read_text(encoding="utf-8")[-2000:])
    return np.asarray(np.load(output))


def difference(weights: npt.NDArray[Any], reference: npt.NDArray[Any]) -> float:
    """Largest absolute difference over the largest absolute weight (dimensionless)."""
    gap = np.abs(weights.astype(np.float64) - reference.astype(np.float64)).max()
    return float(gap / np.abs(reference).max())


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--processes",
    multiple=True,
    type=click.IntRange(1),
    default=(1, 2),
    show_default=True,
    help="Ranks of data_parallel; give it several times.",
)
@click.option("--updates", type=click.IntRange(1), default=20, show_default=True)
@click.option(
    "--steps", type=click.IntRange(1), default=32, show_default=True, help="Adversary steps."
)
@click.option(
    "--dtype", type=click.Choice(["float32", "float64"]), default="float64", show_default=True
)
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@click.option(
    "--network", type=click.Choice(["study", "madry", "resnet20"]), default="study",
    show_default=True, help="resnet20 has batch normalisation.",
)  # fmt: skip
@click.option(
    "--batch-norm", type=click.Choice(["synchronized", "local"]), default="synchronized",
    show_default=True, help="Statistics of the whole minibatch, or of each rank's share.",
)  # fmt: skip
def main(processes: tuple[int, ...], dtype: str, **chosen: Any) -> None:
    """Train a network sequentially and data-parallel; print how far the weights part.

    Exit code 1 if float64 weights part by more than 1e-9 of the largest weight.
    """
    chosen["adversary_steps"] = chosen.pop("steps")
    common = {"dtype": dtype, **chosen}
    with tempfile.TemporaryDirectory() as folder:
        initial = train("sequential", 1, Path(folder), **(common | {"updates": 0}))
        reference = train("sequential", 1, Path(folder), **common)
        click.echo(f"training moved the weights by {difference(reference, initial):.3g}")
        parted = False
        for count in processes:
            weights = train("data_parallel", count, Path(folder), **common)
            gap = difference(weights, reference)
            parted = parted or (dtype == "float64" and gap > TOLERANCE)
            told = " (oversubscribed)" if count > machine_cores() else ""
            click.echo(
                f"data_parallel on {count}{told}, {dtype}, {chosen['updates']} updates of "
                f"{chosen['adversary_steps']} steps: "
                f"largest weight difference to sequential, relative to the largest weight: "
                f"{gap:.3g}"
            )
    if parted:
        sys.exit(1)
