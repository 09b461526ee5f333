"""Every rank attacks its share of each minibatch; gradients are all-reduced."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from sparring.compute import Compute
from sparring.strategies.base import Run, Strategy, check_types, shard
from sparring.strategies.node_memory import NodeMemory, NoRoomError
from sparring.strategies.reduction import MessageReduction, Reduction, SharedReduction
from sparring.strategies.telemetry import ALL_RANKS, BatchRecord, RankLog
from sparring.strategies.waiting import Waiting

if TYPE_CHECKING:
    from mpi4py import MPI

_log = logging.getLogger(__name__)

REDUCTIONS = ("auto", "shared_memory", "messages")


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

    Raises:
        ValueError: if an option is not one of these, or gradients are to go early through shared
            memory.
    """

    overlap: bool = False
    reduction: str = "auto"
    splits_batches: ClassVar[bool] = True
    everywhere: ClassVar[bool] = True

    def __post_init__(self) -> None:
        check_types(self)
        if self.reduction not in REDUCTIONS:
            raise ValueError(
                f"reduction must be one of {', '.join(REDUCTIONS)}, not {self.reduction!r}"
            )
        if self.overlap and self.reduction == "shared_memory":
            raise ValueError("overlap sends gradients early, by messages: reduction must be so too")

    def check(self, processes: int) -> None:
        """Any number of ranks will do."""

    def train(self, run: Run) -> RankLog:
        """See `Strategy`."""
        from mpi4py import MPI

        log, waiting = run.begin("both")
        comm, compute = run.comm, run.compute
        messages = self.overlap or self.reduction == "messages" or comm.size == 1
        # The losses travel at the end of the gradients: one message an update, not two.
        needs = (comm, compute.gradient_count + 2, compute.dtype, waiting)
        sums: Reduction
        try:
            sums = MessageReduction(*needs) if messages else SharedReduction(*needs)
        except NoRoomError as error:
            if self.reduction != "auto":
                raise
            if comm.rank == 0:
                _log.warning("%s; gradients are reduced by messages instead", error)
            sums = MessageReduction(*needs)
        divided = _Divided.among(comm, compute, sums, waiting)
        requests: list[MPI.Request] = []

        def reduce_early(part: slice) -> None:
            requests.append(comm.Iallreduce(MPI.IN_PLACE, sums.own[part]))

        early = reduce_early if self.overlap and comm.size > 1 else None
        for number in range(run.start, run.updates):
            log.batch = number
            rows = compute.rows(number)
            with log.phase("generate"):
                batch = compute.attack(number, shard(rows, comm.size, comm.rank))
                share = len(batch.labels) / rows
                made = compute.loss(batch) * share if run.record_strength and share else 0.0
            with log.phase("update"):
                sums.own[-2:] = compute.gradients(batch, sums.own[:-2], early), made
            if comm.size > 1:
                what = f"the other ranks' gradients of batch {number}"
                with log.phase("wait"):
                    if early:  # what went early needs no second message; the losses go now
                        early(slice(compute.gradient_count, None))
                        for request in requests:
                            waiting.finish(request, what)
                        requests.clear()
                    elif divided:
                        divided.sums.add_up(what)
                    else:
                        sums.reduce(what)
                log.sent(sums.own.nbytes)
                log.received(sums.total.nbytes)
            with log.phase("update"):
                compute.apply(sums.total[:-2])
            if divided:
                with log.phase("wait"):
                    divided.sums.publish(f"the other ranks' part of update {number}")
                compute.weights_changed()
            log.batches += 1
            loss, made = (float(value) for value in sums.total[-2:])
            run.updated(
                BatchRecord(
                    number, number, ALL_RANKS, ((0, number),),
                    made if run.record_strength else None, loss,
                )
            )  # fmt: skip
        if divided:
            divided.close()
        sums.close()
        return log


@dataclass
class _Divided:
    """The optimizer's step, divided among the ranks of a node.

    Each steps on the part of the weights whose gradients it adds up, and all read one copy of them:
    that lies in memory which they share, as does the optimizer's state.
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

    def close(self) -> None:
        """Give every rank weights and state of its own again. Collective."""
        everything = slice(0, self.compute.weight_count)
        self.compute.live_in(None, everything, first=True)
        self.memory.close()
