"""Every rank attacks its share of each minibatch; gradients are all-reduced."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from sparring.strategies.base import Run, Strategy, check_types, shard
from sparring.strategies.telemetry import ALL_RANKS, BatchRecord, RankLog

if TYPE_CHECKING:
    from mpi4py import MPI


@dataclass(frozen=True)
class DataParallel(Strategy):
    """Synchronous data parallelism: staleness 0, the same numbers as sequential up to rounding.

    Each share's gradient is weighted by its size, so p need not divide the minibatch. All ranks
    apply the same reduced gradient with an optimizer each; their weights never part.

    Attributes:
        overlap: reduce each parameter's gradient as soon as the backward pass has it (Li et al.,
            "PyTorch Distributed", VLDB 2020, section 3.2.3), instead of all of them at its end.

    Raises:
        ValueError: if ``overlap`` is not true or false.
    """

    overlap: bool = False
    splits_batches: ClassVar[bool] = True
    everywhere: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_types(self)

    def check(self, processes: int) -> None:
        """Any number of ranks will do."""

    def train(self, run: Run) -> RankLog:
        """See `Strategy`."""
        from mpi4py import MPI

        log, waiting = run.begin("both")
        comm, compute = run.comm, run.compute
        # The losses travel at the end of the gradients: one message an update, not two.
        buffer = np.empty(compute.gradient_count + 2, compute.dtype)
        gradients, losses = buffer[:-2], buffer[-2:]
        requests: list[MPI.Request] = []

        def reduce(part: slice) -> None:
            piece = buffer[part]
            requests.append(comm.Iallreduce(MPI.IN_PLACE, piece))
            log.sent(piece.nbytes)
            log.received(piece.nbytes)

        for number in range(run.start, run.updates):
            log.batch = number
            rows = compute.rows(number)
            with log.phase("generate"):
                batch = compute.attack(number, shard(rows, comm.size, comm.rank))
                share = len(batch.labels) / rows
                made = compute.loss(batch) * share if run.record_strength and share else 0.0
            early = reduce if self.overlap and comm.size > 1 else None
            with log.phase("update"):
                losses[:] = compute.gradients(batch, gradients, early), made
            if comm.size > 1:
                with log.phase("wait"):
                    # What went early needs no second message; the losses always go now.
                    reduce(slice(compute.gradient_count if early else 0, None))
                    for request in requests:
                        waiting.finish(request, f"the other ranks' gradients of batch {number}")
                    requests.clear()
            with log.phase("update"):
                compute.apply(gradients)
            log.batches += 1
            loss, made = (float(value) for value in losses)
            run.updated(
                BatchRecord(
                    number, number, ALL_RANKS, ((0, number),),
                    made if run.record_strength else None, loss,
                )
            )  # fmt: skip
        return log
