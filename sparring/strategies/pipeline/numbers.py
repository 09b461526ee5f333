"""Who makes which minibatch: fixed beforehand, or whoever is free."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from sparring.strategies.pipeline.messages import Tag
from sparring.strategies.waiting import Waiting

if TYPE_CHECKING:
    from mpi4py import MPI

_NO_MORE = -1


def static_numbers(rank: int, generators: int, start: int, updates: int) -> Iterator[int]:
    """Minibatches of a generator (rank 1 to ``generators``): n belongs to 1 + n mod generators."""
    first = start + (rank - 1 - start) % generators
    return iter(range(first, updates, generators))


def granted_numbers(comm: MPI.Intracomm, waiting: Waiting) -> Iterator[int]:
    """Minibatches that the trainer grants this generator, one after the other."""
    number = np.empty(1, np.int64)
    while True:
        waiting.finish(comm.Irecv(number, 0, Tag.GRANT), "the trainer to grant a batch")
        if number[0] == _NO_MORE:
            return
        yield int(number[0])


class Dispenser:
    """The trainer's side of dynamic assignment: hands out the numbers, each once.

    Args:
        comm: the ranks.
        start: the first number.
        updates: one past the last number.
        ahead: minibatches that a generator is granted beyond the one that it makes. With 1 it
            never waits for the trainer to say what comes next; with 0 no number is reserved while
            nobody works on it.
    """

    def __init__(self, comm: MPI.Intracomm, start: int, updates: int, ahead: int) -> None:
        self._comm, self._next, self._updates = comm, start, updates
        self._in_flight: deque[tuple[MPI.Request, object]] = deque()
        self._told: set[int] = set()
        for _ in range(1 + ahead):
            for rank in range(1, comm.size):
                self.grant(rank)

    @property
    def upcoming(self) -> int | None:
        """The number that `take` would give."""
        return self._next if self._next < self._updates else None

    def take(self) -> int | None:
        """The next minibatch for the trainer itself, or None if there is none left."""
        if self._next >= self._updates:
            return None
        self._next += 1
        return self._next - 1

    def grant(self, rank: int) -> None:
        """Grant a generator one more minibatch, or tell it once that there are no more."""
        number = self.take()
        if number is None:
            if rank in self._told:
                return
            self._told.add(rank)
            number = _NO_MORE
        message = np.array([number], np.int64)
        self._in_flight.append((self._comm.Isend(message, rank, Tag.GRANT), message))
        while self._in_flight and self._in_flight[0][0].Test():
            self._in_flight.popleft()

    def drained(self) -> bool:
        """Whether all grants were received."""
        while self._in_flight and self._in_flight[0][0].Test():
            self._in_flight.popleft()
        return not self._in_flight
