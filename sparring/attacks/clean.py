"""No attack: training on the images as they are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from sparring.attacks.base import Attack
from sparring.attacks.climb import Climb, OnStep
from sparring.attacks.sources import RandomSource
from sparring.attacks.validation import check_batch, check_count, check_labels


@dataclass(frozen=True)
class Clean(Attack):
    """Gives the images back, so that every strategy can also train without adversaries.

    It takes no gradient. ``on_step`` is called once, since a generator takes newer weights there
    and tells by which of them a batch was made.
    """

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
        """A copy of ``x``; see `Attack`."""
        check_batch(x, y)
        check_labels(y)
        check_count("every", every)
        if on_step is not None and len(x):
            with torch.no_grad():
                on_step(0)
        return x.detach().clone()

    def _perturb(self, climb: Climb, x: Tensor, source: RandomSource) -> Tensor:
        return x.clone()
