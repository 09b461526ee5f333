"""An update that ranks make together, each on its share of the minibatch."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from sparring.compute.interface import Array, Batch, Compute, Statistics
from sparring.strategies.node_memory import NodeMemory, NoRoomError
from sparring.strategies.reduction import (
    MessageReduction,
    Reduction,
    SharedReduction,
    UnequalNodesError,
)
from sparring.strategies.telemetry import RankLog
from sparring.strategies.waiting import Waiting

if TYPE_CHECKING:
    from mpi4py import MPI

_log = logging.getLogger(__name__)

REDUCTIONS = ("auto", "shared_memory", "messages")


class JointUpdate:
    """Gradients of shares, their sum, and the optimizer's step. Collective over ``comm``.

    Each share's gradient is weighted by its size. Where the weights can live in memory that a
    node's ranks share (the fused engine and an elementwise optimizer, through shared memory), each
    rank steps on its part of them; else every rank takes the same whole step.

    Args:
        comm: the ranks.
        compute: this rank's.
        log, waiting: of this rank.
        reduction: one of `REDUCTIONS`.
        overlap: see `DataParallel`.
        batch_norm: how a batch normalisation sees the minibatch.

    Raises:
        SparringError: if the reduction is ``"shared_memory"`` and a node cannot share it.
    """

    def __init__(
        self, comm: MPI.Intracomm, compute: Compute, log: RankLog, waiting: Waiting, *,
        reduction: str = "auto", overlap: bool = False, batch_norm: Statistics = "synchronized",
    ) -> None:  # fmt: skip
        self._ranks = None
        if comm.size > 1 and compute.mixes_images:
            self._ranks = _Ranks(comm, compute, waiting)
            compute.join(self._ranks, batch_norm)
        self._comm, self._compute, self._log, self._waiting = comm, compute, log, waiting
        self._sums = self._open(reduction, messages=overlap or comm.size == 1)
        self._divided = _Divided.among(comm, compute, self._sums, waiting)
        self._requests: list[MPI.Request] = []
        self._early = self._reduce_early if overlap and comm.size > 1 else None

    def _open(self, reduction: str, messages: bool) -> Reduction:
        # The losses travel at the end of the gradients: one message an update, not two.
        compute, comm = self._compute, self._comm
        needs = (comm, compute.gradient_count + 2, compute.dtype, self._waiting)
        if messages or reduction == "messages":
            return MessageReduction(*needs)
        try:
            return SharedReduction(*needs)
        except (NoRoomError, UnequalNodesError) as error:
            if reduction != "auto":
                raise
            if comm.rank == 0:
                _log.warning("%s; gradients are reduced by messages instead", error)
            return MessageReduction(*needs)

    def _reduce_early(self, part: slice) -> None:
        from mpi4py import MPI

        self._requests.append(self._comm.Iallreduce(MPI.IN_PLACE, self._sums.own[part]))

    def make(self, batch: Batch, made: float, what: str) -> tuple[float, float]:
        """Update on this rank's share of a minibatch. Collective.

        Args:
            batch: the share; ``rows`` are the whole minibatch's.
            made: this rank's part of a second number to add up.
            what: waited for, to name in an error.

        Returns:
            the mean loss of the whole minibatch, and the sum of ``made``.
        """
        compute, log, sums, factors = self._compute, self._log, self._sums, 0
        with log.phase("update"):
            if self._divided:
                loss, factors = compute.gradients_to_add(batch, sums.own[:-2])
            else:
                loss = compute.gradients(batch, sums.own[:-2], self._early)
            sums.own[-2:] = loss, made
        if self._comm.size > 1:
            with log.phase("wait"):
                if self._early:  # what went early needs no second message; the losses go now
                    self._early(slice(compute.gradient_count, None))
                    for request in self._requests:
                        self._waiting.finish(request, what)
                    self._requests.clear()
                elif self._divided:
                    self._divided.sums.add_up(what, self._divided.add, factors)
                else:
                    sums.reduce(what)
            log.sent(sums.own.nbytes)
            log.received(sums.total.nbytes)
        with log.phase("update"):
            compute.apply(sums.total[:-2])
        if self._divided:
            with log.phase("wait"):
                self._divided.sums.publish(what)
            compute.weights_changed()
        loss, made = (float(value) for value in sums.total[-2:])
        return loss, made

    def close(self) -> None:
        """Give every rank weights and state of its own again, and memory back. Collective."""
        if self._divided:
            self._divided.close()
        self._sums.close()
        if self._ranks is not None:
            self._compute.join(None)
            self._ranks.close()


class _Ranks:
    """`sparring.compute.interface.Ranks` by messages, apart from all others."""

    def __init__(self, comm: MPI.Intracomm, compute: Compute, waiting: Waiting) -> None:
        self._comm, self._compute, self._waiting = comm.Dup(), compute, waiting

    def gather(self, own: Array) -> Array:
        """See `Ranks`."""
        rows = np.empty((self._comm.size, own.size), own.dtype)
        self._waiting.finish(self._comm.Iallgather(own, rows), "the others' statistics")
        return rows

    def take_first(self, array: Array) -> None:
        """See `Ranks`."""
        self._waiting.finish(self._comm.Ibcast(array), "rank 0's statistics")

    def close(self) -> None:
        """Free the communicator. Collective."""
        self._comm.Free()


@dataclass
class _Divided:
    """The optimizer's step, divided among the ranks of a node.

    Each steps on the part of the weights whose gradients it adds up, and all read one copy of them:
    that lies in memory which they share, as does the optimizer's state. What is added up may be the
    factors of gradients (`Compute.gradients_to_add`).
    """

    compute: Compute
    sums: SharedReduction
    memory: NodeMemory

    @classmethod
    def among(
        cls, comm: MPI.Intracomm, compute: Compute, sums: Reduction, waiting: Waiting
    ) -> _Divided | None:
        """None if every rank takes the whole step for itself. Collective."""
        count, number = compute.weight_count, compute.shared_rows
        if not isinstance(sums, SharedReduction) or number == 0:
            return None
        try:
            memory = NodeMemory(comm, lambda _: number, count, compute.dtype, waiting)
        except NoRoomError:
            return None
        part = slice(min(count, sums.part.start), min(count, sums.part.stop))
        compute.live_in(memory.rows, part, first=memory.node.rank == 0)
        memory.meet("the first weights")
        return cls(compute, sums, memory)

    def add(self, rows: Sequence[Array], factors: Sequence[int], part: slice, out: Array) -> None:
        """Add up the ranks' gradients, and the losses behind them, which the last part has."""
        count = self.compute.gradient_count
        self.compute.add_gradients(rows, factors, slice(part.start, min(part.stop, count)), out)
        losses = slice(max(part.start, count), part.stop)
        if losses.start < losses.stop:
            out[losses] = sum(row[losses] for row in rows)

    def close(self) -> None:
        """Give every rank weights and state of its own again. Collective."""
        everything = slice(0, self.compute.weight_count)
        self.compute.live_in(None, everything, first=True)
        self.memory.close()
