"""A batch as bytes: what generators send and the trainer reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from sparring.compute.interface import Array, Batch, Compute
from sparring.errors import SparringError

Bytes = npt.NDArray[np.uint8]
Versions = tuple[tuple[int, int], ...]


class Tag(IntEnum):
    """What a message is."""

    BATCH = 1  # packed, or the first of two: all but the images
    IMAGES = 2
    WEIGHTS = 3
    GRANT = 4
    VERDICT = 5
    STOP = 6


@dataclass(frozen=True)
class Delivery:
    """A batch as it reached the trainer.

    Attributes:
        batch: number, rows, images and labels.
        generator: the rank that made it.
        versions: (ascent step, version of the weights) where weights changed, from step 0.
        made_loss: see `BatchRecord`.
    """

    batch: Batch
    generator: int
    versions: Versions
    made_loss: float | None

    def copied(self) -> Delivery:
        """The same, no longer a view of a receive buffer."""
        batch = self.batch
        kept = Batch(batch.number, batch.rows, batch.images.copy(), batch.labels.copy())
        return Delivery(kept, self.generator, self.versions, self.made_loss)


class BatchBuffer:
    """Room for one batch: a head (numbers, versions, labels) and the images behind it.

    The head has the same size for every batch of a run, so the images begin at a fixed place and
    a message is a beginning of the buffer.
    """

    _FACTS = 5  # number, whole rows, rows sent, changes of version, loss (as bits)

    def __init__(self, compute: Compute, memory: Bytes | None = None) -> None:
        self.capacity = compute.rows(0)  # an epoch's first minibatch is its largest
        # Weights are looked for before each step, so no more changes than steps are possible.
        self._changes = compute.attack_steps + 1
        self._image_shape, self._dtype = compute.image_shape, compute.dtype
        self._image_bytes = int(np.prod(self._image_shape)) * self._dtype.itemsize
        self.head_bytes = 8 * (self._FACTS + 2 * self._changes + self.capacity)
        size = self.head_bytes + self.capacity * self._image_bytes
        self.bytes: Bytes = np.zeros(size, np.uint8) if memory is None else memory[:size]
        numbers = self.bytes[: self.head_bytes].view(np.int64)
        self._facts = numbers[: self._FACTS]
        self._versions = numbers[self._FACTS : self._FACTS + 2 * self._changes].reshape(-1, 2)
        self._labels = numbers[self._FACTS + 2 * self._changes :]
        flat = self.bytes[self.head_bytes :].view(self._dtype)
        self._images: Array = flat.reshape(self.capacity, *self._image_shape)
        self._left = np.zeros(self.capacity, np.int64)

    def fill(self, batch: Batch, versions: Sequence[tuple[int, int]], made_loss: float | None
             ) -> int:  # fmt: skip
        """Put a batch in; returns the size of its message in bytes.

        Raises:
            SparringError: if the weights changed more often than an attack of so many steps
                lets them.
        """
        rows = len(batch.labels)
        if len(versions) > self._changes:
            raise SparringError(
                f"the weights changed {len(versions) - 1} times during an attack that was taken to "
                f"have {self._changes - 1} steps; an attack of your own tells them as `steps`"
            )
        loss = np.float64(np.nan if made_loss is None else made_loss).view(np.int64)
        self._facts[:] = batch.number, batch.rows, rows, len(versions), loss
        self._versions[: len(versions)] = versions
        self._labels[:rows] = batch.labels
        self._images[:rows] = batch.images
        return self.head_bytes + rows * self._image_bytes

    def read(self, generator: int, all_rows: bool = False) -> Delivery:
        """The batch in the buffer, as views of it.

        The rows that were sent are the rows that are read: a partial batch is trained on as what
        it is. ``all_rows`` reads the whole buffer instead, with what the batch before left in it.
        """
        number, whole, rows, changes, bits = (int(fact) for fact in self._facts)
        labels = self._labels
        if all_rows:
            # A head comes whole, with whatever labels its sender had: those of rows that were not
            # sent belong to other images than the ones that are left here.
            self._left[:rows] = labels[:rows]
            labels, rows, whole = self._left, self.capacity, self.capacity
        loss = float(np.int64(bits).view(np.float64))
        return Delivery(
            Batch(number, whole, self._images[:rows], labels[:rows]),
            generator,
            tuple((int(step), int(version)) for step, version in self._versions[:changes]),
            None if np.isnan(loss) else loss,
        )


class WeightsBuffer:
    """Weights as bytes: their version (how many updates made them), then the flat weights."""

    def __init__(self, compute: Compute, memory: Bytes | None = None) -> None:
        size = self.size(compute)
        self.bytes: Bytes = np.empty(size, np.uint8) if memory is None else memory[:size]
        self.version: npt.NDArray[np.int64] = self.bytes[:8].view(np.int64)
        self.weights: Array = self.bytes[8:].view(compute.dtype)

    @staticmethod
    def size(compute: Compute) -> int:
        """Bytes of a message of weights."""
        return 8 + compute.weight_count * compute.dtype.itemsize
