"""How the simulated trainer finds batches: by probes, or by receives posted before."""

from __future__ import annotations

import bisect
from collections import deque
from dataclasses import dataclass
from typing import Protocol

import simpy

from sparring.modelling.simulator.pipeline.world import Play, World
from sparring.strategies.pipeline.messages import Versions


@dataclass(frozen=True)
class Made:
    """A finished batch.

    Attributes:
        number: the minibatch.
        rank: who made it.
        rows: images that are sent.
        versions: see `BatchRecord`.
        taken: happens when the trainer has it.
    """

    number: int
    rank: int
    rows: int
    versions: Versions
    taken: simpy.Event


class Inbox(Protocol):
    """Where the trainer looks for batches."""

    def put(self, made: Made) -> None:
        """A generator's message has come."""

    def poll(self) -> Play:
        """A look: a batch, or None."""

    def waiting(self) -> int:
        """Batches that have come and were not consumed."""

    def turn_seconds(self) -> float:
        """What a look costs that finds nothing."""

    def skip(self, turns: int) -> None:
        """So many looks have found nothing."""

    def idle(self) -> bool:
        """Whether the next look would find nothing."""


def head_bytes(world: World) -> int:
    """All of a batch but its images: five facts, versions, labels (see `BatchBuffer`)."""
    return 8 * (5 + 2 * (world.job.steps + 1) + world.job.batch_size)


class Probes:
    """Round the generators, from where the last look ended."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.queues: list[deque[Made]] = [deque() for _ in range(world.machine.processes)]
        # Generators by their places, from 1.
        self.ready: list[int] = []
        self.cursor = 0  # probed last
        self.others = world.trainers - 1

    def put(self, made: Made) -> None:
        """See `Inbox`."""
        place = made.rank - self.others
        if not self.queues[place]:
            bisect.insort(self.ready, place)
        self.queues[place].append(made)

    def poll(self) -> Play:
        """See `Inbox`."""
        world, probes = self.world, self.world.options.max_probes
        distance = self._distance()
        if distance is None or distance > probes:
            self.skip(1)
            yield from world.spend(0, "wait", probes * world.machine.probe())
            return None
        self.cursor = (self.cursor + distance - 1) % world.generators + 1
        yield from world.spend(0, "wait", distance * world.machine.probe())
        made = self.queues[self.cursor].popleft()
        if not self.queues[self.cursor]:
            self.ready.remove(self.cursor)
        yield from receive(world, made)
        made.taken.succeed()
        return made

    def waiting(self) -> int:
        """See `Inbox`."""
        return sum(len(self.queues[rank]) for rank in self.ready)

    def turn_seconds(self) -> float:
        """See `Inbox`."""
        return self.world.options.max_probes * self.world.machine.probe()

    def skip(self, turns: int) -> None:
        """See `Inbox`."""
        steps = turns * self.world.options.max_probes
        self.cursor = (self.cursor + steps - 1) % self.world.generators + 1

    def idle(self) -> bool:
        """See `Inbox`."""
        return not self.ready

    def _distance(self) -> int | None:
        """Probes until the next generator that has sent."""
        if not self.ready:
            return None
        place = bisect.bisect_right(self.ready, self.cursor)
        if place < len(self.ready):
            return self.ready[place] - self.cursor
        return self.ready[0] + self.world.generators - self.cursor


class Completions:
    """A receive posted for each generator; batches are served as they completed."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.come: deque[Made] = deque()
        self.blocked: dict[int, deque[Made]] = {}
        self.complete: deque[Made] = deque()
        self.posted = [True] * world.machine.processes
        self.serving: int | None = None

    def put(self, made: Made) -> None:
        """See `Inbox`."""
        if self.posted[made.rank]:
            self.posted[made.rank] = False
            self.come.append(made)
        else:
            self.blocked.setdefault(made.rank, deque()).append(made)

    def poll(self) -> Play:
        """See `Inbox`: messages move while the trainer tests."""
        world = self.world
        if self.serving is not None:
            rank, self.serving = self.serving, None
            self.posted[rank] = True
            if self.blocked.get(rank):
                self.put(self.blocked[rank].popleft())
        yield from world.spend(0, "wait", world.machine.probe())
        while self.come:
            made = self.come.popleft()
            yield from receive(world, made)
            made.taken.succeed()
            self.complete.append(made)
        if not self.complete:
            return None
        made = self.complete.popleft()
        self.serving = made.rank
        return made

    def waiting(self) -> int:
        """See `Inbox`."""
        return len(self.complete) + len(self.come) + sum(map(len, self.blocked.values()))

    def turn_seconds(self) -> float:
        """See `Inbox`."""
        return self.world.machine.probe()

    def skip(self, turns: int) -> None:
        """See `Inbox`."""

    def idle(self) -> bool:
        """See `Inbox`."""
        return (
            not self.come
            and not self.complete
            and not (self.serving is not None and self.blocked.get(self.serving))
        )


def receive(world: World, made: Made) -> Play:
    """The trainer takes a batch's one or two messages in."""
    head, images = head_bytes(world), made.rows * world.machine.calibration.image_bytes
    if world.options.messages == "packed":
        seconds = world.transfer_seconds(0, made.rank, head + images)
    else:
        seconds = world.transfer_seconds(0, made.rank, head)
        seconds += world.transfer_seconds(0, made.rank, images)
    yield from world.spend(0, "receive", seconds)
