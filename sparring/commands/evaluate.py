"""``python -m sparring evaluate`` and ``gallery``: how robust a network is, and pictures."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparring.commands import options
from sparring.commands.option_types import FiniteRange
from sparring.outputs import check_outputs, number_or_none, write, write_all

if TYPE_CHECKING:
    from sparring.robustness.load import Trained
    from sparring.robustness.results import Row

_network_options = options.together(
    options.network(default=None, help="[default: what the checkpoint tells, else study]"),
    options.dataset(default=None, help="[default: what the checkpoint tells, else mnist-5k]"),
    options.data,
    click.option("--normalized/--pixels", default=None, help="Whether the network takes the "
                 "study's normalised images [default: what the checkpoint tells, else not]."),
    options.backend("What computes our attacks."),
    options.threads(),
    options.seed("Of the attacks' random starts."),
)  # fmt: skip


@click.command()
@click.argument("checkpoint", type=options.FILE)
@_network_options
@click.option("--images", type=click.IntRange(1), help="The first so many test images "
              "[default: all].")  # fmt: skip
@click.option("--epsilon", type=FiniteRange(0, min_open=True), default=0.3, show_default=True,
              help="L-infinity radius, in pixels of 0 to 1.")  # fmt: skip
@click.option("--restarts", type=click.IntRange(1), default=10, show_default=True,
              help="Of the attacks with 100 steps.")  # fmt: skip
@click.option("--autoattack/--no-autoattack", default=True, show_default=True,
              help="AutoAttack standard on the first 1,000 test images; it takes many times as "
              "long as all other attacks.")  # fmt: skip
@click.option("--check-images", type=click.IntRange(1), default=200, show_default=True,
              help="The checks attack the first so many.")  # fmt: skip
@click.option("--undefended/--no-undefended", default=True, show_default=True,
              help="Also train the network without attacks, for some seconds, to see that it "
              "falls.")  # fmt: skip
@options.results("Folder of evaluation.csv, to which rows are added.")
@click.option("--json", "json_file", type=options.FILE, is_flag=False, flag_value="-",
              metavar="[FILE]", help="Also write the rows as JSON: into a new file, or without "
              "its name on stdout, where nothing else stands then.")  # fmt: skip
def evaluate(checkpoint: Path, **chosen: Any) -> None:
    """Measure the robustness of the network in CHECKPOINT, and check the measurement.

    Attacks: PGD-40, PGD-100 with restarts on cross-entropy and on the margin, L2, the original
    study's own metric, AutoAttack; then the worst of them image by image. An image that is wrong
    without attack counts as wrong. With them run the checks of Carlini and others ("On Evaluating
    Adversarial Robustness", 2019); a check that failed makes the exit code 1, since the accuracies
    then say nothing.

    \b
    python -m sparring evaluate run.pt
    python -m sparring evaluate run.pt --no-autoattack --restarts 2 --json run.json
    python -m sparring evaluate run.pt --json | jq '.[] | {name, value}'
    """  # noqa: D301 (click's mark for a paragraph that is not rewrapped)
    import torch

    from sparring.robustness import load, sanity
    from sparring.robustness.evaluate import Evaluation
    from sparring.robustness.measure import Subject
    from sparring.robustness.results import COLUMNS
    from sparring.robustness.scale import Scale
    from sparring.robustness.suite import suite
    from sparring.tables import Table

    torch.set_num_threads(chosen["threads"])
    output = chosen["json_file"]
    to_stdout = output == Path("-")
    trained = _load(load.load, checkpoint, chosen)
    table = Table(chosen["results"] / "evaluation.csv", COLUMNS)
    check_outputs(
        {"--results": table.path, "--json": None if to_stdout else output}, existing=("--results",)
    )
    subject = Subject(
        trained.model, trained.dataset.test, chosen["images"] or len(trained.dataset.test),
        trained.dataset.bounds, chosen["backend"],
    )  # fmt: skip
    started = datetime.now(UTC)
    scale = Scale(trained.normalized, chosen["backend"])
    evaluation = Evaluation(
        subject, scale, chosen["epsilon"], chosen["seed"], lambda line: click.echo(line, err=True)
    )
    evaluation.clean()
    for entry in suite(chosen["epsilon"], chosen["restarts"]):
        evaluation.attack(entry)
    twin = _twin(trained) if chosen["undefended"] else None
    if chosen["autoattack"]:
        evaluation.autoattack()
    evaluation.worst_cases()
    sanity.checks(evaluation, twin, chosen["check_images"])
    rows = [{**_common(trained, started, chosen), **_cells(row)} for row in evaluation.rows]
    _print(evaluation.rows, trained, err=to_stdout)
    writers = [lambda: table.append(rows)]
    if to_stdout:
        writers.append(lambda: click.echo(_json(rows), nl=False))
    elif output is not None:
        writers.append(lambda: write(output, _json(rows)))
    write_all(*writers)
    click.echo(f"{len(rows)} rows added to {table.path}", err=to_stdout)
    failed = [row.name for row in evaluation.rows if row.status == "failed"]
    if failed:
        raise click.exceptions.Exit(1)


@click.command()
@click.argument("checkpoint", type=options.FILE)
@_network_options
@click.option("--before", type=options.FILE, help="Checkpoint to compare with [default: the "
              "same network after some seconds of training without attacks].")  # fmt: skip
@click.option("--images", type=click.IntRange(1, 20), default=5, show_default=True,
              help="The first so many test images.")  # fmt: skip
@click.option("--epsilon", type=FiniteRange(0, min_open=True), default=0.3, show_default=True,
              help="L-infinity radius of PGD-40, in pixels of 0 to 1.")  # fmt: skip
@click.option("--out", type=options.FILE, default=Path("results/gallery.csv"), show_default=True,
              help="The table, which must not exist.")  # fmt: skip
def gallery(checkpoint: Path, **chosen: Any) -> None:
    """Write a table of images and adversaries before and after adversarial training.

    `python -m plots gallery` draws it. A row is an image before a network: its pixels and its
    adversary's, and for both the predicted class and its probability.

    \b
    python -m sparring gallery run.pt
    """  # noqa: D301 (click's mark for a paragraph that is not rewrapped)
    import torch

    from sparring.robustness import gallery as pictures
    from sparring.robustness import load

    torch.set_num_threads(chosen["threads"])
    out = chosen["out"]
    after = _load(load.load, checkpoint, chosen)
    check_outputs({"--out": out}, make_folders=True)
    before = (
        _load(load.load, chosen["before"], {**chosen, "dataset": after.dataset.name,
                                            "normalized": after.normalized}).model
        if chosen["before"] else _twin(after)
    )  # fmt: skip
    networks = (("before", before), ("after", after.model))
    pictures.write(out, after, networks, chosen["images"], chosen["epsilon"], chosen["backend"],
                   chosen["seed"])  # fmt: skip
    click.echo(f"wrote {out}; `python -m plots gallery {out}` draws it")


def _load(load: Any, path: Path, chosen: dict[str, Any]) -> Trained:
    found: Trained = load(
        path, network=chosen["network"], dataset=chosen["dataset"], folder=chosen["data"],
        normalized=chosen["normalized"],
    )  # fmt: skip
    return found


def _twin(trained: Trained) -> Any:
    """The same network, trained without attacks."""
    from sparring.benchmark.problem import trained as train_clean

    click.echo(f"training network '{trained.network}' without attacks, for comparison", err=True)
    return train_clean(trained.network, trained.dataset, 0)


def _cells(row: Row) -> dict[str, Any]:
    cells = asdict(row)
    return {**cells, "value_low": cells.pop("low"), "value_high": cells.pop("high")}


def _json(rows: list[dict[str, Any]]) -> str:
    """The rows as JSON, which has no numbers that are none."""
    cells = [{name: number_or_none(value) for name, value in row.items()} for row in rows]
    return json.dumps(cells, indent=1, allow_nan=False) + "\n"


def _common(trained: Trained, started: datetime, chosen: dict[str, Any]) -> dict[str, Any]:
    import torch

    from sparring.benchmark.machine import cpu_model
    from sparring.robustness.results import SCHEMA_VERSION

    return {
        "schema_version": SCHEMA_VERSION, "run": started.strftime("%Y%m%dT%H%M%S.%f"),
        "network": trained.network, "dataset": trained.dataset.name,
        "normalized": str(trained.normalized).lower(), "checkpoint": trained.path.name,
        "checkpoint_digest": trained.digest, "updates": trained.updates, "seed": chosen["seed"],
        "threads": chosen["threads"], "cpu": cpu_model(), "torch_version": torch.__version__,
        "source": "measured", "started_at": started.isoformat(timespec="seconds"),
    }  # fmt: skip


def _print(rows: list[Row], trained: Trained, err: bool) -> None:
    click.echo(f"{trained.path}: network '{trained.network}', {trained.dataset.name}, "
               f"{trained.updates} updates{', trained with ' if trained.attack else ''}"
               f"{trained.attack}", err=err)  # fmt: skip
    click.echo(f"{'attack':34} {'images':>6}  {'accuracy':28} {'seconds':>8}  threat model",
               err=err)  # fmt: skip
    for row in rows:
        if row.kind == "check":
            continue
        told = row.message if row.status != "ok" else ""
        value = f"{row.value:.4f} [{row.low:.4f}, {row.high:.4f}]" if row.value is not None else ""
        seconds = f"{row.seconds:8.1f}" if row.seconds is not None else " " * 8
        radius = f" {row.epsilon:g}" if row.epsilon else ""
        click.echo(f"{row.name:34} {row.images:6}  {value:28} {seconds}  {row.threat}{radius} "
                   f"{told}".rstrip(), err=err)  # fmt: skip
    for row in rows:
        if row.kind == "check":
            value = "" if row.value is None else f" ({row.value:.3f})"
            told = f": {row.message}" if row.message else ""
            click.echo(f"{row.status:8} {row.name}{value}: {row.expected}{told}", err=err)
