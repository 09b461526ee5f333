"""Recipes: attack, optimizer and schedules that are known to train robust networks on MNIST.

A recipe says nothing of how the work is spread; it works with every strategy::

    recipe = recipes.pgd(updates=5000)
    trainer = recipe.trainer(model, data, strategy="data_parallel")
    trainer.fit(updates=5000)

Adversarial training with a large epsilon may stay for ever at a network that gives every image
the same probabilities: on MNIST at epsilon 0.3, the loss of log 10 = 2.3. A small epsilon at first
leads past it (Liu, Salzmann, Lin, Tomioka and Süsstrunk, "On the Loss Landscape of Adversarial
Training: Identifying Challenges and How to Overcome Them", NeurIPS 2020: large epsilons and small
gradients at the beginning; their remedy is a scheduled epsilon). The
learning rate warms up, too: our guess, from few trials, is that this matters where adversaries are
stale. How long the warm-ups last is ours, from trials on mnist-5k: half of the run, and 15 % of it.
Half-way the learning rate begins to fall, linearly.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

import torch
from torch import nn

from sparring.attacks import PGD, Attack
from sparring.attacks.clean import Clean
from sparring.errors import SparringError
from sparring.schedules import Schedule, constant, linear_decay, triangle, warm_up
from sparring.strategies import Strategy
from sparring.trainer import Trainer

#: The part of a run in which epsilon grows.
EPSILON_WARM_UP = 0.5

#: The part of a run in which the learning rate of `pgd` grows.
RATE_WARM_UP = 0.15

OPTIMIZERS = ("adam", "sgd")


@dataclass(frozen=True)
class Recipe:
    """What to train with, but for model, data and strategy.

    Attributes:
        name: the recipe's.
        attack: makes the adversaries, at full epsilon.
        optimizer: ``"adam"`` or ``"sgd"``.
        rate: the learning rate that ``learning_rate`` scales.
        momentum: of SGD.
        batch_size: images in a minibatch.
        learning_rate: factor of the learning rate, by update.
        epsilon: factor of the attack's epsilon and step, by minibatch; None: there is none.

    Raises:
        SparringError: if the optimizer is another.
    """

    name: str
    attack: Attack
    optimizer: str
    rate: float
    momentum: float
    batch_size: int
    learning_rate: Schedule
    epsilon: Schedule | None

    def __post_init__(self) -> None:
        if self.optimizer not in OPTIMIZERS:
            raise SparringError(
                f"optimizer must be one of {', '.join(OPTIMIZERS)}, not {self.optimizer!r}"
            )

    def build_optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer on these parameters; its fused form is one pass over the weights."""
        if self.optimizer == "adam":
            return torch.optim.Adam(parameters, lr=self.rate, fused=True)
        return torch.optim.SGD(parameters, lr=self.rate, momentum=self.momentum, fused=True)

    def trainer(
        self,
        model: nn.Module,
        data: object,
        strategy: str | Strategy = "sequential",
        **options: Any,
    ) -> Trainer:
        """A trainer of this recipe; ``options`` are further arguments of `Trainer`."""
        return Trainer(
            model, self.build_optimizer(model.parameters()), data, self.attack, strategy,
            **{"batch_size": self.batch_size, "learning_rate": self.learning_rate,
               "epsilon": self.epsilon, **options},
        )  # fmt: skip

    def with_changes(self, **changes: Any) -> Recipe:
        """The same but for some fields."""
        return replace(self, **changes)


def pgd(
    updates: int,
    *,
    epsilon: float = 0.3,
    step_size: float = 0.01,
    steps: int = 40,
    bounds: tuple[float, float] = (0.0, 1.0),
    backend: str = "auto",
) -> Recipe:
    """PGD training: 40 steps of 0.01 from a random start, epsilon 0.3.

    Source: Madry and others, "Towards Deep Learning Models Resistant to Adversarial Attacks", ICLR
    2018, section 4 (attack); batch of 50 and Adam with 1e-4 from their published training code
    (MadryLab/mnist_challenge), which runs for 100,000 updates. Shorter runs want a larger rate.
    """
    attack = PGD(epsilon, step_size, steps, random_start=True, bounds=bounds, backend=backend)
    rate = linear_decay(updates, warm=int(RATE_WARM_UP * updates))
    epsilons = warm_up(int(EPSILON_WARM_UP * updates))
    return Recipe("pgd", attack, "adam", 1e-4, 0.0, 50, rate, epsilons)


def fast(
    updates: int,
    *,
    epsilon: float = 0.3,
    step_size: float | None = None,
    bounds: tuple[float, float] = (0.0, 1.0),
    backend: str = "auto",
) -> Recipe:
    """Fast training: one step of 1.25 epsilon from a random start.

    Source: Wong, Rice and Kolter, "Fast is better than free: Revisiting adversarial training", ICLR
    2020 (FGSM with a random start); the step of 1.25 epsilon, the batch of 100 and Adam with a
    triangle to 5e-3 are those of their published ``train_mnist.py``, which runs for 10 epochs on a
    smaller network. Unlike there, the start is clipped to the pixel range before its gradient.
    """
    size = 1.25 * epsilon if step_size is None else step_size
    attack = PGD(epsilon, size, 1, random_start=True, bounds=bounds, backend=backend)
    warm = int(EPSILON_WARM_UP * updates)
    return Recipe("fast", attack, "adam", 5e-3, 0.0, 100, triangle(updates), warm_up(warm))


def clean(updates: int) -> Recipe:
    """Training without adversaries, for comparison: Adam with its authors' rate of 1e-3.

    Source: Kingma and Ba, "Adam", ICLR 2015, algorithm 1.
    """
    return Recipe("clean", Clean(), "adam", 1e-3, 0.0, 64, constant(), None)


#: The recipes by the names that the command line takes.
RECIPES: Mapping[str, Callable[..., Recipe]] = MappingProxyType(
    {"pgd": pgd, "fast": fast, "clean": clean}
)
