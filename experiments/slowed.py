"""An attack that is slower than it need be, to study slow generators."""

from __future__ import annotations

import time
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparring.attacks.base import Attack
from sparring.attacks.climb import Climb, OnStep
from sparring.attacks.sources import RandomSource


@dataclass(frozen=True)
class Slowed(Attack):
    """An attack whose every step takes longer: a slow generator, made on purpose.

    Attributes:
        attack: what is slowed.
        seconds: added to each step.
    """

    attack: Attack
    seconds: float

    @property
    def steps(self) -> int:
        """Steps of the attack that is slowed."""
        return int(getattr(self.attack, "steps", 1))

    def __call__(
        self,
        model: nn.Module,
        x: Tensor,
        y: Tensor,
        *,
        generator: torch.Generator | RandomSource | None = None,
        on_step: OnStep | None = None,
        every: int = 1,
    ) -> Tensor:
        """See `Attack`."""

        def slow_step(step: int) -> None:
            time.sleep(self.seconds)
            if on_step is not None and step % every == 0:
                on_step(step)

        return self.attack(model, x, y, generator=generator, on_step=slow_step)

    def further(self, start: Tensor, steps: int, scale: float) -> Slowed:
        """See `Attack`."""
        return Slowed(self.attack.further(start, steps, scale), self.seconds)

    def _perturb(self, climb: Climb, x: Tensor, source: RandomSource) -> Tensor:
        return self.attack._perturb(climb, x, source)
