"""A rank that fails says who it is, what it was doing, and why; also when it is killed."""

from __future__ import annotations

import os
import secrets
import sys
import time
from typing import TYPE_CHECKING, NoReturn

from sparring.errors import SparringError
from sparring.strategies.base import Run, Strategy
from sparring.strategies.sentinel import Sentinel
from sparring.strategies.telemetry import RankLog

if TYPE_CHECKING:
    from mpi4py import MPI


class RankFailedError(SparringError):
    """Training failed on this rank; the message names rank, role, phase, batch and cause."""


#: MPICH's launcher drops output that it has not forwarded when an abort reaches it
#: (`python -m experiments.protocol aborts` counts how often).
_PAUSE_SECONDS = 0.25


def end_all_ranks(comm: MPI.Intracomm, sentence: str) -> NoReturn:
    """Say why on stderr, and end every rank of the job."""
    print(f"sparring: {sentence}", file=sys.stderr, flush=True)
    time.sleep(_PAUSE_SECONDS)
    comm.Abort(1)
    os._exit(1)  # another rank aborts at the same moment: MPI may then return


def guarded(strategy: Strategy, run: Run) -> RankLog:
    """Train; a failure of this rank is told as one sentence with its place.

    Raises:
        RankFailedError: if anything goes wrong on this rank. Other ranks know nothing of it: the
            caller must end them (`end_all_ranks`).
    """
    try:
        return strategy.train(run)
    except Exception as error:
        if run.comm.size == 1 and isinstance(error, SparringError):
            raise RankFailedError(str(error)) from error  # nobody asks which rank it was
        cause = " ".join(str(error).split()) or "no message"
        kind = "" if isinstance(error, SparringError) else f"{type(error).__name__}: "
        raise RankFailedError(
            f"rank {run.comm.rank} failed in {run.log.doing}: {kind}{cause}"
        ) from error


def watched(strategy: Strategy, run: Run) -> RankLog:
    """As `guarded`; and if this rank is killed, a process beside it tells of it on stderr.

    Collective.
    """
    if run.comm.size == 1:
        return guarded(strategy, run)
    name = run.comm.bcast(secrets.token_hex(8))
    with Sentinel(run.comm.rank, name) as sentinel:
        run.tell = sentinel.tell
        return guarded(strategy, run)
