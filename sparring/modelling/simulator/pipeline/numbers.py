"""Who makes which minibatch, with the time that grants take."""

from __future__ import annotations

from collections import deque

from sparring.modelling.simulator.pipeline.world import Bell, Play, World


class Dispenser:
    """Hands out numbers one by one, as `sparring.strategies.pipeline.numbers.Dispenser`.

    Args:
        world: the simulation.
        ahead: minibatches granted beyond the one that a generator makes.
    """

    def __init__(self, world: World, ahead: int) -> None:
        self.world, self._next = world, 0
        self.granted: list[deque[int | None]] = [deque() for _ in range(world.machine.processes)]
        self.bells = [Bell(world.clock) for _ in range(world.machine.processes)]
        self._told: set[int] = set()
        for _ in range(1 + ahead):
            for rank in world.generator_ranks:
                self.grant(rank)

    @property
    def upcoming(self) -> int | None:
        """The number that `take` would give."""
        return self._next if self._next < self.world.job.updates else None

    def take(self) -> int | None:
        """The next minibatch, or None if there is none left."""
        number = self.upcoming
        if number is not None:
            self._next += 1
        return number

    def grant(self, rank: int) -> None:
        """Grant a generator one more, or tell it once that there are no more."""
        number = self.take()
        if number is None:
            if rank in self._told:
                return
            self._told.add(rank)
        self.granted[rank].append(number)
        self.bells[rank].ring()

    def next_for(self, rank: int) -> Play:
        """The next number that a generator was granted; None: no more."""
        world = self.world
        if not self.granted[rank]:
            yield from world.wait_bell(rank, self.bells[rank])
            yield from world.spend(rank, "wait", world.latency(rank))
        return self.granted[rank].popleft()
