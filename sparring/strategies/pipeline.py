"""Rank 0 trains, the others generate: the scheme of the original study.

Minibatch n belongs to generator ``1 + n mod (p - 1)``. A generator sends its adversaries to the
trainer and begins the next minibatch when the trainer has taken them (a synchronous send: one
finished batch per generator is all that ever waits). The trainer updates on batches in the order
in which they come, and sends its weights to every generator that has not the newest ones, one
message in flight to each: weights never queue behind a slow generator, and what it receives next
is what was newest when its last message was taken. Generators look for weights in the middle of an
attack, every ``receive_interval`` ascent steps.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from sparring.compute import Array, Batch, Compute
from sparring.errors import SparringError
from sparring.strategies.base import Strategy
from sparring.strategies.telemetry import RankLog
from sparring.strategies.waiting import Waiting, choose_waiting

if TYPE_CHECKING:
    from mpi4py import MPI

Bytes = npt.NDArray[np.uint8]


class Tag(IntEnum):
    """What a message is."""

    BATCH = 1
    WEIGHTS = 2
    STOP = 3


@dataclass(frozen=True)
class Pipeline(Strategy):
    """The study's pipeline, with bounded queues.

    Attributes:
        receive_interval: ascent steps between a generator's looks for new weights, from 1.
        send_interval: updates between the trainer's sends of weights, from 1.

    Raises:
        ValueError: if an interval is below 1.
    """

    receive_interval: int = 1
    send_interval: int = 1

    def __post_init__(self) -> None:
        for name in ("receive_interval", "send_interval"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")

    def check(self, processes: int) -> None:
        """See `Strategy`."""
        if processes < 2:
            raise SparringError(
                f"strategy 'pipeline' needs 2 processes or more (a trainer and a generator), "
                f"not {processes}"
            )

    def train(self, comm: MPI.Intracomm, compute: Compute, updates: int) -> RankLog:
        """See `Strategy`."""
        self.check(comm.size)
        waiting = choose_waiting(comm)
        if comm.rank == 0:
            return _Trainer(comm, compute, waiting, self.send_interval).train(updates)
        return _Generator(comm, compute, waiting, self.receive_interval).generate(updates)


class _BatchMessage:
    """A batch as one message: number, whole rows, rows sent, oldest version; labels; images."""

    HEADER = 4

    def __init__(self, compute: Compute) -> None:
        self._image_shape, self._dtype = compute.image_shape, compute.dtype
        rows = compute.rows(0)  # an epoch's first minibatch is its largest
        self.row_bytes = 8 + int(np.prod(compute.image_shape)) * compute.dtype.itemsize
        self.buffer: Bytes = np.empty(8 * self.HEADER + rows * self.row_bytes, np.uint8)

    def pack(self, batch: Batch, oldest_version: int) -> Bytes:
        """The message of a batch, a view of the buffer."""
        rows = len(batch.labels)
        header, labels, images, size = self._views(rows)
        header[:] = batch.number, batch.rows, rows, oldest_version
        labels[:] = batch.labels
        images[:] = batch.images
        return self.buffer[:size]

    def unpack(self) -> tuple[Batch, int]:
        """The batch in the buffer, as views of it, and the oldest version behind it.

        The rows that were sent are the rows that are read, also when the buffer could hold more:
        an epoch's last batch is trained on as what it is.
        """
        number, whole, rows, version = self._views(0)[0]
        _, labels, images, _ = self._views(int(rows))
        return Batch(int(number), int(whole), images, labels), int(version)

    def _views(self, rows: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64], Array, int]:
        at = [8 * self.HEADER, 8 * self.HEADER + 8 * rows, 8 * self.HEADER + rows * self.row_bytes]
        return (
            self.buffer[: at[0]].view(np.int64),
            self.buffer[at[0] : at[1]].view(np.int64),
            self.buffer[at[1] : at[2]].view(self._dtype).reshape(rows, *self._image_shape),
            at[2],
        )


class _WeightsMessage:
    """Weights as one message: their version (how many updates made them), then the flat weights."""

    def __init__(self, compute: Compute) -> None:
        size = 8 + compute.weight_count * compute.dtype.itemsize
        self.buffer: Bytes = np.empty(size, np.uint8)
        self.version = self.buffer[:8].view(np.int64)
        self.weights = self.buffer[8:].view(compute.dtype)


@dataclass
class _Line:
    """The trainer's line to one generator: the message in flight and the version it carries."""

    rank: int
    message: _WeightsMessage
    sent_version: int = 0
    request: MPI.Request | None = None

    def free(self) -> bool:
        """Whether the last message was taken."""
        if self.request is not None and self.request.Test():
            self.request = None
        return self.request is None


@dataclass
class _Trainer:
    """Rank 0."""

    comm: MPI.Intracomm
    compute: Compute
    waiting: Waiting
    send_interval: int
    log: RankLog = field(default_factory=lambda: RankLog("trainer"))
    version: int = 0

    def train(self, updates: int) -> RankLog:
        log, compute = self.log, self.compute
        lines = [_Line(rank, _WeightsMessage(compute)) for rank in range(1, self.comm.size)]
        inbox = _BatchMessage(compute)
        gradients = np.empty(compute.gradient_count, compute.dtype)
        began = log.clock()
        while self.version < updates:
            self._take_batch(inbox, lines)
            if self.version == 0:
                log.fill_seconds = log.clock() - began
            if self.version == updates - 1:
                last_came = log.clock()
            batch, oldest = inbox.unpack()
            log.staleness.append(self.version - oldest)
            with log.phase("update"):
                log.losses.append(compute.gradients(batch, gradients))
                compute.apply(gradients)
            self.version += 1
        self._stop(lines)
        log.drain_seconds = log.clock() - last_came
        return log

    def _take_batch(self, inbox: _BatchMessage, lines: list[_Line]) -> None:
        """Receive the next batch, offering weights while there is none."""
        from mpi4py import MPI

        status = MPI.Status()
        found: list[MPI.Message] = []

        def arrived() -> bool:
            self._offer_weights(lines)
            message = self.comm.Improbe(MPI.ANY_SOURCE, Tag.BATCH, status)
            if message is not None:
                found.append(message)
            return bool(found)

        with self.log.phase("wait"):
            self.waiting.until(arrived)
        with self.log.phase("receive"):
            found[0].Recv([inbox.buffer, MPI.BYTE], status)
        self.log.received(status.Get_count(MPI.BYTE))

    def _offer_weights(self, lines: list[_Line]) -> None:
        """Send the present weights down every free line that is ``send_interval`` updates behind.

        Each line has a buffer of its own, since the weights change while a message is in flight.
        """
        from mpi4py import MPI

        due = self.version - self.version % self.send_interval
        for line in lines:
            if line.sent_version < due and line.free():
                with self.log.phase("send"):
                    self.compute.read_weights(line.message.weights)
                    line.message.version[0] = line.sent_version = self.version
                    line.request = self.comm.Isend(
                        [line.message.buffer, MPI.BYTE], line.rank, Tag.WEIGHTS
                    )
                self.log.sent(line.message.buffer.nbytes)

    def _stop(self, lines: list[_Line]) -> None:
        """Tell every generator to end; it takes what is still in flight to it before."""
        with self.log.phase("wait"):
            for line in lines:
                stop = self.comm.Isend(np.empty(0, np.uint8), line.rank, Tag.STOP)
                self.waiting.until(line.free)
                self.waiting.finish(stop)


@dataclass
class _Generator:
    """Any other rank."""

    comm: MPI.Intracomm
    compute: Compute
    waiting: Waiting
    receive_interval: int
    log: RankLog = field(default_factory=lambda: RankLog("generator"))
    version: int = 0

    def generate(self, updates: int) -> RankLog:
        compute, log = self.compute, self.log
        self._inbox = _WeightsMessage(compute)
        numbers = range(self.comm.rank - 1, updates, self.comm.size - 1)
        outbox = _BatchMessage(compute)
        for number in numbers:
            oldest = self.version

            def on_step(step: int) -> None:
                nonlocal oldest
                if step % self.receive_interval == 0:
                    self._take_weights()
                if step == 0:  # weights that no ascent step used are not behind the batch
                    oldest = self.version

            with log.phase("generate"):
                batch = compute.attack(number, slice(None), on_step)
            log.batches += 1
            self._hand_over(outbox.pack(batch, oldest))
        self._wait_for_stop()
        return log

    def _take_weights(self) -> None:
        """Receive weights that have come; the newest win."""
        from mpi4py import MPI

        with self.log.phase("receive"):
            came = False
            while self.comm.Iprobe(0, Tag.WEIGHTS):
                self.comm.Recv([self._inbox.buffer, MPI.BYTE], 0, Tag.WEIGHTS)
                self.log.received(self._inbox.buffer.nbytes)
                came = True
            if came:
                self.version = int(self._inbox.version[0])
                self.compute.write_weights(self._inbox.weights)

    def _hand_over(self, message: Bytes) -> None:
        """Send a batch and wait until the trainer has taken it."""
        from mpi4py import MPI

        with self.log.phase("send"):
            request = self.comm.Issend([message, MPI.BYTE], 0, Tag.BATCH)
        with self.log.phase("wait"):
            self.waiting.finish(request)
        self.log.sent(message.nbytes)

    def _wait_for_stop(self) -> None:
        """Take and drop weights until the trainer says that it is over.

        Messages of one sender come in their order, so nothing is left when the stop has come.
        """
        from mpi4py import MPI

        status = MPI.Status()
        with self.log.phase("wait"):
            while True:
                self.waiting.until(lambda: self.comm.Iprobe(0, MPI.ANY_TAG, status))
                self.comm.Recv([self._inbox.buffer, MPI.BYTE], 0, status.Get_tag(), status)
                if status.Get_tag() == Tag.STOP:
                    return
                self.log.received(status.Get_count(MPI.BYTE))
