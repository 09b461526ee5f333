"""Options that mean the same in every command that takes them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from sparring.commands.option_types import SEED, FiniteRange, Name

if TYPE_CHECKING:
    from sparring.attacks.base import Attack

Command = TypeVar("Command", bound=Callable[..., Any])
Decorator = Callable[[Command], Command]

FILE = click.Path(path_type=Path)
NETWORKS = ("study", "madry", "resnet20")
DATASETS = ("mnist-5k", "mnist", "fashion-mnist")
STRATEGIES = ("sequential", "pipeline", "sharded", "data_parallel")
BACKENDS = ("auto", "torch", "fused")

#: Where the IDX files of `dataset` are.
data = click.option("--data", type=FILE, help="Folder with the four IDX files.")


def together(*options: Decorator[Any]) -> Decorator[Any]:
    """Several options, in the order in which help shows them."""

    def decorate(command: Any) -> Any:
        for option in reversed(options):
            command = option(command)
        return command

    return decorate


def network(*names: str, default: str | None = "study", **settings: Any) -> Decorator[Any]:
    """``--network``: one of the names, by default all that are trained by name."""
    return click.option("--network", type=Name(names or NETWORKS), default=default,
                        show_default=default is not None, **settings)  # fmt: skip


def dataset(default: str | None = "mnist-5k", **settings: Any) -> Decorator[Any]:
    """``--dataset``: a data set's name."""
    return click.option("--dataset", type=Name(DATASETS), default=default,
                        show_default=default is not None, **settings)  # fmt: skip


def attack(steps: int | None, step_size: float) -> Decorator[Any]:
    """``--attack`` and its settings; without ``steps``, ``--steps`` may be given several times."""
    if steps is None:
        number = click.option("--steps", type=click.IntRange(1), multiple=True,
                              help="Gradient steps [default: 40].")  # fmt: skip
    else:
        number = click.option("--steps", type=click.IntRange(1), default=steps, show_default=True,
                              help="Gradient steps.")  # fmt: skip
    return together(
        click.option("--attack", type=Name(["pgd", "pgd_l2", "fgsm", "ascent"]), default="pgd",
                     show_default=True, help="ascent is the study's raw-gradient ascent."),
        number,
        click.option("--epsilon", type=FiniteRange(0), default=0.3, show_default=True,
                     help="Radius of the ball, in pixels of 0 to 1."),
        click.option("--step-size", type=FiniteRange(0, min_open=True), default=step_size,
                     show_default=True,
                     help="Length of a step, in pixels of 0 to 1; of ascent, in those of the "
                     "normalised images."),
    )  # fmt: skip


def chosen_attack(chosen: dict[str, Any], steps: int, bounds: tuple[float, float]) -> Attack:
    """The attack that the options of `attack` name, on images within ``bounds``.

    Raises:
        ValueError: if it cannot have these settings.
    """
    from sparring.attacks import FGSM, PGD, GradientAscent

    backend = chosen["backend"]
    if chosen["attack"] == "ascent":
        return GradientAscent(step_size=chosen["step_size"], steps=steps, backend=backend)
    if chosen["attack"] == "fgsm":
        return FGSM(epsilon=chosen["epsilon"], bounds=bounds, backend=backend)
    return PGD(
        epsilon=chosen["epsilon"], step_size=chosen["step_size"], steps=steps,
        norm="l2" if chosen["attack"] == "pgd_l2" else "linf", random_start=True, bounds=bounds,
        backend=backend,
    )  # fmt: skip


def backend(help: str | None = None) -> Decorator[Any]:
    """``--backend``: PyTorch, the fused engine, or whichever can."""
    told = "What computes: auto is the fused engine where it can, else PyTorch."
    return click.option("--backend", type=Name(BACKENDS), default="auto", show_default=True,
                        help=help or told)  # fmt: skip


def batch_size(default: int = 64) -> Decorator[Any]:
    """``--batch-size``: images in a minibatch."""
    return click.option("--batch-size", type=click.IntRange(1), default=default, show_default=True,
                        help="Images in a minibatch.")  # fmt: skip


def threads(help: str = "Threads to compute with.") -> Decorator[Any]:
    """``--threads`` of this process."""
    return click.option("--threads", type=click.IntRange(1), default=1, show_default=True,
                        help=help)  # fmt: skip


def seed(help: str = "Of all that is random.") -> Decorator[Any]:
    """``--seed``."""
    return click.option("--seed", type=SEED, default=0, show_default=True, help=help)


def results(help: str) -> Decorator[Any]:
    """``--results``: the folder to which a command's table belongs."""
    return click.option(
        "--results", type=click.Path(file_okay=False, path_type=Path), default=Path("results"),
        show_default=True, help=help,
    )  # fmt: skip
