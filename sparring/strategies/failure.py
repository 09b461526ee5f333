"""A failing rank says who it is, what it was doing, and why."""

from __future__ import annotations

from sparring.errors import SparringError
from sparring.strategies.base import Run, Strategy
from sparring.strategies.telemetry import RankLog


class RankFailedError(SparringError):
    """Training failed on this rank; the message names rank, role, phase, batch and cause."""


def guarded(strategy: Strategy, run: Run) -> RankLog:
    """Train; a failure of this rank is told as one sentence with its place.

    Raises:
        RankFailedError: if anything goes wrong on this rank. Other ranks know nothing of it: the
            caller must end them (``comm.Abort``).
    """
    try:
        return strategy.train(run)
    except Exception as error:
        log = run.log
        batch = "no batch" if log.batch is None else f"batch {log.batch}"
        cause = " ".join(str(error).split()) or "no message"
        kind = "" if isinstance(error, SparringError) else f"{type(error).__name__}: "
        raise RankFailedError(
            f"rank {run.comm.rank} ({log.role}) failed in {log.phase_now} of {batch}: {kind}{cause}"
        ) from error
