"""What is to be trained, as far as it takes time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sparring.errors import SparringError


@dataclass(frozen=True)
class Job:
    """A run of so many updates.

    Attributes:
        updates: updates, from 1; minibatches are numbered from 0.
        steps: ascent steps of an attack, from 1.
        batch_size: images in a full minibatch, from 1.
        epoch_length: minibatches in an epoch, for weights that are sent by the epoch; 0 if all
            minibatches are one epoch.
        sizes: how many images minibatch n has; None: all are full.

    Raises:
        SparringError: if a number is out of range.
    """

    updates: int
    steps: int
    batch_size: int
    epoch_length: int = 0
    sizes: Callable[[int], int] | None = None

    def __post_init__(self) -> None:
        for name in ("updates", "steps", "batch_size"):
            if getattr(self, name) < 1:
                raise SparringError(f"{name} must be at least 1, not {getattr(self, name)}")

    def rows(self, number: int) -> int:
        """Images in a minibatch."""
        return self.batch_size if self.sizes is None else self.sizes(number)
