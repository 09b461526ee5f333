"""A simulated generator: see `sparring.strategies.pipeline.generator.Generator`."""

from __future__ import annotations

import math
from collections import deque
from itertools import pairwise

import simpy

from sparring.modelling.simulator.pipeline.inbox import Inbox, Made
from sparring.modelling.simulator.pipeline.numbers import Dispenser
from sparring.modelling.simulator.pipeline.weights import Flow
from sparring.modelling.simulator.pipeline.world import Play, World
from sparring.strategies.pipeline.numbers import static_numbers


class Generator:
    """Any rank behind the trainers'.

    Args:
        world, rank: where and who.
        flow, inbox: weights to it, batches from it.
        dispenser: who says what to make; None where that is fixed beforehand.
        late_looks: look for weights after the steps 0, k, 2k ... instead of before them.
    """

    def __init__(
        self, world: World, rank: int, flow: Flow, inbox: Inbox, dispenser: Dispenser | None,
        late_looks: bool,
    ) -> None:  # fmt: skip
        self.world, self.rank, self.flow, self.inbox = world, rank, flow, inbox
        self.dispenser, self.late_looks = dispenser, late_looks
        self.version = 0
        #: Verdicts on batches, where the trainer may drop them.
        self.verdicts: deque[simpy.Event] = deque()
        self._sent: deque[simpy.Event] = deque()

    def play(self) -> Play:
        """Make minibatches until there are no more; then take what weights still come."""
        world = self.world
        if self.dispenser is None:
            place = self.rank - world.trainers + 1
            for number in static_numbers(place, world.generators, 0, world.job.updates):
                yield from self._deliver(number)
        else:
            while True:
                given = yield from self.dispenser.next_for(self.rank)
                if given is None:
                    break
                yield from self._deliver(given)
        yield from self._finish(0)
        while not world.stopped:
            if not self.flow.last_weights(self.rank):
                yield from self.flow.wait(self.rank, math.inf)
            if self.flow.last_weights(self.rank):
                self.version = yield from self.flow.take(self.rank, self.version)

    def _deliver(self, number: int) -> Play:
        """See `Generator._deliver` of the strategy."""
        world, options = self.world, self.world.options
        if options.in_order:
            assert options.max_staleness is not None
            yield from self._wait_for_version(number - options.max_staleness)
        accepted = False
        while not accepted:
            versions = yield from self._attack(number)
            if versions is None:
                world.counters["attacks_given_up"] += 1
                continue
            world.batches[self.rank] += 1
            made = Made(number, self.rank, world.job.rows(number), versions, world.clock.event())
            verdict = world.clock.event()
            self.verdicts.append(verdict)
            yield from self._send(made)
            accepted = True
            if options.drops:
                yield from world.wait_at(self.rank, verdict)
                accepted = bool(verdict.value)

    def _wait_for_version(self, version: int) -> Play:
        world = self.world
        self.version = yield from self.flow.take(self.rank, self.version)
        if self.version < version:
            world.counters["waits_for_weights"] += 1
        while self.version < version:
            yield from self.flow.wait(self.rank, version)
            self.version = yield from self.flow.take(self.rank, self.version)

    def _attack(self, number: int) -> Play:
        """The versions that the ascent steps saw; None if they became too old."""
        world, options = self.world, self.world.options
        rows, steps, every = world.job.rows(number), world.job.steps, options.receive_interval
        yield from world.compute(self.rank, "generate", world.machine.prepare(rows))
        versions: list[tuple[int, int]] = []
        # Looks stand before the steps 0, k, 2k ...; in the study behind them.
        looks = [s + self.late_looks for s in range(0, steps, every)]
        edges = sorted({0, *(look for look in looks if look < steps), steps})
        for begin, end in pairwise(edges):
            if begin in looks:
                self.version = yield from self.flow.take(self.rank, self.version)
            if not versions or self.version != versions[-1][1]:
                versions.append((begin, self.version))
            if options.too_old(self.version, versions):
                return None
            looked = world.machine.look(rows) if begin in looks else 0.0
            ascent = looked + world.machine.steps(rows, end - begin)
            yield from world.compute(self.rank, "generate", ascent)
        if steps in looks:
            self.version = yield from self.flow.take(self.rank, self.version)
        return tuple(versions)

    def _send(self, made: Made) -> Play:
        """Send; wait until this batch was taken, or with two buffers the one before."""
        world = self.world
        messages = 1 if world.options.messages == "packed" else 2
        yield from world.spend(self.rank, "send", messages * world.latency(self.rank))
        self.inbox.put(made)
        self._sent.append(made.taken)
        world.bell.ring()
        yield from self._finish(1 if world.options.send == "double_buffered" else 0)

    def _finish(self, left: int) -> Play:
        """Wait until no more than so many batches are on their way."""
        while len(self._sent) > left:
            taken = self._sent.popleft()
            if not taken.processed:
                yield from self.world.wait_at(self.rank, taken)
