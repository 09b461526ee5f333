"""Weights that queue without bound, as in the original study."""

from __future__ import annotations

import bisect

from sparring.modelling.simulator.pipeline.world import Play, World
from sparring.modelling.simulator.study import StudyQueues


class Queues:
    """Without bound, as in the original study: every turn posts to every generator.

    Turns without effect are counted, not played: there are thousands a second.
    """

    def __init__(self, world: World, study: StudyQueues) -> None:
        self.world, self.study = world, study
        self.size = float(world.machine.calibration.weights_bytes)
        self.copy = world.machine.calibration.within.seconds(self.size)
        #: For runs of turns with the same version: the first turn's number, and the version.
        self._first: list[int] = []
        self._versions: list[int] = []
        self._turns, self._owed = 0, 0.0
        self._idle_since: float | None = None
        self._taken = [0] * world.machine.processes

    def offer(self) -> Play:
        """See `Flow`: posts, and the copies of what was taken since the last turn."""
        world = self.world
        news = not self._versions or self._versions[-1] != world.version
        if news:
            self._first.append(self._turns)
            self._versions.append(world.version)
        if news or not self.study.only_news:
            self._turns += 1
        world.counters["weights_sent"] += world.generators
        owed, self._owed = self._owed, 0.0
        yield from world.spend(0, "send", owed + self._posting())

    def news(self) -> bool:
        """See `Flow`: what a turn posts changes nothing that the trainer waits for."""
        return False

    def turn_seconds(self) -> float:
        """See `Flow`."""
        return self._posting()

    def idle(self, since: float) -> None:
        """See `Flow`."""
        self._idle_since = since

    def awake(self, until: float) -> None:
        """See `Flow`: copies that were owed were made meanwhile."""
        assert self._idle_since is not None
        self._turns = self._posted()
        self._owed = max(0.0, self._owed - (until - self._idle_since))
        self._idle_since = None

    def take(self, rank: int, held: int) -> Play:
        """See `Flow`: so many models as a look takes, oldest first."""
        world, study = self.world, self.study
        yield from world.spend(rank, "wait", world.machine.probe())
        waiting = self._posted() - self._taken[rank]
        world.waiting_weights = max(world.waiting_weights, waiting)
        count = min(waiting, study.per_look) if study.per_look else waiting
        if count == 0:
            return held
        self._taken[rank] += count
        last = self._taken[rank] - 1
        version = self._versions[bisect.bisect_right(self._first, last) - 1]
        if study.copied_by == "both":
            self._owed += count * self.copy
        yield from world.spend(rank, "receive", count * self.copy)
        world.counters["weights_taken"] += count
        return world.version if study.content == "live" else version

    def wait(self, rank: int, version: float) -> Play:
        """See `Flow`."""
        yield from self.world.wait_bell(rank, self.world.bells[rank])

    def last_weights(self, rank: int) -> bool:
        """See `Flow`: nobody waits for what is left in the queues."""
        return False

    def _posting(self) -> float:
        world = self.world
        return self.study.messages * sum(world._latencies[world.trainers :])

    def _posted(self) -> int:
        """Turns so far: a turn posts as it begins."""
        if self._idle_since is None or self.study.only_news:
            return self._turns
        turn = self.turn_seconds() + self.world.options.max_probes * self.world.machine.probe()
        since = self.world.clock.now - self._idle_since
        return self._turns + (int(since / turn) if turn > 0 else 0)
