"""How a rank waits for messages, and for how long."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from sparring.errors import SparringError

if TYPE_CHECKING:
    from mpi4py import MPI

#: Long against the cost of a test, short against an ascent step.
_NAP_SECONDS = 1e-4

#: How often a spinning rank looks at the clock.
_TESTS_PER_LOOK = 4096


class SilentRankError(SparringError):
    """Somebody has not answered for longer than this run is patient."""


@dataclass(frozen=True)
class Waiting:
    """Spin while every rank has a core of its own; otherwise test and sleep.

    MPI libraries spin inside a blocking call, which takes the core from a rank that has work to do
    as soon as ranks share cores.

    Attributes:
        spin: whether to test without sleeping.
        patience_seconds: give up after so long; None waits for ever.
    """

    spin: bool
    patience_seconds: float | None = None

    @property
    def kind(self) -> str:
        """``spin`` or ``test_and_sleep``, for the record."""
        return "spin" if self.spin else "test_and_sleep"

    def until(self, condition: Callable[[], bool], what: str) -> None:
        """Return when the condition holds.

        Args:
            condition: tested again and again.
            what: what is waited for, to name in an error.

        Raises:
            SilentRankError: if it does not hold for longer than the patience.
        """
        tests, deadline = 0, None
        while not condition():
            tests += 1
            if not self.spin:
                time.sleep(_NAP_SECONDS)
            if self.patience_seconds is None or (self.spin and tests % _TESTS_PER_LOOK):
                continue
            if deadline is None:
                deadline = time.monotonic() + self.patience_seconds
            elif time.monotonic() > deadline:
                raise SilentRankError(f"no sign for {self.patience_seconds:g} s of {what}")

    def finish(self, request: MPI.Request, what: str) -> None:
        """Return when a request is complete; see `until`."""
        self.until(request.Test, what)


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


def patient(waiting: Waiting, seconds: float | None) -> Waiting:
    """The same way of waiting, with a limit."""
    return replace(waiting, patience_seconds=seconds)
