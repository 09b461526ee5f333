"""Every rank attacks its share of each minibatch; gradients are all-reduced."""

from __future__ import annotations

from dataclasses import dataclass

from sparring.compute.interface import Statistics
from sparring.strategies.base import Run, Strategy, check_statistics, check_types, shard
from sparring.strategies.joint_update import REDUCTIONS, JointUpdate
from sparring.strategies.telemetry import ALL_RANKS, BatchRecord, RankLog


@dataclass(frozen=True)
class DataParallel(Strategy):
    """Synchronous data parallelism: staleness 0, the same numbers as sequential up to rounding.

    Each share's gradient is weighted by its size, so p need not divide the minibatch. All ranks
    apply the same reduced gradient with an optimizer each; their weights never part. Where the
    weights can live in memory that a node's ranks share (the fused engine and an elementwise
    optimizer, through shared memory), each rank steps on its part of them instead.

    Attributes:
        overlap: reduce each parameter's gradient as soon as the backward pass has it (Li et al.,
            "PyTorch Distributed", VLDB 2020, section 3.2.3), instead of all of them at its end.
        reduction: ``"messages"``; ``"shared_memory"``, through memory that the ranks of a node
            share; ``"auto"``, which is shared memory unless gradients go early or a node has not
            enough of it.

        batch_norm: ``"synchronized"``: a batch normalisation in train mode takes the statistics of
            the whole minibatch, so that the numbers stay sequential's; ``"local"``: each rank those
            of its share, and rank 0's running statistics are kept, as PyTorch's
            DistributedDataParallel does (fewer messages, another network).

    Raises:
        ValueError: if an option is not one of these, or gradients are to go early through shared
            memory.
    """

    overlap: bool = False
    reduction: str = "auto"
    batch_norm: Statistics = "synchronized"

    def __post_init__(self) -> None:
        check_types(self)
        check_statistics(self.batch_norm)
        if self.reduction not in REDUCTIONS:
            raise ValueError(
                f"reduction must be one of {', '.join(REDUCTIONS)}, not {self.reduction!r}"
            )
        if self.overlap and self.reduction == "shared_memory":
            raise ValueError("overlap sends gradients early, by messages: reduction must be so too")

    @property
    def splits_batches(self) -> bool:
        """See `Strategy`."""
        return True

    @property
    def everywhere(self) -> bool:
        """See `Strategy`."""
        return True

    def check(self, processes: int) -> None:
        """Any number of ranks will do."""

    def idle(self, processes: int, rows: int) -> int:
        """See `Strategy`."""
        return max(0, processes - rows)

    def train(self, run: Run) -> RankLog:
        """See `Strategy`."""
        log, waiting = run.begin("both")
        comm, compute = run.comm, run.compute
        joint = JointUpdate(
            comm, compute, log, waiting, reduction=self.reduction, overlap=self.overlap,
            batch_norm=self.batch_norm,
        )  # fmt: skip
        for number in range(run.start, run.updates):
            log.batch = number
            rows = compute.rows(number)
            with log.phase("generate"):
                batch = compute.attack(number, shard(rows, comm.size, comm.rank))
                share = len(batch.labels) / rows
                made = compute.loss(batch, joint=True) * share if run.record_strength else 0.0
            loss, made = joint.make(batch, made, f"the other ranks' part of batch {number}")
            log.batches += 1
            run.updated(
                BatchRecord(
                    number, number, ALL_RANKS, ((0, number),),
                    made if run.record_strength else None, loss,
                )
            )  # fmt: skip
        joint.close()
        return log
