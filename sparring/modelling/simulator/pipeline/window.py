"""Weights through a one-sided window."""

from __future__ import annotations

from sparring.modelling.simulator.pipeline.weights import due_version
from sparring.modelling.simulator.pipeline.world import Play, World


class Window:
    """One-sided: the trainer writes its own memory, generators read the newest."""

    _SLOTS = 2

    def __init__(self, world: World, interval: int) -> None:
        self.world, self.interval = world, interval
        self.slots = [-1] * self._SLOTS
        self.written, self.next = 0, 0

    def offer(self) -> Play:
        """See `Flow`."""
        if not self.news():
            return
        world = self.world
        slot, self.next = self.next, (self.next + 1) % self._SLOTS
        self.slots[slot] = -1
        cost = world.machine.calibration.window_put.mean or world.machine.read_weights()
        yield from world.spend(0, "send", cost)
        self.slots[slot] = self.written = world.version
        world.counters["weights_sent"] += 1
        for bell in world.bells:
            bell.ring()

    def news(self) -> bool:
        """See `Flow`."""
        return self.written < due_version(self.world, self.interval)

    def turn_seconds(self) -> float:
        """See `Flow`."""
        return 0.0

    def idle(self, since: float) -> None:
        """See `Flow`."""

    def awake(self, until: float) -> None:
        """See `Flow`."""

    def take(self, rank: int, held: int) -> Play:
        """See `Flow`: what was overwritten meanwhile is left alone."""
        world = self.world
        yield from world.spend(rank, "wait", self._SLOTS * world.machine.probe())
        newest = max(self.slots)
        if newest <= held:
            return held
        slot = self.slots.index(newest)
        seconds = world.machine.calibration.window_get.mean
        yield from world.spend(rank, "receive", seconds)
        if self.slots[slot] != newest:
            world.counters["weights_torn"] += 1
            return held
        yield from world.spend(rank, "receive", world.machine.write_weights())
        world.counters["weights_taken"] += 1
        return newest

    def wait(self, rank: int, version: float) -> Play:
        """See `Flow`."""
        yield from self.world.wait_bell(rank, self.world.bells[rank])

    def last_weights(self, rank: int) -> bool:
        """See `Flow`: nothing is ever on its way."""
        return False
