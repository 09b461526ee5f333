"""What a strategy needs of a model: computing, and flat buffers to send.

Strategies are protocol code. They drive this interface and know neither torch nor what stands
behind it: PyTorch, a fused engine, or an emulation that sleeps.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
OnStep = Callable[[int], None]
OnReady = Callable[[slice], None]


@dataclass(frozen=True)
class Batch:
    """Part of a minibatch, clean or adversarial.

    Attributes:
        number: the minibatch's number over all epochs, from 0.
        rows: how many images the whole minibatch has.
        images: ``(k, *image_shape)``, C-contiguous, of the compute's dtype; k <= rows.
        labels: int64 ``(k,)``.
    """

    number: int
    rows: int
    images: Array
    labels: npt.NDArray[np.int64]


class Ranks(Protocol):
    """The ranks that update on one minibatch, each on its share of it."""

    def gather(self, own: Array) -> Array:
        """Every rank's array ``(k,)``, a row for each, in the order of ranks. Collective."""

    def take_first(self, array: Array) -> None:
        """Rank 0's array ``(k,)`` takes the place of every other's. Collective."""


#: How a batch normalisation sees a minibatch that is spread over ranks.
Statistics = Literal["synchronized", "local"]


class Compute(Protocol):
    """One rank's model, data, attack and optimizer.

    Attributes:
        image_shape: shape of one image, such as (1, 28, 28).
        dtype: dtype of images, weights and gradients.
        weight_count: elements of the flat weights: all parameters, then all buffers (a batch
            normalisation's statistics travel with the weights), those of another dtype as bytes.
        gradient_count: elements of the flat gradients: all trainable parameters.
        attack_steps: ascent steps that one attack takes.
        epoch_length: minibatches in an epoch.
        optimizer_seconds: seconds spent in the optimizer's own step since `reset`.
    """

    image_shape: tuple[int, ...]
    dtype: np.dtype[Any]
    weight_count: int
    gradient_count: int
    attack_steps: int
    epoch_length: int
    optimizer_seconds: float

    @property
    def shared_rows(self) -> int:
        """Rows of ``weight_count`` numbers in which weights and optimizer could live (`live_in`).

        0 if they cannot.
        """

    def reset(self) -> None:
        """Put initial weights and a new optimizer in place."""

    def rows(self, number: int) -> int:
        """How many images minibatch ``number`` has (the last one of an epoch may have fewer)."""

    def attack(
        self, number: int, part: slice, on_step: OnStep | None = None, every: int = 1
    ) -> Batch:
        """Adversaries for the images ``part`` of minibatch ``number``, at the present weights.

        The same part of the same minibatch gives the same adversaries on every rank. ``on_step``
        is called before every ``every``-th ascent step with its number, from step 0, and may write
        newer weights.
        """

    def refresh(self, batch: Batch, part: slice, steps: int, scale: float) -> Batch:
        """Adversaries after further ascent steps at the present weights.

        Args:
            batch: what `attack` made of the images ``part``, here or elsewhere.
            part: which rows of the minibatch they are.
            steps: how many, from 1.
            scale: length of each, in steps of the attack.

        Raises:
            SparringError: if the attack has no further steps.
        """

    def labels(self, number: int) -> npt.NDArray[np.int64]:
        """The labels of a whole minibatch, int64 ``(rows,)``."""

    @property
    def mixes_images(self) -> bool:
        """Whether an image's loss depends on the images beside it: by a batch normalisation."""

    def join(self, ranks: Ranks | None, statistics: Statistics = "synchronized") -> None:
        """From now on `gradients` are of shares of minibatches, made with these ranks; or alone.

        Called where `mixes_images` alone. `gradients` is collective then.

        Args:
            ranks: all that update, or None for this one alone.
            statistics: of all ranks' images, so that the sum of their gradients is that of the
                whole minibatch; or each rank's of its own images, and rank 0's are kept, as
                PyTorch's DistributedDataParallel does.
        """

    def loss(self, batch: Batch, *, joint: bool = False) -> float:
        """Mean loss of the given images (at least one) at the present weights.

        ``joint``: among the images of the ranks that were joined; collective, and 0 of no images.
        """

    def gradients(self, batch: Batch, out: Array, on_ready: OnReady | None = None) -> float:
        """Write this part's share of the minibatch's mean gradient to ``out``; return its loss.

        The shares of all parts of a minibatch add up to the gradient of its mean loss, and the
        returned shares add up to that mean loss. ``on_ready`` is called with parts of ``out`` as
        soon as they hold their final values: the same parts in the same order on every rank,
        which together are all of it.
        """

    def gradients_to_add(self, batch: Batch, out: Array) -> tuple[float, int]:
        """As `gradients`, in a form that `add_gradients` adds up. Called where `live_in` was.

        Of few images, large linear layers write each one's inputs and gradient of outputs, whose
        outer products are the gradient of the weights: fewer numbers than that has.

        Returns:
            the loss, and how many images are so in ``out``; -1 if none is.
        """

    def add_gradients(
        self, rows: Sequence[Array], factors: Sequence[int], part: slice, out: Array
    ) -> None:
        """Write to ``out[part]`` the sum of what `gradients_to_add` gave on several ranks.

        Args:
            rows: what each wrote.
            factors: the number that it returned.
            part: whole cache lines.
            out: flat gradients.
        """

    def apply(self, gradients: Array) -> None:
        """One optimizer step with these flat gradients."""

    def live_in(self, rows: Sequence[Array] | None, part: slice, *, first: bool) -> None:
        """Keep weights and the optimizer's state in ``rows``, and step on this part of them.

        Gradients stand where the weights do, then. Called where ``shared_rows`` is not 0.

        Args:
            rows: so many rows, perhaps of memory that other ranks share; None for own memory.
            part: what `apply` steps on; others see to the rest and `weights_changed` tells of it.
            first: whether this rank's weights and state go to the rows; else it takes theirs.
        """

    def weights_changed(self) -> None:
        """Others have changed the rows of `live_in`."""

    def read_weights(self, out: Array) -> None:
        """Copy the weights to the flat buffer ``out``."""

    def write_weights(self, weights: Array) -> None:
        """Take the weights from a flat buffer."""

    def borrow_weights(self, weights: Array) -> None:
        """Take the weights from a flat buffer that nobody changes before the next call.

        They may be read there until then. Not for a rank that also updates.
        """

    def return_weights(self) -> None:
        """Copy what is borrowed: its buffer may go."""
