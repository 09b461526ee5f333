"""``python -m sparring train``: adversarial training, also under ``mpiexec -n p``."""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

from sparring.commands import options
from sparring.commands.option_types import FiniteRange, Name, Renamed
from sparring.errors import SparringError, did_you_mean

if TYPE_CHECKING:
    from sparring.strategies import Strategy


@click.command()
@options.dataset()
@options.data
@options.network()
@options.attack(steps=10, step_size=0.075)
@click.option("--strategy", type=Name(options.STRATEGIES), default="sequential", show_default=True,
              help="How the work is spread over the processes.")  # fmt: skip
@click.option("--option", "options", multiple=True, metavar="KEY=VALUE",
              help="An option of the strategy, such as overlap=true or max_staleness=2; may be "
              "given several times.")  # fmt: skip
@click.option("--replay", type=options.FILE,
              help="Train again what the run with this arrival log trained, on one process; give "
              "--option refresh_steps, refresh_scale, trainers and study_partial_batches as that "
              "run had them.")  # fmt: skip
@click.option("--recipe", type=Name(["pgd", "fast", "clean"]),
              help="Attack, optimizer and schedules of a paper (sparring/recipes.py); --steps, "
              "--epsilon, --step-size, --learning-rate, --batch-size and --optimizer still count "
              "where they are given.")  # fmt: skip
@click.option("--optimizer", type=Name(["adam", "sgd"]),
              help="[default: the recipe's; sgd without one]")  # fmt: skip
@click.option("--overfitting", type=Name(["ignore", "warn", "stop"]),
              help="What to do on catastrophic overfitting [default: warn with --recipe fast, else "
              "ignore].")  # fmt: skip
@options.batch_size()
@click.option("--learning-rate", type=FiniteRange(0, min_open=True), default=0.01,
              show_default=True)  # fmt: skip
@click.option("--momentum", type=FiniteRange(0), default=0.5, show_default=True)
@click.option("--epochs", type=click.IntRange(1), help="Passes over the data [default: 1].")
@click.option("--updates", type=click.IntRange(1), help="Optimizer steps, instead of epochs.")
@options.seed("Of weights, minibatches and attacks.")
@options.threads("Threads of each process.")
@options.backend("What computes attacks and updates: auto is the fused engine where it can, else "
                 "PyTorch.")  # fmt: skip
@click.option("--checkpoint", type=options.FILE, help="Where to keep the state.")
@click.option("--checkpoint-interval", type=click.IntRange(1), default=100, show_default=True,
              help="Updates between checkpoints; one more is kept at the end.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Go on from the checkpoint if it exists.")
@click.option("--timeline", type=options.FILE,
              help="Write a Chrome trace of all ranks (open it with ui.perfetto.dev).")  # fmt: skip
@click.option("--arrivals", type=options.FILE,
              help="Write the arrival log, from which --replay trains the same weights "
              "again.")  # fmt: skip
@click.option("--patience", type=FiniteRange(0, min_open=True), default=600.0, show_default=True,
              help="Seconds after which a silent rank ends the run.")  # fmt: skip
@click.option("--evaluation-images", cls=Renamed, former=["--evaluate"], type=click.IntRange(0),
              default=1000, show_default=True,
              help="Test images for the accuracies at the end; 0: none.")  # fmt: skip
@click.pass_context
def train(context: click.Context, /, **chosen: Any) -> None:
    """Train a network on adversaries and tell its accuracy.

    \b
    python -m sparring train --epochs 2
    mpiexec -n 4 python -m sparring train --strategy data_parallel --checkpoint run.pt --resume
    """  # noqa: D301 (click's mark for a paragraph that is not rewrapped)
    if chosen["epochs"] and chosen["updates"]:
        raise click.UsageError("give --epochs or --updates, not both")
    strategy = _strategy(chosen)
    if not chosen["recipe"]:  # whose batch size is known later
        _look_at_ranks(strategy, chosen["batch_size"])
    import torch

    from sparring import data, networks
    from sparring.commands.progress import training
    from sparring.commands.recipe import build_recipe, given
    from sparring.overfitting import CatastrophicOverfitting
    from sparring.trainer import Trainer

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
    attack = options.chosen_attack(chosen, chosen["steps"], dataset.bounds)
    schedules: dict[str, Any] = {}
    if chosen["recipe"]:
        recipe = build_recipe(context, chosen, dataset)
        optimizer, attack = recipe.build_optimizer(model.parameters()), recipe.attack
        schedules = {"learning_rate": recipe.learning_rate, "epsilon": recipe.epsilon}
        chosen["batch_size"] = recipe.batch_size
    trainer = Trainer(
        model, optimizer, dataset, attack, strategy, batch_size=chosen["batch_size"],
        seed=chosen["seed"], threads=chosen["threads"], backend=chosen["backend"], **schedules,
    )  # fmt: skip
    then = chosen["overfitting"] or ("warn" if chosen["recipe"] == "fast" else "ignore")
    updates = chosen["updates"] or chosen["epochs"] * trainer.compute.epoch_length
    with training(updates, shown=trainer.comm.rank == 0) as progress:
        history = trainer.fit(
            updates=updates, checkpoint=chosen["checkpoint"],
            checkpoint_interval=chosen["checkpoint_interval"], resume=chosen["resume"],
            timeline=chosen["timeline"], arrivals=chosen["arrivals"],
            patience_seconds=chosen["patience"], progress=progress,
            overfitting=None if then == "ignore" else CatastrophicOverfitting(then),
        )  # fmt: skip
    clean = (
        trainer.accuracy(None, chosen["evaluation_images"]) if chosen["evaluation_images"] else None
    )
    robust = (
        trainer.accuracy(attack, chosen["evaluation_images"])
        if chosen["evaluation_images"]
        else None
    )
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
        tested = min(chosen["evaluation_images"], len(dataset.test))
        click.echo(f"clean accuracy {clean:.4f}, robust accuracy {robust:.4f} "
                   f"(first {tested} test images, {attack})")  # fmt: skip


def _look_at_ranks(strategy: str | Strategy, batch_size: int) -> None:
    """Tell what the number of ranks leads to before each of them loads PyTorch.

    Raises:
        SparringError: if the strategy cannot work with so many.
    """
    from sparring.strategies import STRATEGIES
    from sparring.strategies.choice import tell_of_idle, world

    comm = world()
    chosen = STRATEGIES[strategy]() if isinstance(strategy, str) else strategy
    if comm.size > 1:  # the Trainer has a way out for one
        chosen.check(comm.size)
    if comm.rank == 0:
        tell_of_idle(chosen, comm.size, batch_size)


def _strategy(chosen: dict[str, Any]) -> str | Strategy:
    """The strategy with its options, or the replay."""
    from sparring.strategies import STRATEGIES
    from sparring.strategies.replay import Replay, load_arrivals

    if chosen["replay"]:
        known = ["study_partial_batches", "refresh_steps", "refresh_scale", "trainers"]
        settings = _options(chosen["options"], "replay", known)
        return Replay(load_arrivals(chosen["replay"]), **settings)
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
    found: dict[str, Any] = {}
    for setting in settings:
        key, equals, text = setting.partition("=")
        if not equals or key not in known:
            told = ", ".join(known) or "none"
            raise SparringError(
                f"--option {setting}: expected key=value with an option of '{name}': {told}"
                f"{did_you_mean(key, known)}"
            )
        try:
            found[key] = tomllib.loads(f"v = {text}")["v"]
        except tomllib.TOMLDecodeError:
            found[key] = text
    return found
