"""How a generator sends its batches: and waits, or goes on meanwhile."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from sparring.compute.interface import Batch, Compute
from sparring.strategies.pipeline.messages import BatchBuffer, Tag, Versions
from sparring.strategies.telemetry import RankLog
from sparring.strategies.waiting import Waiting

if TYPE_CHECKING:
    from mpi4py import MPI


@dataclass
class Outbox:
    """Sends batches as one or two messages, from one buffer or from two in turn.

    With one buffer, `send` returns when the trainer has taken the batch (a synchronous send, so
    that "taken" is not only "copied by the library"). With two it returns when the batch before was
    taken, and the next is made while this one is on its way.
    """

    comm: MPI.Intracomm
    compute: Compute
    log: RankLog
    waiting: Waiting
    packed: bool
    buffers: int
    _rooms: list[tuple[BatchBuffer, list[MPI.Request]]] = field(init=False)
    _next: int = 0

    def __post_init__(self) -> None:
        self._rooms = [(BatchBuffer(self.compute), []) for _ in range(self.buffers)]

    def send(self, batch: Batch, versions: Versions, made_loss: float | None) -> None:
        """Send a batch; see the class for when this returns."""
        buffer, requests = self._rooms[self._next]
        with self.log.phase("send"):
            size = buffer.fill(batch, versions, made_loss)
            ends = [size] if self.packed else [buffer.head_bytes, size]
            begin = 0
            for tag, end in zip((Tag.BATCH, Tag.IMAGES), ends, strict=False):
                requests.append(self.comm.Issend(buffer.bytes[begin:end], 0, tag))
                self.log.sent(end - begin)
                begin = end
        self._next = (self._next + 1) % self.buffers
        self._wait_until_free(self._next)

    def flush(self) -> None:
        """Wait until every batch was taken."""
        for index in range(self.buffers):
            self._wait_until_free(index)

    def _wait_until_free(self, index: int) -> None:
        with self.log.phase("wait"):
            for request in self._rooms[index][1]:
                self.waiting.finish(request, f"the trainer to take batch {self.log.batch}")
        self._rooms[index][1].clear()
