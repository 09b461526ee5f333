"""The trainers: what rank 0 has received, they all update on, each on its share.

Rank 0 alone talks with the generators. It puts a batch into memory that the trainers of its node
share; the first trainer of another node gets it by one message.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from sparring.compute.interface import Batch
from sparring.strategies.base import Run, shard
from sparring.strategies.broadcast import open_broadcast
from sparring.strategies.joint_update import JointUpdate
from sparring.strategies.pipeline.messages import BatchBuffer, Bytes, Delivery
from sparring.strategies.telemetry import BatchRecord, RankLog
from sparring.strategies.waiting import Waiting, patient

if TYPE_CHECKING:
    from mpi4py import MPI

    from sparring.strategies.pipeline.options import Pipeline

_NO_MORE = -1
#: Rank 0 finds out first that a generator is silent, and can name it.
_MORE_PATIENT = 2


class Group:
    """The trainers' updates. Collective over ``comm``.

    Args:
        options: the strategy.
        run: of this rank.
        comm: the trainers.
        log, waiting: of this rank.
    """

    def __init__(
        self, options: Pipeline, run: Run, comm: MPI.Intracomm, log: RankLog, waiting: Waiting
    ) -> None:
        self._options, self._run, self._comm, self._log = options, run, comm, log
        self._joint = JointUpdate(comm, run.compute, log, waiting, batch_norm=options.batch_norm)
        self._buffers: dict[int, BatchBuffer] = {}
        if comm.size > 1:
            size = 8 + BatchBuffer(run.compute).bytes.nbytes
            if comm.rank > 0 and waiting.patience_seconds is not None:
                waiting = patient(waiting, _MORE_PATIENT * waiting.patience_seconds)
            self._batches = open_broadcast("auto", comm, size, np.uint8, waiting, "batches")

    def lead(self, delivery: Delivery, generator: int, version: int) -> None:
        """Rank 0: update on a batch, the others with it.

        Args:
            delivery: the batch.
            generator: the rank that made it.
            version: of the weights that are updated.
        """
        if self._comm.size > 1:
            with self._log.phase("send"):
                memory = self._batches.outgoing
                memory[:8].view(np.int64)[0] = generator
                self._buffer(memory).fill(delivery.batch, delivery.versions, delivery.made_loss)
                self._batches.share(f"the other trainers, for update {version}")
            self._log.sent(memory.nbytes)
        self._update(replace(delivery, generator=generator), version)

    def follow(self) -> None:
        """The other trainers: update with rank 0 until it stops."""
        for version, delivery in enumerate(self._deliveries(), start=self._run.start):
            self._log.batch = delivery.batch.number
            self._update(delivery, version)

    def _deliveries(self) -> Iterator[Delivery]:
        while True:
            with self._log.phase("wait"):
                memory = self._batches.share("rank 0's next batch")
            generator = int(memory[:8].view(np.int64)[0])
            if generator == _NO_MORE:
                return
            self._log.received(memory.nbytes)
            yield self._buffer(memory).read(generator)

    def close(self) -> None:
        """Let the other trainers end. Collective; they are in, or behind, `follow`."""
        if self._comm.size > 1:
            if self._comm.rank == 0:
                self._batches.outgoing[:8].view(np.int64)[0] = _NO_MORE
                self._batches.share("the other trainers to end")
            self._buffers.clear()
            self._batches.close()
        self._joint.close()

    def _update(self, delivery: Delivery, version: int) -> None:
        """Update on this trainer's share of a batch."""
        compute, options, whole = self._run.compute, self._options, delivery.batch
        part = shard(len(whole.labels), self._comm.size, self._comm.rank)
        share = Batch(whole.number, whole.rows, whole.images[part], whole.labels[part])
        # A refresh counts as part of the update: all others wait for both alike.
        with self._log.phase("update"):
            if options.refresh_steps:
                share = compute.refresh(share, part, options.refresh_steps, options.refresh_scale)
        loss, _ = self._joint.make(share, 0.0, f"the other trainers' part of update {version}")
        self._run.updated(
            BatchRecord(
                version, whole.number, delivery.generator, delivery.versions,
                delivery.made_loss, loss,
            )
        )  # fmt: skip

    def _buffer(self, memory: Bytes) -> BatchBuffer:
        """The batch in a row of memory; there are two of them."""
        place = memory.ctypes.data
        if place not in self._buffers:
            self._buffers[place] = BatchBuffer(self._run.compute, memory[8:])
        return self._buffers[place]
