"""Adding up what every rank has: through memory that the ranks of a node share, or by messages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol, cast

import numpy as np
import numpy.typing as npt

from sparring.compute.interface import Array
from sparring.errors import SparringError
from sparring.strategies.base import shard
from sparring.strategies.node_memory import CACHE_LINE, NodeMemory
from sparring.strategies.waiting import Waiting

if TYPE_CHECKING:
    from mpi4py import MPI


class UnequalNodesError(SparringError):
    """Nodes have different numbers of ranks; every rank of the communicator raises it."""


class Reduction(Protocol):
    """One buffer on every rank, and their sum.

    Attributes:
        own: what this rank adds, ``(count,)``; free to write between two reductions.
        total: the sum after `reduce`, the same on every rank, until this rank reduces again.
    """

    own: Array
    total: Array

    def reduce(self, what: str) -> None:
        """Add up every rank's ``own``; collective. ``what`` is waited for, to name in an error."""

    def close(self) -> None:
        """Give the memory back: ``own`` and ``total`` may not be touched any more. Collective."""


class MessageReduction:
    """One all-reduce in place."""

    def __init__(
        self, comm: MPI.Intracomm, count: int, dtype: npt.DTypeLike, waiting: Waiting
    ) -> None:
        self._comm, self._waiting = comm, waiting
        self.own = self.total = np.empty(count, dtype)

    def reduce(self, what: str) -> None:
        """See `Reduction`."""
        from mpi4py import MPI

        self._waiting.finish(self._comm.Iallreduce(MPI.IN_PLACE, self.total), what)

    def close(self) -> None:
        """See `Reduction`."""


#: Writes the sum of rows' part to a row: of so many rows, each with its mark.
Add = Callable[[Sequence[Array], Sequence[int], slice, Array], None]


def _plain_add(rows: Sequence[Array], _: Sequence[int], part: slice, out: Array) -> None:
    sums = out[part]
    first, *others = rows
    sums[:] = first[part]
    for other in others:
        sums += other[part]


class SharedReduction:
    """Each rank adds up one slice of what its node's ranks have, in their order; all read the sums.

    A reduce-scatter and an all-gather without copies. Between nodes, the ranks of equal place on
    their nodes all-reduce their slices by a message. Collective.

    Attributes:
        part: this rank's slice.

    Raises:
        SparringError: if a node cannot share memory.
        UnequalNodesError: if nodes have different numbers of ranks.
    """

    def __init__(
        self, comm: MPI.Intracomm, count: int, dtype: npt.DTypeLike, waiting: Waiting
    ) -> None:
        self._waiting = waiting
        # A row for each rank, and one for the sums; behind each its mark.
        itemsize = np.dtype(dtype).itemsize
        self._memory = NodeMemory(comm, lambda ranks: ranks + 1, count + 1, dtype, waiting)
        node = self._memory.node
        sizes = set(comm.allgather(node.size))
        if len(sizes) > 1:
            self._memory.close()
            raise UnequalNodesError(
                "a reduction through shared memory needs equally many ranks on every node, not "
                f"{' and '.join(map(str, sorted(sizes)))}; with messages any numbers will do"
            )
        self._across = cast("MPI.Intracomm", comm.Split(node.rank, comm.rank))
        self._rows = self._memory.rows[:-1]
        self._own = self._rows[node.rank]
        self.own, self.total = self._own[:count], self._memory.rows[-1][:count]
        self.part = _lines(count, itemsize, node.size, node.rank)

    def reduce(self, what: str) -> None:
        """See `Reduction`."""
        self.add_up(what)
        self.publish(what)

    def add_up(self, what: str, add: Add = _plain_add, mark: int = 0) -> None:
        """The first half of `reduce`: after it this rank may read ``total[part]``, and no more.

        Args:
            what: see `Reduction`.
            add: adds up the node's rows.
            mark: a small number that tells every rank's ``add`` what this one's row is.
        """
        from mpi4py import MPI

        self._own[-1] = mark
        self._memory.meet(what)
        add(self._rows, [int(row[-1]) for row in self._rows], self.part, self.total)
        if self._across.size > 1:
            sums = self.total[self.part]
            self._waiting.finish(self._across.Iallreduce(MPI.IN_PLACE, sums), what)

    def publish(self, what: str) -> None:
        """The second half: all may read all sums, and what ranks made of theirs meanwhile."""
        self._memory.meet(what)

    def close(self) -> None:
        """See `Reduction`."""
        del self.own, self.total, self._own, self._rows
        self._across.Free()
        self._memory.close()


def _lines(count: int, itemsize: int, parts: int, part: int) -> slice:
    """One of the shares of whole cache lines: no two ranks write to the same one."""
    line = max(1, CACHE_LINE // itemsize)
    lines = shard(-(-count // line), parts, part)
    return slice(min(count, line * lines.start), min(count, line * lines.stop))
