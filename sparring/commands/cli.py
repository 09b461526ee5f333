"""The library from the command line, on one process or under ``mpiexec -n p``."""

from __future__ import annotations

import dataclasses
import logging
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from sparring.commands.attack import attack
from sparring.commands.calibrate import calibrate
from sparring.commands.evaluate import evaluate, gallery
from sparring.commands.networks import networks
from sparring.commands.option_types import SEED, FiniteRange
from sparring.errors import SparringError

if TYPE_CHECKING:
    from sparring.attacks.base import Attack
    from sparring.strategies import Strategy

#: Modules of the optional packages that modelling imports.
_EXTRA = frozenset({"pydantic", "simpy"})


class _Group(click.Group):
    """A group whose commands end with one sentence on a user's error, never a traceback."""

    def invoke(self, context: click.Context) -> Any:
        try:
            return super().invoke(context)
        except (SparringError, ValueError) as error:
            click.echo(f"error: {error}", err=True)
            _leave_together()
            sys.exit(2)
        except ModuleNotFoundError as error:
            if error.name not in _EXTRA:
                raise
            click.echo(
                f"error: {error.name} is not installed: pip install 'sparring[models]'", err=True
            )
            _leave_together()
            sys.exit(2)


#: Longer than ranks that fail alike are apart.
_PATIENCE_SECONDS = 5.0


def _leave_together() -> None:
    """End all ranks if this one alone met an error (a file that its node lacks, for example).

    The others would wait for it for ever, and it for them in MPI's finalisation.
    """
    from mpi4py import MPI  # starts MPI, for which others may be waiting already

    if not MPI.Is_initialized() or MPI.COMM_WORLD.size == 1:
        return
    everybody, deadline = MPI.COMM_WORLD.Ibarrier(), time.monotonic() + _PATIENCE_SECONDS
    while not everybody.Test():
        if time.monotonic() > deadline:
            MPI.COMM_WORLD.Abort(2)
        time.sleep(0.01)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
def main() -> None:
    """Adversarial training of neural networks."""
    logging.basicConfig(level=logging.WARNING, format="%(levelname)s: %(message)s")


main.add_command(attack)
main.add_command(evaluate)
main.add_command(gallery)
main.add_command(calibrate)
main.add_command(networks)


@main.command()
@click.option(
    "--dataset", default="mnist-5k", show_default=True, help="mnist-5k, mnist or fashion-mnist."
)
@click.option("--data", type=click.Path(path_type=Path), help="Folder with the four IDX files.")
@click.option(
    "--network",
    type=click.Choice(["study", "madry", "resnet20"]),
    default="study",
    show_default=True,
)
@click.option(
    "--attack",
    type=click.Choice(["pgd", "pgd_l2", "fgsm", "ascent"]),
    default="pgd",
    show_default=True,
    help="ascent is the study's raw-gradient ascent.",
)
@click.option("--steps", type=click.IntRange(1), default=10, show_default=True)
@click.option("--epsilon", type=FiniteRange(0), default=0.3, show_default=True)
@click.option("--step-size", type=FiniteRange(0, min_open=True), default=0.075, show_default=True)
@click.option(
    "--strategy",
    default="sequential",
    show_default=True,
    help="sequential, pipeline, sharded or data_parallel.",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="KEY=VALUE",
    help="An option of the strategy, such as overlap=true or max_staleness=2.",
)
@click.option(
    "--replay",
    type=click.Path(path_type=Path),
    help="Train again what the run with this arrival log trained, on one process; give --option "
    "refresh_steps, refresh_scale, trainers and study_partial_batches as that run had them.",
)
@click.option(
    "--recipe",
    type=click.Choice(["pgd", "fast", "clean"]),
    help="Attack, optimizer and schedules of a paper (sparring/recipes.py); --steps, --epsilon, "
    "--step-size, --learning-rate, --batch-size and --optimizer still count where they are given.",
)
@click.option(
    "--optimizer",
    type=click.Choice(["adam", "sgd"]),
    help="[default: the recipe's; sgd without one]",
)
@click.option(
    "--overfitting",
    type=click.Choice(["ignore", "warn", "stop"]),
    help="What to do on catastrophic overfitting  [default: warn with --recipe fast, else ignore]",
)
@click.option("--batch-size", type=click.IntRange(1), default=64, show_default=True)
@click.option(
    "--learning-rate", type=FiniteRange(0, min_open=True), default=0.01, show_default=True
)
@click.option("--momentum", type=FiniteRange(0), default=0.5, show_default=True)
@click.option("--epochs", type=click.IntRange(1), help="Passes over the data; default 1.")
@click.option("--updates", type=click.IntRange(1), help="Optimizer steps, instead of epochs.")
@click.option("--seed", type=SEED, default=0, show_default=True)
@click.option(
    "--threads",
    type=click.IntRange(1),
    default=1,
    show_default=True,
    help="Threads of each process.",
)
@click.option(
    "--backend",
    type=click.Choice(["auto", "torch", "fused"]),
    default="auto",
    show_default=True,
    help="What computes attacks and updates: auto is the fused engine where it can, else PyTorch.",
)
@click.option("--checkpoint", type=click.Path(path_type=Path), help="Where to keep the state.")
@click.option("--checkpoint-interval", type=click.IntRange(1), default=100, show_default=True)
@click.option("--resume", is_flag=True, help="Go on from the checkpoint if it exists.")
@click.option(
    "--timeline",
    type=click.Path(path_type=Path),
    help="Write a Chrome trace of all ranks (open it with ui.perfetto.dev).",
)
@click.option(
    "--arrivals",
    type=click.Path(path_type=Path),
    help="Write the arrival log, from which --replay trains the same weights again.",
)
@click.option(
    "--patience",
    type=FiniteRange(0, min_open=True),
    default=600.0,
    show_default=True,
    help="Seconds after which a silent rank ends the run.",
)
@click.option(
    "--evaluate",
    "test_images",
    type=click.IntRange(0),
    default=1000,
    show_default=True,
    help="Test images for the accuracies at the end.",
)
@click.pass_context
def train(context: click.Context, /, **chosen: Any) -> None:  # fmt: skip
    """Train a network on adversaries and tell its accuracy.

    \b
    python -m sparring train --epochs 2
    mpiexec -n 4 python -m sparring train --strategy data_parallel --checkpoint run.pt --resume
    """  # noqa: D301 (click's mark for a paragraph that is not rewrapped)
    import torch

    from sparring import data, networks
    from sparring.commands.recipe import build_recipe, given
    from sparring.overfitting import CatastrophicOverfitting
    from sparring.trainer import Trainer

    if chosen["epochs"] and chosen["updates"]:
        raise click.UsageError("give --epochs or --updates, not both")
    if chosen["updates"] is None and chosen["epochs"] is None:
        chosen["epochs"] = 1
    ascent = chosen["attack"] == "ascent"
    dataset = data.load(chosen["dataset"], chosen["data"], normalize=ascent)
    model = networks.build(chosen["network"], chosen["seed"])
    optimizer: torch.optim.Optimizer = torch.optim.SGD(
        model.parameters(), lr=chosen["learning_rate"], momentum=chosen["momentum"], fused=True
    )
    if chosen["optimizer"] == "adam" and not chosen["recipe"]:
        if given(context, "momentum"):
            raise click.UsageError("--momentum has no meaning with --optimizer adam")
        if not given(context, "learning_rate"):
            raise click.UsageError("--optimizer adam needs --learning-rate: the default is SGD's")
        optimizer = torch.optim.Adam(model.parameters(), lr=chosen["learning_rate"], fused=True)
    attack = _attack(chosen, dataset.bounds)
    schedules: dict[str, Any] = {}
    if chosen["recipe"]:
        recipe = build_recipe(context, chosen, dataset)
        optimizer, attack = recipe.build_optimizer(model.parameters()), recipe.attack
        schedules = {"learning_rate": recipe.learning_rate, "epsilon": recipe.epsilon}
        chosen["batch_size"] = recipe.batch_size
    trainer = Trainer(
        model, optimizer, dataset, attack, _strategy(chosen), batch_size=chosen["batch_size"],
        seed=chosen["seed"], threads=chosen["threads"], backend=chosen["backend"], **schedules,
    )  # fmt: skip
    then = chosen["overfitting"] or ("warn" if chosen["recipe"] == "fast" else "ignore")
    history = trainer.fit(
        epochs=chosen["epochs"], updates=chosen["updates"], checkpoint=chosen["checkpoint"],
        checkpoint_interval=chosen["checkpoint_interval"], resume=chosen["resume"],
        timeline=chosen["timeline"], arrivals=chosen["arrivals"],
        patience_seconds=chosen["patience"],
        overfitting=None if then == "ignore" else CatastrophicOverfitting(then),
    )  # fmt: skip
    clean = trainer.accuracy(None, chosen["test_images"]) if chosen["test_images"] else None
    robust = trainer.accuracy(attack, chosen["test_images"]) if chosen["test_images"] else None
    if trainer.comm.rank > 0:
        return
    staleness = [record.staleness for record in history.records]
    click.echo(f"{len(history.records)} updates in {history.seconds:.2f} s on {trainer.comm.size} "
               f"processes, now at update {trainer.updates}; backend "
               f"{trainer.compute.backend}")  # fmt: skip
    for note in history.log.notes:
        click.echo(note)
    if staleness:
        click.echo(f"loss {history.records[-1].loss:.4f}; staleness mean "
                   f"{sum(staleness) / len(staleness):.2f}, max {max(staleness)}")  # fmt: skip
    if clean is not None:
        tested = min(chosen["test_images"], len(dataset.test))
        click.echo(f"clean accuracy {clean:.4f}, robust accuracy {robust:.4f} "
                   f"(first {tested} test images, {attack})")  # fmt: skip


def _attack(chosen: dict[str, Any], bounds: tuple[float, float]) -> Attack:
    from sparring.attacks import FGSM, PGD, GradientAscent

    if chosen["attack"] == "ascent":
        return GradientAscent(
            step_size=chosen["step_size"], steps=chosen["steps"], backend=chosen["backend"]
        )
    if chosen["attack"] == "fgsm":
        return FGSM(epsilon=chosen["epsilon"], bounds=bounds, backend=chosen["backend"])
    return PGD(
        epsilon=chosen["epsilon"], step_size=chosen["step_size"], steps=chosen["steps"],
        norm="l2" if chosen["attack"] == "pgd_l2" else "linf", random_start=True, bounds=bounds,
        backend=chosen["backend"],
    )  # fmt: skip


def _strategy(chosen: dict[str, Any]) -> str | Strategy:
    """The strategy with its options, or the replay."""
    from sparring.strategies import STRATEGIES
    from sparring.strategies.replay import Replay, load_arrivals

    if chosen["replay"]:
        known = ["study_partial_batches", "refresh_steps", "refresh_scale", "trainers"]
        options = _options(chosen["options"], "replay", known)
        return Replay(load_arrivals(chosen["replay"]), **options)
    name = chosen["strategy"]
    if not chosen["options"] or name not in STRATEGIES:
        return str(name)
    kind = STRATEGIES[name]
    known = [f.name for f in dataclasses.fields(kind)] if dataclasses.is_dataclass(kind) else []
    return kind(**_options(chosen["options"], name, known))


def _options(settings: Sequence[str], name: str, known: Sequence[str]) -> dict[str, Any]:
    """The values of ``--option``.

    Raises:
        SparringError: for a setting that is none, or of an option that is not known.
    """
    options: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or key not in known:
            told = ", ".join(known) or "none"
            raise SparringError(
                f"--option {setting}: expected key=value with an option of '{name}': {told}"
            )
        try:
            options[key] = tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            options[key] = text
    return options
