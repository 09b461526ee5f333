"""What all strategies share: how they are called, and how a minibatch is split."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, ClassVar

from sparring.compute import Compute
from sparring.strategies.telemetry import RankLog

if TYPE_CHECKING:
    from mpi4py import MPI


class Strategy(ABC):
    """A way to spread training over the ranks of a communicator.

    Attributes:
        splits_batches: whether a minibatch's gradient is computed in parts, which a model that
            mixes the images of a batch does not survive unchanged.
    """

    splits_batches: ClassVar[bool] = False

    @abstractmethod
    def check(self, processes: int) -> None:
        """See whether the strategy can work with so many ranks.

        Raises:
            SparringError: if not, with the number that it needs.
        """

    @abstractmethod
    def train(self, comm: MPI.Intracomm, compute: Compute, updates: int) -> RankLog:
        """Train minibatches 0 to ``updates`` - 1, one update each; return what this rank did.

        Rank 0 holds the trained weights afterwards.

        Raises:
            SparringError: if the strategy cannot work with this number of ranks.
        """


def shard(rows: int, parts: int, part: int) -> slice:
    """The rows of one of ``parts`` contiguous shares, whose sizes differ by at most one.

    A share is empty where there are fewer rows than parts.
    """
    small, larger = divmod(rows, parts)
    start = part * small + min(part, larger)
    return slice(start, start + small + (part < larger))
