"""Iterated ascent along the raw gradient, as in the original study."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

from torch import Tensor

from sparring.attacks.base import Attack
from sparring.attacks.climb import Climb, Step
from sparring.attacks.continued import Further
from sparring.attacks.objectives import OBJECTIVES
from sparring.attacks.sources import RandomSource
from sparring.attacks.validation import (
    check_backend,
    check_bounds,
    check_choice,
    check_count,
    check_number,
    check_numbers,
    settle,
)


@dataclass(frozen=True)
class GradientAscent(Attack):
    """Steps ``x <- clamp(x + step_size * g)`` with the raw gradient and no ball around x.

    The gradient is that of the objective summed over the batch, hence not divided by its size.
    Images outside the bounds are taken, and are inside after the first step.

    Source: N. Tumma, R. Mittal and others, "Parallel Adversary Generation for Training Robust
    Neural Networks", Harvard CS205, 2022, whose settings are the defaults: their images are
    normalised with mean 0.1307 and standard deviation 0.3081, and clamped to [-5, 5].

    Attributes:
        step_size: what the gradient is multiplied by; above 0.
        steps: gradient steps, 1 or more.
        objective: ``"study"``, ``"margin"`` or ``"cross_entropy"``.
        bounds: the pixel range (low, high) that every step is clamped to, in the units of x.
        backend: see `Attack`.

    Raises:
        ValueError: if a field is out of its range, and when called with an x that is no number.
    """

    step_size: float = 1.0
    steps: int = 15
    objective: str = "study"
    bounds: tuple[float, float] = (-5.0, 5.0)
    backend: str = "auto"

    def __post_init__(self) -> None:
        settle(
            self,
            step_size=check_number("step_size", self.step_size, positive=True),
            steps=check_count("steps", self.steps),
            bounds=check_bounds(self.bounds),
        )
        check_choice("objective", self.objective, OBJECTIVES)
        check_backend(self.backend)

    def _perturb(self, climb: Climb, x: Tensor, source: RandomSource) -> Tensor:
        check_numbers(x)
        return self._ascend(climb, x, x)

    def further(self, start: Tensor, steps: int, scale: float) -> Further:
        """See `Attack`."""
        rest = replace(self, steps=steps, step_size=scale * self.step_size)
        return Further(rest._ascend, start, steps, self.backend)

    def _ascend(self, climb: Climb, clean: Tensor, x: Tensor) -> Tensor:
        """All steps from ``x``; the clean images do not matter."""
        loss = OBJECTIVES[self.objective].loss
        step = Step("raw", loss, self.step_size, math.inf, self.bounds)
        return climb.ascend(x, x, step, self.steps)
