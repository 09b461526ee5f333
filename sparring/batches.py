"""Which images make up which minibatch."""

from __future__ import annotations

import math

from sparring.randomness import Indices, check_seed, permutation


class Batches:
    """The endless sequence of minibatches of a training run, numbered from 0 across epochs.

    Every epoch goes through all images once, in an order of its own that depends only on
    (seed, epoch). Any rank can ask for any batch; only the current epoch's order is kept.

    The last batch of an epoch keeps what is left of the data, which may be less than
    ``batch_size``. Its size is never hidden: the original study trained on such batches as if
    they were full, and lost most of its robust accuracy.

    Args:
        size: images in the data set, at least 1.
        batch_size: images in a full batch, at least 1.
        seed: seed of the orders, 0 .. 2**64 - 1.

    Raises:
        ValueError: if size or batch_size is below 1, or the seed out of its range.
    """

    def __init__(self, size: int, batch_size: int, seed: int) -> None:
        for name, value in (("size", size), ("batch_size", batch_size)):
            if value < 1:
                raise ValueError(f"{name} must be at least 1, not {value}")
        check_seed(seed)
        self.size, self.batch_size, self.seed = size, batch_size, seed
        self._epoch = -1
        self._order: Indices

    def __repr__(self) -> str:
        return f"Batches(size={self.size}, batch_size={self.batch_size}, seed={self.seed})"

    @property
    def epoch_length(self) -> int:
        """Batches in an epoch, a partial one included."""
        return math.ceil(self.size / self.batch_size)

    def indices(self, batch: int) -> tuple[int, Indices]:
        """The epoch of a batch, and its image numbers: int64 ``(k,)``, read-only.

        Args:
            batch: number of the batch over all epochs, from 0.

        Raises:
            ValueError: if batch is negative.
        """
        if batch < 0:
            raise ValueError(f"batch must be at least 0, not {batch}")
        epoch, position = divmod(batch, self.epoch_length)
        if epoch != self._epoch:
            self._order = permutation(self.seed, epoch, self.size)
            self._order.flags.writeable = False
            self._epoch = epoch
        start = position * self.batch_size
        return epoch, self._order[start : start + self.batch_size]
