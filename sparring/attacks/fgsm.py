"""The fast gradient sign method."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from sparring.attacks.base import Attack
from sparring.attacks.climb import Climb, Step
from sparring.attacks.objectives import OBJECTIVES
from sparring.attacks.sources import RandomSource
from sparring.attacks.validation import (
    check_backend,
    check_bounds,
    check_choice,
    check_flag,
    check_number,
    check_pixels,
    settle,
)


@dataclass(frozen=True)
class FGSM(Attack):
    """One step of length epsilon along the sign of the gradient: ``x + epsilon sign(g)``.

    Source: Goodfellow, Shlens and Szegedy, "Explaining and Harnessing Adversarial Examples",
    ICLR 2015, section 4; the targeted form: Kurakin, Goodfellow and Bengio, "Adversarial Machine
    Learning at Scale", ICLR 2017 (the one-step target class method).

    Attributes:
        epsilon: the step and L-infinity radius, in the units of x; 0 or more.
        targeted: if true, y is the class wanted and the step is ``x - epsilon sign(g)``.
        objective: ``"cross_entropy"``, ``"margin"`` or ``"study"``.
        bounds: the valid pixel range (low, high), in the units of x.
        backend: see `Attack`.

    Raises:
        ValueError: if a field is out of its range, and when called with x outside the bounds.
    """

    epsilon: float = 0.3
    targeted: bool = False
    objective: str = "cross_entropy"
    bounds: tuple[float, float] = (0.0, 1.0)
    backend: str = "auto"

    def __post_init__(self) -> None:
        settle(
            self,
            epsilon=check_number("epsilon", self.epsilon),
            targeted=check_flag("targeted", self.targeted),
            bounds=check_bounds(self.bounds),
        )
        check_choice("objective", self.objective, OBJECTIVES)
        check_backend(self.backend)

    def _perturb(self, climb: Climb, x: Tensor, source: RandomSource) -> Tensor:
        check_pixels(x, self.bounds)
        surrogate = OBJECTIVES[self.objective].surrogate
        size = -self.epsilon if self.targeted else self.epsilon
        return climb.ascend(x, x, Step("sign", surrogate, size, math.inf, self.bounds), 1)
