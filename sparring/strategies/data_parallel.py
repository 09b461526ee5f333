"""Every rank attacks its share of each minibatch; gradients are all-reduced."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sparring.compute import Compute
from sparring.strategies.base import Strategy, shard
from sparring.strategies.telemetry import RankLog
from sparring.strategies.waiting import choose_waiting

if TYPE_CHECKING:
    from mpi4py import MPI


class DataParallel(Strategy):
    """Synchronous data parallelism: staleness 0, the same numbers as sequential up to rounding.

    Each share's gradient is weighted by its size, so p need not divide the minibatch. All ranks
    apply the same reduced gradient with an optimizer each; their weights never part.
    """

    splits_batches: ClassVar[bool] = True

    def check(self, processes: int) -> None:
        """Any number of ranks will do."""

    def train(self, comm: MPI.Intracomm, compute: Compute, updates: int) -> RankLog:
        """See `Strategy`; every rank holds the trained weights afterwards."""
        from mpi4py import MPI

        waiting = choose_waiting(comm)
        log = RankLog("both")
        # The loss travels at the end of the gradients: one message an update, not two.
        buffer = np.empty(compute.gradient_count + 1, compute.dtype)
        gradients = buffer[:-1]
        for number in range(updates):
            part = shard(compute.rows(number), comm.size, comm.rank)
            with log.phase("generate"):
                batch = compute.attack(number, part)
            with log.phase("update"):
                buffer[-1] = compute.gradients(batch, gradients)
            if comm.size > 1:
                with log.phase("wait"):
                    waiting.finish(comm.Iallreduce(MPI.IN_PLACE, buffer))
                log.sent(buffer.nbytes)
                log.received(buffer.nbytes)
            with log.phase("update"):
                compute.apply(gradients)
            log.batches += 1
            log.losses.append(float(buffer[-1]))
            log.staleness.append(0)
        return log
