"""Every rank attacks its share of each minibatch; rank 0 gathers them and updates.

A minibatch takes 1/p of the time, so batches stay young: without overlap the staleness is 0, with
overlap (minibatch n + 1 is attacked while rank 0 updates on n) it is 1. A refresh then takes
further steps with the weights after that update, on all ranks at once.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np

from sparring.compute.interface import Array, Batch, Compute
from sparring.errors import SparringError
from sparring.strategies.base import (
    Run,
    Strategy,
    check_refresh,
    check_refresh_options,
    check_types,
    shard,
)
from sparring.strategies.broadcast import BROADCASTS, open_broadcast
from sparring.strategies.telemetry import ALL_RANKS, BatchRecord, RankLog
from sparring.strategies.waiting import Waiting

if TYPE_CHECKING:
    from mpi4py import MPI


class Tag(IntEnum):
    """What a message is."""

    SHARE = 11
    STRENGTH = 12


@dataclass(frozen=True)
class Sharded(Strategy):
    """Split generation, central updates.

    Attributes:
        overlap: whether a minibatch is attacked with the weights before the last update, while
            that update is computed.
        trainer_share: rank 0's share of a minibatch over an equal share, 0 to 1: less than 1
            leaves it time for its updates.
        refresh_steps: with ``overlap``, further ascent steps on every share, with the weights that
            its minibatch then updates, 0 or more.
        refresh_scale: length of such a step, in steps of the attack; above 0.
        broadcast: how rank 0's weights reach the others: ``"shared_memory"``, which the ranks of a
            node read; ``"messages"``; ``"auto"``, which is shared memory unless a node has not
            enough of it.

    Raises:
        ValueError: if ``trainer_share`` is not within 0 to 1, ``broadcast`` none of these, the
            refresh out of range, or there are ``refresh_steps`` without ``overlap``.
    """

    overlap: bool = False
    trainer_share: float = 1.0
    refresh_steps: int = 0
    refresh_scale: float = 1.0
    broadcast: str = "auto"

    def __post_init__(self) -> None:
        check_types(self)
        if not 0.0 <= self.trainer_share <= 1.0:
            raise ValueError(f"trainer_share must be within 0 to 1, not {self.trainer_share}")
        if self.broadcast not in BROADCASTS:
            raise ValueError(
                f"broadcast must be one of {', '.join(BROADCASTS)}, not {self.broadcast!r}"
            )
        check_refresh_options(self.refresh_steps, self.refresh_scale)
        if self.refresh_steps and not self.overlap:
            raise ValueError("refresh_steps needs overlap: without it, no adversary is stale")

    @property
    def splits_attacks(self) -> bool:
        """See `Strategy`."""
        return True

    def check(self, processes: int) -> None:
        """See `Strategy`."""
        if processes == 1 and self.trainer_share < 1.0:
            raise SparringError(
                "strategy 'sharded' with trainer_share below 1 needs 2 processes or more, not 1"
            )

    def part(self, rows: int, processes: int, rank: int) -> slice:
        """The rows of a minibatch that a rank attacks."""
        own = round(shard(rows, processes, 0).stop * self.trainer_share)
        if rank == 0:
            return slice(0, own)
        rest = shard(rows - own, processes - 1, rank - 1)
        return slice(own + rest.start, own + rest.stop)

    def idle(self, processes: int, rows: int) -> int:
        """See `Strategy`; rank 0 updates."""
        shares = [self.part(rows, processes, rank) for rank in range(1, processes)]
        return sum(share.start == share.stop for share in shares)

    def check_compute(self, compute: Compute) -> None:
        """See `Strategy`."""
        check_refresh(compute, self.refresh_steps, self.refresh_scale)

    def train(self, run: Run) -> RankLog:
        """See `Strategy`."""
        self.check(run.comm.size)
        self.check_compute(run.compute)
        log, waiting = run.begin("both" if run.comm.rank == 0 else "generator")
        rank = _Rank(self, run, log, waiting)
        rank.train()
        run.compute.return_weights()
        rank.broadcast.close()
        return log


@dataclass
class _Made:
    """A minibatch in the making: rank 0's buffer and the messages that fill it.

    Attributes:
        images: of all shares, on rank 0.
        own: this rank's share, if it has one.
        made_loss: summed loss of that share under the weights that made it.
        requests: the receives of the other shares, on rank 0.
        strength: each rank's ``made_loss``, on rank 0.
    """

    images: Array
    own: Batch | None = None
    made_loss: float = 0.0
    requests: list[MPI.Request] = field(default_factory=list)
    strength: Array = field(default_factory=lambda: np.zeros(0))


@dataclass
class _Rank:
    """Any rank; rank 0 is also the trainer."""

    strategy: Sharded
    run: Run
    log: RankLog
    waiting: Waiting

    def __post_init__(self) -> None:
        self.comm, self.compute = self.run.comm, self.run.compute
        self.broadcast = open_broadcast(
            self.strategy.broadcast, self.comm, self.compute.weight_count, self.compute.dtype,
            self.waiting, "weights",
        )  # fmt: skip
        self.gradients = np.empty(self.compute.gradient_count, self.compute.dtype)
        # Two: with overlap one minibatch is being made while the last is consumed.
        shape = (self.compute.rows(0), *self.compute.image_shape)
        self.buffers = [np.empty(shape, self.compute.dtype) for _ in range(2)]
        self.outgoing: list[tuple[MPI.Request, Array]] = []

    def train(self) -> None:
        """Make minibatches and consume them, one behind the other with overlap."""
        start, updates = self.run.start, self.run.updates
        if not self.strategy.overlap:
            for number in range(start, updates):
                self._consume(number, self._make(number), version=number)
                self._share_weights(number + 1 < updates)
            return
        if start >= updates:
            return  # what is made ahead must also be consumed
        made = self._make(start)
        for number in range(start, updates):
            ahead = number + 1 < updates
            if self.strategy.refresh_steps:
                self._refresh(number, made)
                self._hand_over(number, made)
                # All ranks are in MPI together here. A message that needs its sender's help would
                # else be held up by the whole attack that follows.
                self._gather(number, made)
            made_next = self._make(number + 1) if ahead else None
            # The weights behind ``made`` had seen all updates but the last one.
            self._consume(number, made, version=max(start, number - 1))
            self._share_weights(ahead)
            if made_next is not None:
                made = made_next

    def _make(self, number: int) -> _Made:
        """Attack this rank's share; rank 0 has the receives for the others' posted before.

        What is to be refreshed is handed over later.
        """
        comm, compute, log = self.comm, self.compute, self.log
        rows, log.batch = compute.rows(number), number
        made = _Made(self.buffers[number % 2][:rows])
        if comm.rank == 0:
            made.strength = np.zeros((comm.size, 1))
            for rank in range(1, comm.size):
                part = self.strategy.part(rows, comm.size, rank)
                if part.stop > part.start:
                    share = made.images[part]
                    made.requests.append(comm.Irecv(share, rank, Tag.SHARE))
                    log.received(share.nbytes)
                if self.run.record_strength:
                    made.requests.append(comm.Irecv(made.strength[rank], rank, Tag.STRENGTH))
        part = self.strategy.part(rows, comm.size, comm.rank)
        if part.stop > part.start:
            with log.phase("generate"):
                made.own = compute.attack(number, part)
                if self._strong():
                    made.made_loss = compute.loss(made.own) * len(made.own.labels)
            log.batches += 1
        if not self.strategy.refresh_steps:
            self._hand_over(number, made)
        return made

    def _refresh(self, number: int, made: _Made) -> None:
        """Take further steps on this rank's share, with the weights that it has now."""
        strategy, self.log.batch = self.strategy, number
        if made.own is not None:
            part = strategy.part(len(made.images), self.comm.size, self.comm.rank)
            with self.log.phase("generate"):
                made.own = self.compute.refresh(
                    made.own, part, strategy.refresh_steps, strategy.refresh_scale
                )

    def _hand_over(self, number: int, made: _Made) -> None:
        """Give rank 0 this rank's share, and how strong it was."""
        if self.comm.rank == 0:
            made.strength[0] = made.made_loss
            if made.own is not None:
                part = self.strategy.part(len(made.images), self.comm.size, 0)
                made.images[part] = made.own.images
            return
        if made.own is not None:
            self._send(made.own.images, Tag.SHARE, number)
        if self._strong():
            self._send(np.array([made.made_loss]), Tag.STRENGTH, number)

    def _gather(self, number: int, made: _Made) -> None:
        """On rank 0: wait for the shares; elsewhere: until this rank's are taken."""
        if self.comm.rank > 0:
            self._finish_sends()
            return
        with self.log.phase("wait"):
            for request in made.requests:
                self.waiting.finish(request, f"the other ranks' shares of batch {number}")
        made.requests.clear()

    def _strong(self) -> bool:
        return self.run.record_strength

    def _send(self, buffer: Array, tag: Tag, number: int) -> None:
        """Send without waiting for the trainer, but never further ahead than the last send."""
        with self.log.phase("send"):
            request = self.comm.Isend(buffer, 0, tag)
        self.outgoing.append((request, buffer))  # the buffer lives until it is sent
        self.log.sent(buffer.nbytes)
        while len(self.outgoing) > 2:
            with self.log.phase("wait"):
                oldest, _ = self.outgoing.pop(0)
                self.waiting.finish(oldest, f"rank 0 to take a share of batch {number}")

    def _consume(self, number: int, made: _Made, version: int) -> None:
        """On rank 0: wait for the shares that are still to come, and update."""
        if self.comm.rank > 0:
            return
        compute, log, rows = self.compute, self.log, len(made.images)
        log.batch = number
        self._gather(number, made)
        batch = Batch(number, rows, made.images, compute.labels(number))
        with log.phase("update"):
            loss = compute.gradients(batch, self.gradients)
            compute.apply(self.gradients)
        made_loss = float(made.strength.sum()) / rows if self._strong() else None
        self.run.updated(BatchRecord(number, number, ALL_RANKS, ((0, version),), made_loss, loss))

    def _share_weights(self, wanted: bool) -> None:
        """Give every rank the trainer's new weights."""
        if self.comm.size == 1 or not wanted:
            self._finish_sends()
            return
        if self.comm.rank == 0:
            with self.log.phase("send"):
                self.compute.read_weights(self.broadcast.outgoing)
        with self.log.phase("wait"):
            weights = self.broadcast.share("rank 0's new weights")
        if self.comm.rank == 0:
            self.log.sent(weights.nbytes)
        else:
            self.log.received(weights.nbytes)
            with self.log.phase("receive"):
                self.compute.borrow_weights(weights)

    def _finish_sends(self) -> None:
        with self.log.phase("wait"):
            for request, _ in self.outgoing:
                self.waiting.finish(request, "rank 0 to take the last share")
        self.outgoing.clear()


def balanced_share(generate_seconds: float, update_seconds: float, processes: int) -> float:
    """The ``trainer_share`` at which an overlapped trainer and its generators end together.

    With g seconds to generate a whole minibatch on one rank and u to update, rank 0 spends
    u + x g / p on a share x of g / p, the others (g - x g / p) / (p - 1) each; equal at
    x = 1 - u (p - 1) / g, cut to 0 to 1.

    Raises:
        ValueError: if a time is not positive.
    """
    if generate_seconds <= 0 or update_seconds < 0:
        raise ValueError("generate_seconds must be above 0 and update_seconds not below it")
    return min(1.0, max(0.0, 1.0 - update_seconds * (processes - 1) / generate_seconds))
