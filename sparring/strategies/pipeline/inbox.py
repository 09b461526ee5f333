"""How the trainer receives batches: a probe loop, or receives posted before."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Protocol

import numpy as np

from sparring.compute.interface import Compute
from sparring.strategies.pipeline.messages import BatchBuffer, Delivery, Tag
from sparring.strategies.telemetry import RankLog

if TYPE_CHECKING:
    from mpi4py import MPI


class Inbox(Protocol):
    """Where the trainer looks for batches."""

    def poll(self) -> Delivery | None:
        """A batch, if one has come; it is valid until the next call."""

    def close(self) -> None:
        """No batch is expected any more."""


class ProbeInbox:
    """Goes round the generators with probes, as the study does.

    A call goes on where the last one ended, so a fast generator cannot crowd out the others, and
    ends after ``max_probes`` probes.
    """

    def __init__(
        self, comm: MPI.Intracomm, compute: Compute, log: RankLog, *, packed: bool, max_probes: int,
        all_rows: bool,
    ) -> None:  # fmt: skip
        self._comm, self._log = comm, log
        self._packed, self._max_probes, self._all_rows = packed, max_probes, all_rows
        self._buffer = BatchBuffer(compute)
        self._probed = 0  # rank of the generator probed last

    def poll(self) -> Delivery | None:
        """See `Inbox`."""
        for _ in range(self._max_probes):
            self._probed = self._probed % (self._comm.size - 1) + 1
            if self._comm.Iprobe(self._probed, Tag.BATCH):
                return self._receive(self._probed)
        return None

    def close(self) -> None:
        """See `Inbox`."""

    def _receive(self, generator: int) -> Delivery:
        from mpi4py import MPI

        status, buffer = MPI.Status(), self._buffer
        with self._log.phase("receive"):
            if self._packed:
                self._comm.Recv(buffer.bytes, generator, Tag.BATCH, status)
                self._log.received(status.Get_count(MPI.BYTE))
            else:
                head, images = np.split(buffer.bytes, [buffer.head_bytes])
                self._comm.Recv(head, generator, Tag.BATCH)
                self._comm.Recv(images, generator, Tag.IMAGES, status)
                self._log.received(head.nbytes + status.Get_count(MPI.BYTE))
        return buffer.read(generator, self._all_rows)


class CompletionInbox:
    """A persistent receive for each generator, posted before the batch comes.

    Batches are served in the order in which they completed; a generator's receive is posted again
    when its batch was served, so none can crowd out the others. A synchronous send completes as
    soon as the receive is posted: a generator runs one batch further ahead than with probes.
    """

    def __init__(
        self, comm: MPI.Intracomm, compute: Compute, log: RankLog, *, all_rows: bool
    ) -> None:
        from mpi4py import MPI

        self._log, self._all_rows = log, all_rows
        self._buffers = [BatchBuffer(compute) for _ in range(1, comm.size)]
        self._requests = [
            comm.Recv_init(buffer.bytes, rank, Tag.BATCH)
            for rank, buffer in enumerate(self._buffers, start=1)
        ]
        MPI.Prequest.Startall(self._requests)
        self._complete: deque[int] = deque()
        self._serving: int | None = None

    def poll(self) -> Delivery | None:
        """See `Inbox`."""
        from mpi4py import MPI

        if self._serving is not None:  # its batch has been used: the next may overwrite it
            self._requests[self._serving].Start()
            self._serving = None
        statuses: list[MPI.Status] = [MPI.Status() for _ in self._requests]
        for place, index in enumerate(MPI.Request.Testsome(self._requests, statuses) or ()):
            self._complete.append(index)
            self._log.received(statuses[place].Get_count(MPI.BYTE))
        if not self._complete:
            return None
        self._serving = self._complete.popleft()
        return self._buffers[self._serving].read(self._serving + 1, self._all_rows)

    def close(self) -> None:
        """See `Inbox`."""
        for index, request in enumerate(self._requests):
            if index != self._serving:  # the served one was not started again
                request.Cancel()
                request.Wait()
            request.Free()
