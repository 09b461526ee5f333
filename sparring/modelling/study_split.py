"""How the original study split an epoch: every generator has a share of the data for itself."""

from __future__ import annotations

import math

from sparring.batches import Batches
from sparring.errors import SparringError
from sparring.randomness import Indices, permutation


class StudySplit(Batches):
    """Minibatches of which each generator cuts its own from a contiguous share of a fixed order.

    With G generators, minibatch n belongs to generator 1 + n mod G, as in `Pipeline` with static
    assignment. All shares have ceil(size / G) images: those that the last one lacks are taken from
    the beginning of the order once more. Each share ends in a partial batch of its own, unless the
    batch size divides it. Every epoch has the same order.

    Source: the study's public code, which leaves the split to libtorch's distributed sampler and
    never tells it a new epoch.

    Args:
        size: images in the data set.
        batch_size: images in a full minibatch.
        seed: of the order.
        generators: G, from 1.

    Raises:
        SparringError: if there are fewer images than generators.
    """

    def __init__(self, size: int, batch_size: int, seed: int, generators: int) -> None:
        super().__init__(size, batch_size, seed)
        if not 1 <= generators <= size:
            raise SparringError(
                f"expected 1 to {size} generators for {size} images, not {generators}"
            )
        self.generators = generators
        self.share = math.ceil(size / generators)
        self._study_order: Indices | None = None

    @property
    def batches_per_generator(self) -> int:
        """Of one epoch, a partial one included."""
        return math.ceil(self.share / self.batch_size)

    @property
    def epoch_length(self) -> int:
        """Batches of all generators in an epoch."""
        return self.generators * self.batches_per_generator

    def rows(self, batch: int) -> int:
        """Images in a minibatch."""
        start = batch % self.epoch_length // self.generators * self.batch_size
        return min(self.batch_size, self.share - start)

    def indices(self, batch: int) -> tuple[int, Indices]:
        """See `Batches`."""
        if batch < 0:
            raise ValueError(f"batch must be at least 0, not {batch}")
        if self._study_order is None:
            self._study_order = permutation(self.seed, 0, self.size)
        epoch, place = divmod(batch, self.epoch_length)
        turn, generator = divmod(place, self.generators)
        start = generator * self.share + turn * self.batch_size
        chosen = self._study_order.take(range(start, start + self.rows(batch)), mode="wrap")
        return epoch, chosen
