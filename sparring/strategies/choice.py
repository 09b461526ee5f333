"""The strategy that a user names, and the ranks that there are for it."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

from sparring.errors import SparringError, did_you_mean
from sparring.strategies import STRATEGIES, Sequential, Strategy

if TYPE_CHECKING:
    from mpi4py import MPI

log = logging.getLogger(__name__)


def world() -> MPI.Intracomm:
    """All ranks; MPI is started where somebody imported it with ``mpi4py.rc.initialize`` off."""
    from mpi4py import MPI

    if not MPI.Is_initialized():
        MPI.Init()
    return MPI.COMM_WORLD


def choose(strategy: str | Strategy, processes: int) -> Strategy:
    """The strategy of a name, or with its options; on one process, where it needs more, another.

    Raises:
        SparringError: if there is none of that name, or it cannot work with so many processes.
    """
    if isinstance(strategy, str):
        if strategy not in STRATEGIES:
            known = ", ".join(f"'{name}'" for name in STRATEGIES)
            raise SparringError(
                f"strategy must be one of {known}, not '{strategy}'"
                f"{did_you_mean(strategy, STRATEGIES)}"
            )
        strategy = STRATEGIES[strategy]()
    if not isinstance(strategy, Strategy):
        raise SparringError(f"strategy must be a name or a strategy, not {strategy!r}")
    try:
        strategy.check(processes)
    except SparringError as error:
        if processes > 1:
            raise
        log.warning(
            "%s: falling back to 'sequential'; `mpiexec -n 2` in front of the command starts two "
            "processes", error,
        )  # fmt: skip
        return Sequential()
    return strategy


def tell_of_idle(strategy: Strategy, processes: int, rows: int) -> None:
    """Warn, once, of ranks that a minibatch of so many images leaves nothing to do."""
    if idle := strategy.idle(processes, rows):
        _warn(idle, processes, rows)


@cache
def _warn(idle: int, processes: int, rows: int) -> None:
    log.warning(
        "minibatches of %d image%s leave %d of %d processes nothing to do; expected fewer "
        "processes, or a larger batch size", rows, "s" if rows > 1 else "", idle, processes,
    )  # fmt: skip
