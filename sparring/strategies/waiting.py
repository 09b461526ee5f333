"""How a rank waits for messages."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mpi4py import MPI

#: Long against the cost of a test, short against an ascent step.
_NAP_SECONDS = 1e-4


@dataclass(frozen=True)
class Waiting:
    """Spin while every rank has a core of its own; otherwise test and sleep.

    MPI libraries spin inside a blocking call, which takes the core from a rank that has work to do
    as soon as ranks share cores.
    """

    spin: bool

    def until(self, condition: Callable[[], bool]) -> None:
        """Return when the condition holds."""
        while not condition():
            if not self.spin:
                time.sleep(_NAP_SECONDS)

    def finish(self, request: MPI.Request) -> None:
        """Return when a request is complete."""
        if self.spin:
            request.Wait()
        else:
            self.until(request.Test)


def choose_waiting(comm: MPI.Intracomm) -> Waiting:
    """Choose by comparing, on every node, its ranks with the CPUs that they may run on.

    Collective over ``comm``.
    """
    from mpi4py import MPI

    node = comm.Split_type(MPI.COMM_TYPE_SHARED)
    try:
        if hasattr(os, "sched_getaffinity"):
            cpus = set().union(*node.allgather(os.sched_getaffinity(0)))
        else:
            cpus = set(range(os.cpu_count() or 1))
        crowded = node.size > len(cpus)
    finally:
        node.Free()
    return Waiting(spin=not comm.allreduce(crowded, op=MPI.LOR))
