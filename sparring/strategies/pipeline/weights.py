"""Weights from the trainer to the generators: by messages, bounded by credits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sparring.compute.interface import Compute
from sparring.strategies.pipeline.messages import Tag, WeightsBuffer
from sparring.strategies.telemetry import RankLog

if TYPE_CHECKING:
    from mpi4py import MPI


class WeightsSender(Protocol):
    """The trainer's end."""

    def offer(self, version: int, due: int) -> None:
        """Let generators have the present weights, of this version, if ``due`` is news to them."""

    def drained(self) -> bool:
        """Whether nothing is in flight."""


class WeightsReceiver(Protocol):
    """A generator's end."""

    def take(self) -> int | None:
        """Put the newest weights that have come into the compute; their version, if any came."""


@dataclass
class _Line:
    """The line to one generator: a buffer for each credit, since weights change in flight."""

    rank: int
    buffers: list[WeightsBuffer]
    requests: list[MPI.Request | None]
    sent_version: int

    def free(self) -> int | None:
        """A buffer whose message was taken, or None while all credits are used."""
        for index, request in enumerate(self.requests):
            if request is None or request.Test():
                self.requests[index] = None
                return index
        return None


class MessageSender:
    """Sends weights to each generator that has a free credit.

    A slow generator costs its credits and no more: what it receives next is what was newest when
    its last message was taken, and nothing queues behind it.
    """

    def __init__(
        self, comm: MPI.Intracomm, compute: Compute, log: RankLog, *, version: int, credits: int,
        every_turn: bool,
    ) -> None:  # fmt: skip
        self._comm, self._compute, self._log = comm, compute, log
        self._every_turn = every_turn
        self._lines = [
            _Line(rank, [WeightsBuffer(compute) for _ in range(credits)], [None] * credits, version)
            for rank in range(1, comm.size)
        ]

    def offer(self, version: int, due: int) -> None:
        """See `WeightsSender`."""
        for line in self._lines:
            if not (self._every_turn or line.sent_version < due):
                continue
            free = line.free()
            if free is None:
                continue
            buffer = line.buffers[free]
            with self._log.phase("send"):
                self._compute.read_weights(buffer.weights)
                buffer.version[0] = line.sent_version = version
                line.requests[free] = self._comm.Isend(buffer.bytes, line.rank, Tag.WEIGHTS)
            self._log.sent(buffer.bytes.nbytes)
            self._log.counters["weights_sent"] += 1

    def drained(self) -> bool:
        """See `WeightsSender`."""
        busy = [r for line in self._lines for r in line.requests if r is not None and not r.Test()]
        return not busy


@dataclass
class MessageReceiver:
    """Receives all weights that have come; the newest win, the others are ignored."""

    comm: MPI.Intracomm
    compute: Compute
    log: RankLog
    version: int
    inbox: WeightsBuffer = field(init=False)

    def __post_init__(self) -> None:
        self.inbox = WeightsBuffer(self.compute)

    def take(self) -> int | None:
        """See `WeightsReceiver`."""
        taken = None
        while self.comm.Iprobe(0, Tag.WEIGHTS):
            with self.log.phase("receive"):
                self.comm.Recv(self.inbox.bytes, 0, Tag.WEIGHTS)
                self.log.received(self.inbox.bytes.nbytes)
                version = int(self.inbox.version[0])
                if version <= self.version:  # sent again unchanged
                    self.log.counters["weights_ignored"] += 1
                    continue
                self.compute.write_weights(self.inbox.weights)
                self.version = taken = version
                self.log.counters["weights_taken"] += 1
        return taken
