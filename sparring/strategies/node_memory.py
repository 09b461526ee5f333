"""Memory that the ranks of a node share, and how they meet there.

A window of ``MPI_Win_allocate_shared`` (MPI 4.1, chapter 12). What one rank wrote, another can read
after both called `meet`: ``MPI_Win_sync``, a barrier, ``MPI_Win_sync``.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import numpy as np
import numpy.typing as npt

from sparring.compute.interface import Array
from sparring.errors import SparringError
from sparring.strategies.waiting import Waiting

if TYPE_CHECKING:
    from mpi4py import MPI

#: Bytes; a row begins at one.
CACHE_LINE = 64
#: Where MPI libraries put such memory on Linux; containers often have 64 MiB of it.
_PLACE = "/dev/shm"
#: Left for what the MPI library itself adds to what is asked of it.
_SPARE_BYTES = 2**20


class NoRoomError(SparringError):
    """There is not that much memory to share; every rank of the communicator raises it."""


def check_room(comm: MPI.Intracomm, size: int) -> None:
    """Ask for the free space: a rank that writes where there is none is killed. Collective.

    Args:
        comm: the ranks, of one node or of several.
        size: bytes that this rank is going to allocate.

    Raises:
        NoRoomError: on every rank, if any is going to allocate more than its node has.
    """
    free = _free_bytes()
    reason = ""
    if size and free is not None and free < size + _SPARE_BYTES:
        reason = (
            f"the ranks of a node cannot share {size / 2**20:.1f} MiB of memory (messages need "
            f"none): {_PLACE} has {free / 2**20:.1f} MiB free"
        )
    reasons = [told for told in comm.allgather(reason) if told]
    if reasons:
        raise NoRoomError(reasons[0])


def _free_bytes() -> int | None:
    try:
        space = os.statvfs(_PLACE)
    except OSError:
        return None  # not Linux: nobody knows
    return space.f_bavail * space.f_frsize


class NodeMemory:
    """Some rows of numbers, the same memory for every rank of a node. Collective over ``comm``.

    Args:
        comm: the ranks, of one node or of several.
        rows: how many rows a node with so many ranks has.
        count: numbers in a row.
        dtype: of the numbers.
        waiting: how to wait in `meet`.

    Attributes:
        node: the ranks of this node; its rank 0 is the node's first.
        rows: the rows, ``(count,)`` each; what they hold at first is undefined.

    Raises:
        NoRoomError: on every rank, if a node has not that much memory to share.
        SparringError: if the node cannot share it for another reason.
    """

    def __init__(
        self,
        comm: MPI.Intracomm,
        rows: Callable[[int], int],
        count: int,
        dtype: npt.DTypeLike,
        waiting: Waiting,
    ) -> None:
        from mpi4py import MPI

        self._waiting = waiting
        self.node = cast("MPI.Intracomm", comm.Split_type(MPI.COMM_TYPE_SHARED))
        number = rows(self.node.size)
        itemsize = np.dtype(dtype).itemsize
        stride = -(-count * itemsize // CACHE_LINE) * CACHE_LINE
        size = number * stride if self.node.rank == 0 else 0
        try:
            check_room(comm, size)
        except NoRoomError:
            self.node.Free()
            raise
        try:
            self._window = MPI.Win.Allocate_shared(size, 1, comm=self.node)
        except MPI.Exception as error:
            raise SparringError(
                f"the ranks of this node cannot share {number * stride} bytes of memory ({error}); "
                "with messages they need none"
            ) from None
        memory = np.asarray(self._window.Shared_query(0)[0].cast("B"), np.uint8)
        self.rows: list[Array] = [
            memory[row * stride : row * stride + count * itemsize].view(dtype)
            for row in range(number)
        ]
        self._window.Lock_all(MPI.MODE_NOCHECK)

    def meet(self, what: str) -> None:
        """Wait for the other ranks of the node; then each can read what the others wrote.

        Raises:
            SilentRankError: see `Waiting.until`; ``what`` is named in it.
        """
        self._window.Sync()
        self._waiting.finish(self.node.Ibarrier(), what)
        self._window.Sync()

    def close(self) -> None:
        """Give the memory back: the rows may not be touched any more. Collective."""
        self.rows.clear()
        self._window.Unlock_all()
        self._window.Free()
        self.node.Free()
