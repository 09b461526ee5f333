"""Train on one process the model that many processes would have trained, in simulated time.

``python -m experiments.virtual --processes 32 --dataset mnist`` trains an epoch of the original
study's pipeline. Rows are added to a table; what stands there already is not trained again.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import click

from experiments.commands import run_command
from experiments.virtual.training import COPIES, CURVE_IMAGES, FLOWS, flow_name, queues_of, train
from harness.tables.table import ROW_COLUMNS, SCHEMA_VERSION, text_of
from sparring.commands.option_types import Renamed
from sparring.tables import Table

STUDY = "virtual"
MACHINE = Path(__file__).parents[1] / "calibrations" / "m4.16xlarge.toml"

#: What names a point; then what was found.
PARAMETERS = (
    "strategy", "machine", "dataset", "images", "epochs", "adversary_steps", "batch_size",
    "receive_interval", "study_partial_batches", "flow", "evaluation_images",
)  # fmt: skip
FOUND = (
    "updates", "batches", "images_per_second", "staleness_mean", "staleness_max", "loss",
    "robust_accuracy", "first_epoch_seconds", "last_epoch_seconds", "last_epoch_loss", "limit",
    "waiting_weights", "backend_used", "data_digest", "computing_seconds",
)  # fmt: skip
COLUMNS = (*ROW_COLUMNS, *PARAMETERS, *FOUND)
#: Accuracies on the way, of the table of details.
CURVE = ("point", "seed", "update", "simulated_seconds", "robust_accuracy", "loss", "staleness")


def _key(row: dict[str, Any]) -> tuple[str, ...]:
    return tuple(text_of(row[name]) for name in ("processes", "seed", *PARAMETERS))


def _row(parameters: dict[str, Any], seed: int, found: dict[str, Any]) -> dict[str, str]:
    key = _key({**parameters, "seed": seed})
    point = hashlib.sha256(repr((key[0], *key[2:])).encode())  # one point, whatever the seed
    now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    row = {
        "schema_version": SCHEMA_VERSION, "study": STUDY, "point": "p" + point.hexdigest()[:12],
        "launch": now, "repetition": 0, "warmup": False, "order": 0, "source": "simulated",
        "workload": "experiments.virtual", "workload_version": 1, "threads_per_process": 1,
        "cores": parameters["processes"], "seed": seed, "backend": found["backend_used"],
        "status": "ok", "message": "", "environment": "", "started_at": now,
        **parameters, **found,
    }  # fmt: skip
    return {name: text_of(row[name]) for name in COLUMNS}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--processes", "-p", type=click.IntRange(1), multiple=True, default=(32,),
              show_default=True, help="Simulated; may be given several times.")  # fmt: skip
@click.option("--epochs", type=click.IntRange(1), default=1, show_default=True)
@click.option("--receive-interval", "-k", type=click.IntRange(1), multiple=True, default=(1,),
              show_default=True, help="Ascent steps between a generator's looks for weights; may "
              "be given several times.")  # fmt: skip
@click.option("--steps", "adversary_steps", cls=Renamed, former=["--adversary-steps"],
              type=click.IntRange(1), default=32, show_default=True,
              help="Ascent steps of an attack.")  # fmt: skip
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@click.option("--study-partial-batches/--no-study-partial-batches", "defect", default=False,
              help="Train on whole receive buffers, as the study did.")  # fmt: skip
@click.option("--both", is_flag=True, help="With and without --study-partial-batches.")
@click.option("--flow", type=click.Choice(FLOWS), default="live", show_default=True,
              help="How weights travel. credits: one message in flight to a generator; the others "
              "queue without bound, as in the study: live: a look takes what is newest; fifo: the "
              "oldest of the queue; news: the same, where only new versions queue; drain: all of "
              "it.")  # fmt: skip
@click.option("--per-look", type=click.IntRange(1), default=1, show_default=True,
              help="Models that a look takes from the queue (live, fifo, news).")  # fmt: skip
@click.option("--copied-by", type=click.Choice(COPIES), default="both", show_default=True,
              help="Who spends the time of a copy of the weights, but for credits: both ends, or "
              "the receiver alone.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), multiple=True, default=(0,), show_default=True,
              help="May be given several times.")  # fmt: skip
@click.option("--dataset", type=click.Choice(["mnist-5k", "mnist", "fashion-mnist"]),
              default="mnist-5k", show_default=True)  # fmt: skip
@click.option("--images", type=click.IntRange(0), default=0, show_default=True,
              help="Train on the first so many images; 0: on all.")  # fmt: skip
@click.option("--evaluation-images", type=click.IntRange(1), default=10_000, show_default=True)
@click.option(
    "--curve",
    type=click.IntRange(0),
    default=0,
    metavar="N",
    help="Also the accuracy "
    f"on the first {CURVE_IMAGES} test images after every N updates, in NAME.details.csv.",
)
@click.option("--calibration", "machine", cls=Renamed, former=["--machine"],
              type=click.Path(path_type=Path), default=MACHINE,
              help="Calibration of the machine [default: the study's node].")  # fmt: skip
@click.option("--backend", type=click.Choice(["auto", "torch", "fused"]), default="auto",
              show_default=True)  # fmt: skip
@click.option("--threads", type=click.IntRange(1), default=1, show_default=True,
              help="Threads that compute.")  # fmt: skip
@click.option("--out", type=click.Path(dir_okay=False, path_type=Path),
              default=Path("results/virtual.csv"), show_default=True)  # fmt: skip
def main(
    processes: tuple[int, ...], epochs: int, receive_interval: tuple[int, ...],
    adversary_steps: int, batch_size: int, defect: bool, both: bool, flow: str, per_look: int,
    copied_by: Literal["both", "receiver"],
    seed: tuple[int, ...], dataset: str, images: int, evaluation_images: int, curve: int,
    machine: Path,
    backend: str, threads: int, out: Path,
) -> None:  # fmt: skip
    """Train the original study's pipeline as so many processes would have trained it.

    Its network, attack (raw ascent of step 1.0 within [-5, 5] on normalised images), optimizer
    (SGD, 0.01, momentum 0.5) and split of an epoch; robust accuracy is its own metric, after 32
    steps of the same attack. Seconds are simulated, training is real.

    \b
    Examples:
      python -m experiments.virtual -p 1 -p 2 -p 4 --images 2000
      python -m experiments.virtual -p 32 --epochs 10 -k 1 -k 4 -k 32 --dataset mnist
    """  # noqa: D301  (click reads the escape)
    import torch

    torch.set_num_threads(threads)
    name = flow_name(flow, per_look, copied_by)
    for p in processes:
        for interval in receive_interval if p > 1 else (1,):
            for partial in (False, True) if both and p > 1 else (defect and p > 1,):
                for chosen in seed:
                    parameters = {
                        "processes": p, "strategy": "pipeline" if p > 1 else "sequential",
                        "machine": machine.stem, "dataset": dataset, "images": images,
                        "epochs": epochs, "adversary_steps": adversary_steps,
                        "batch_size": batch_size, "receive_interval": interval,
                        "study_partial_batches": partial, "flow": name if p > 1 else "",
                        "evaluation_images": evaluation_images,
                    }  # fmt: skip
                    told = f"p = {p}, interval {interval}, {'with' if partial else 'without'} " \
                           f"the defect, seed {chosen}"  # fmt: skip
                    # Read anew each time: another process may add to the same table.
                    rows = Table(out, COLUMNS).rows() if out.exists() else []
                    done = {_key(row) for row in rows}
                    if _key({**parameters, "seed": chosen}) in done:
                        click.echo(f"{told}: done already")
                        continue
                    found, looks = train(
                        parameters,
                        machine,
                        chosen,
                        queues_of(flow, per_look, copied_by),
                        backend,
                        curve,
                    )
                    row = _row(parameters, chosen, found)
                    shared: dict[str, Any] = {"point": row["point"], "seed": chosen}
                    if looks:
                        details = Table(out.with_suffix(".details.csv"), CURVE)
                        details.append([{**shared, **each} for each in looks])
                    Table(out, COLUMNS).append([row])
                    click.echo(
                        f"{told}: accuracy {found['robust_accuracy']:.4f}, simulated "
                        f"{found['seconds']:.1f} s, loss of the last epoch "
                        f"{found['last_epoch_loss']:.1f}, staleness {found['staleness_mean']:.1f} "
                        f"(at most {found['staleness_max']}), computed in "
                        f"{found['computing_seconds']:.0f} s"
                    )
    click.echo(f"wrote {out}")


def run() -> int:
    """The command; bad input becomes one sentence on stderr."""
    return run_command(main, "experiments.virtual")
