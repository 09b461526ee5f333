"""An attack that goes on from adversaries which it made before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor

from sparring.attacks.base import Attack
from sparring.attacks.climb import Climb
from sparring.attacks.sources import RandomSource


@dataclass(frozen=True)
class Further(Attack):
    """Further steps of an attack; see `Attack.further`.

    Attributes:
        ascend: takes the steps: from the attack's view of the model, the clean images and the
            adversaries to go on from.
        start: adversaries ``(n, ...)`` to go on from.
        steps: how many steps ``ascend`` takes.
        backend: see `Attack`.

    Raises:
        ValueError: when called with images of another number, shape or dtype than ``start``.
    """

    ascend: Callable[[Climb, Tensor, Tensor], Tensor]
    start: Tensor
    steps: int
    backend: str = "auto"

    def _perturb(self, climb: Climb, x: Tensor, source: RandomSource) -> Tensor:
        if (self.start.shape, self.start.dtype) != (x.shape, x.dtype):
            raise ValueError(
                f"further steps from adversaries {tuple(self.start.shape)} of {self.start.dtype} "
                f"need as many clean images of that type, not {tuple(x.shape)} of {x.dtype}"
            )
        return self.ascend(climb, x, self.start)
