"""Giving rank 0's numbers to all: through memory that the ranks of a node share, or by messages."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import numpy.typing as npt

from sparring.compute.interface import Array
from sparring.strategies.node_memory import NodeMemory, NoRoomError
from sparring.strategies.waiting import Waiting

if TYPE_CHECKING:
    from mpi4py import MPI

_log = logging.getLogger(__name__)

BROADCASTS = ("auto", "shared_memory", "messages")


class Broadcast(Protocol):
    """Rank 0's numbers, again and again.

    Attributes:
        outgoing: ``(count,)``, which rank 0 writes before each `share`.
    """

    outgoing: Array

    def share(self, what: str) -> Array:
        """What rank 0 wrote, to be read until the next call. Collective.

        Raises:
            SilentRankError: see `Waiting.until`; ``what`` is named in it.
        """

    def close(self) -> None:
        """Give the memory back: none of it may be touched any more. Collective."""


class MessageBroadcast:
    """A message to all."""

    def __init__(
        self, comm: MPI.Intracomm, count: int, dtype: npt.DTypeLike, waiting: Waiting
    ) -> None:
        self._comm, self._waiting = comm, waiting
        self.outgoing = np.empty(count, dtype)

    def share(self, what: str) -> Array:
        """See `Broadcast`."""
        self._waiting.finish(self._comm.Ibcast(self.outgoing), what)
        return self.outgoing

    def close(self) -> None:
        """See `Broadcast`."""


class SharedBroadcast:
    """The ranks of rank 0's node read what it wrote; other nodes' first ranks get a message.

    Two rows, written in turn: rank 0 need not wait until all have read. Collective.

    Raises:
        SparringError: if a node cannot share memory.
    """

    def __init__(
        self, comm: MPI.Intracomm, count: int, dtype: npt.DTypeLike, waiting: Waiting
    ) -> None:
        self._waiting = waiting
        self._memory = NodeMemory(comm, lambda _: 2, count, dtype, waiting)
        self._first = self._memory.node.rank == 0
        self._firsts = cast("MPI.Intracomm", comm.Split(int(not self._first), comm.rank))
        self.outgoing, self._next = self._memory.rows

    def share(self, what: str) -> Array:
        """See `Broadcast`."""
        written = self.outgoing
        if self._first and self._firsts.size > 1:
            self._waiting.finish(self._firsts.Ibcast(written), what)
        self._memory.meet(what)
        self.outgoing, self._next = self._next, written
        return written

    def close(self) -> None:
        """See `Broadcast`."""
        del self.outgoing, self._next
        self._firsts.Free()
        self._memory.close()


def open_broadcast(
    kind: str, comm: MPI.Intracomm, count: int, dtype: npt.DTypeLike, waiting: Waiting, what: str
) -> Broadcast:
    """A broadcast of a kind of `BROADCASTS`. Collective.

    Args:
        kind: ``"auto"`` is shared memory unless a node has not enough of it.
        comm: the ranks.
        count: numbers that are given.
        dtype: of the numbers.
        waiting: how to wait for all.
        what: is given to all, for the warning.

    Raises:
        NoRoomError: if the kind is ``"shared_memory"`` and a node has not enough of it.
    """
    if kind == "messages" or comm.size == 1:
        return MessageBroadcast(comm, count, dtype, waiting)
    try:
        return SharedBroadcast(comm, count, dtype, waiting)
    except NoRoomError as error:
        if kind != "auto":
            raise
        if comm.rank == 0:
            _log.warning("%s; %s are broadcast by messages instead", error, what)
        return MessageBroadcast(comm, count, dtype, waiting)
