"""Threat models in the units of a network's images.

Epsilons are told in pixels of 0 to 1, as papers tell them. A network may have been trained on
normalised images, (v - 0.1307) / 0.3081: there a pixel's distances are longer by 1 / 0.3081.
"""

from __future__ import annotations

from dataclasses import dataclass

from sparring.attacks import PGD, GradientAscent
from sparring.attacks.base import Attack
from sparring.data.dataset import STUDY_MEAN, STUDY_STD


@dataclass(frozen=True)
class Scale:
    """What a pixel of 0 to 1 is to the network.

    Attributes:
        normalized: whether the network takes normalised images.
        backend: of the attacks that are built.
    """

    normalized: bool = False
    backend: str = "auto"

    @property
    def unit(self) -> float:
        """The length of one pixel range of 0 to 1 in the network's units."""
        return 1.0 / STUDY_STD if self.normalized else 1.0

    def pgd(
        self,
        bounds: tuple[float, float],
        epsilon: float,
        step_size: float,
        steps: int,
        *,
        norm: str = "linf",
        objective: str = "cross_entropy",
    ) -> Attack:
        """PGD from a random start; epsilon and step are told in pixels of 0 to 1."""
        return PGD(
            epsilon * self.unit, step_size * self.unit, steps, norm=norm, random_start=True,
            objective=objective, bounds=bounds, backend=self.backend,
        )  # fmt: skip

    def study(self, steps: int = 32) -> Attack:
        """The original study's evaluation: raw-gradient ascent, no ball.

        They step by 1.0 on normalised images, clamped to [-5, 5]. On pixels of 0 to 1 the same path
        has steps of 0.3081 squared: the gradient is longer by 1 / 0.3081, a step shorter by as
        much.
        """
        if self.normalized:
            return GradientAscent(step_size=1.0, steps=steps, backend=self.backend)
        low, high = (STUDY_MEAN + limit * STUDY_STD for limit in (-5.0, 5.0))
        return GradientAscent(
            step_size=STUDY_STD**2, steps=steps, bounds=(low, high), backend=self.backend
        )
