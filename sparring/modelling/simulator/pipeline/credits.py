"""Weights by messages, bounded by credits."""

from __future__ import annotations

import bisect
import math
from collections import deque
from dataclasses import dataclass, field

from sparring.modelling.simulator.pipeline.weights import due_version
from sparring.modelling.simulator.pipeline.world import Play, World


@dataclass
class _Line:
    """To one generator."""

    free: int
    sent: int = 0
    messages: deque[int] = field(default_factory=deque)


class Credits:
    """At most so many messages in flight to each generator.

    A generator that waits for weights takes each message at once, and all but the last change
    nothing: such messages cost the trainer its time and are not played one by one.
    """

    def __init__(self, world: World, interval: int) -> None:
        self.world, self.interval = world, interval
        ranks, calibration = range(world.machine.processes), world.machine.calibration
        # Weights sent again unchanged are nothing but lost time; where messages take none they
        # would follow each other without end.
        lost = calibration.read_weights.mean + calibration.within.seconds(0)
        self.every_turn = world.options.weight_sends == "every_turn" and lost > 0
        self.lines = [_Line(world.options.credits) for _ in ranks]
        self.size = calibration.weights_bytes + 8
        #: Ranks that wait for a version, or for the end.
        self.listening: dict[int, float] = {}
        self._read_by_listeners = 0
        self._due: list[int] = list(world.generator_ranks) if self.every_turn else []
        self._due_version = 0

    def offer(self) -> Play:
        """See `Flow`: round the generators; the weights are read for each message."""
        world = self.world
        self._refresh()
        test, asked, last = world.machine.probe(), world.trainers - 1, 0
        while (place := bisect.bisect_right(self._due, last)) < len(self._due):
            rank = self._due.pop(place)
            last, line = rank, self.lines[rank]
            tests, asked = (rank - asked) * test, rank
            line.free -= 1
            line.sent = world.version
            cost = world.machine.read_weights() + world.latency(rank)
            world.phases["wait"][0] += tests
            world.phases["send"][0] += cost
            yield world.clock.timeout(tests + cost)
            line.messages.append(line.sent)
            world.counters["weights_sent"] += 1
            self._consider(rank)
        if self.listening and (self.every_turn or self._read_by_listeners < self._due_version):
            yield from self._tell_listeners()
        if rest := (world.machine.processes - 1 - asked) * test:
            yield from world.spend(0, "wait", rest)

    def _tell_listeners(self) -> Play:
        """One message to each; who has what it waits for goes on."""
        world = self.world
        version, ranks = world.version, sorted(self.listening)
        self._read_by_listeners = version
        world.counters["weights_sent"] += len(ranks)
        yield from world.spend(0, "send", self._telling_seconds())
        for rank in ranks:
            self.lines[rank].sent = version
            if self.listening.get(rank, math.inf) <= version:
                del self.listening[rank]
                self.lines[rank].free -= 1
                self.lines[rank].messages.append(version)
                world.bells[rank].ring()

    def _telling_seconds(self) -> float:
        world = self.world
        each = world.machine.calibration.read_weights.mean
        return len(self.listening) * each + sum(world.latency(rank) for rank in self.listening)

    def news(self) -> bool:
        """See `Flow`."""
        self._refresh()
        return bool(self._due) or (
            bool(self.listening) and self._read_by_listeners < self._due_version
        )

    def turn_seconds(self) -> float:
        """See `Flow`."""
        seconds = self.world.generators * self.world.machine.probe()
        return seconds + self._telling_seconds() if self.every_turn else seconds

    def idle(self, since: float) -> None:
        """See `Flow`."""

    def awake(self, until: float) -> None:
        """See `Flow`."""

    def take(self, rank: int, held: int) -> Play:
        """See `Flow`: all that have come; the newest wins."""
        world, line = self.world, self.lines[rank]
        probe = world.machine.probe()
        if not line.messages:
            yield from world.spend(rank, "wait", probe)
            return held
        while line.messages:
            version = line.messages[0]
            seconds = probe + world.transfer_seconds(rank, 0, self.size)
            if version > held:
                seconds += world.machine.write_weights()
                world.counters["weights_taken"] += 1
            else:
                world.counters["weights_ignored"] += 1
            yield from world.spend(rank, "receive", seconds)
            held = max(held, version)
            line.messages.popleft()
            line.free += 1
            if self._consider(rank) or world.version == world.job.updates:
                world.bell.ring()
        return held

    def wait(self, rank: int, version: float) -> Play:
        """See `Flow`."""
        self.listening[rank] = version
        due = self._due
        if (place := bisect.bisect_left(due, rank)) < len(due) and due[place] == rank:
            due.pop(place)
        if self.lines[rank].messages:
            del self.listening[rank]
            return
        self.world.bell.ring()
        yield from self.world.wait_bell(rank, self.world.bells[rank])

    def last_weights(self, rank: int) -> bool:
        """See `Flow`."""
        return bool(self.lines[rank].messages)

    def _refresh(self) -> None:
        """After an update all lines that have a free credit are due."""
        due = due_version(self.world, self.interval)
        if due == self._due_version:
            return
        self._due_version = due
        if not self.every_turn:
            self._due = [
                rank
                for rank, line in enumerate(self.lines)
                if rank >= self.world.trainers
                and line.free
                and line.sent < due
                and rank not in self.listening
            ]

    def _consider(self, rank: int) -> bool:
        line = self.lines[rank]
        wanted = (
            line.free > 0
            and (self.every_turn or line.sent < self._due_version)
            and rank not in self.listening
        )
        if wanted:
            place = bisect.bisect_left(self._due, rank)
            if place == len(self._due) or self._due[place] != rank:
                self._due.insert(place, rank)
        return wanted
