"""The simulated trainer: see `sparring.strategies.pipeline.trainer.Trainer`."""

from __future__ import annotations

import math

from sparring.errors import SparringError
from sparring.modelling.simulator.pipeline.generator import Generator
from sparring.modelling.simulator.pipeline.group import Group
from sparring.modelling.simulator.pipeline.inbox import Inbox, Made
from sparring.modelling.simulator.pipeline.numbers import Dispenser
from sparring.modelling.simulator.pipeline.weights import Flow
from sparring.modelling.simulator.pipeline.world import Play, World
from sparring.strategies.telemetry import BatchRecord

#: Dropped batches for each update from which a run is given up.
_DROPS = 200


class Trainer:
    """Rank 0."""

    def __init__(
        self, world: World, flow: Flow, inbox: Inbox, dispenser: Dispenser | None,
        generators: list[Generator],
    ) -> None:  # fmt: skip
        self.world, self.flow, self.inbox = world, flow, inbox
        self.dispenser, self.generators = dispenser, generators
        self.group = Group(world)
        self.held: dict[int, Made] = {}
        self.first_came = self.last_came = 0.0

    def play(self) -> Play:
        """Train until the weights have the wanted version; then tell all to stop."""
        world = self.world
        while world.version < world.job.updates:
            if (yield from self._consume_what_came()):
                continue
            if world.options.trainer_generates and (yield from self._generate()):
                continue
            yield from self._wait_for_batch()
        yield from self._stop()

    def _consume_what_came(self) -> Play:
        """One look, and an update if a batch was found; whether there was one."""
        if not (yield from self._look()):
            return False
        yield from self._consume(self.held.pop(self.world.version))
        return True

    def _look(self) -> Play:
        """One turn: offer weights, see whether a batch has come that can be consumed."""
        world = self.world
        world.counters["turns"] += 1
        yield from self.flow.offer()
        if world.version in self.held:
            return True
        made: Made | None = yield from self.inbox.poll()
        if made is None:
            return False
        if self.dispenser is not None and not world.options.drops:
            self.dispenser.grant(made.rank)
        self.held[made.number if world.options.in_order else world.version] = made
        return world.version in self.held

    def _wait_for_batch(self) -> Play:
        """Turn until a batch has come; turns that find nothing are skipped in one go."""
        world = self.world
        while not (yield from self._look()):
            if not self.inbox.idle() or self.flow.news():
                continue
            began = world.clock.now
            self.flow.idle(began)
            yield from world.wait_bell(0, world.bell)
            turn = self.flow.turn_seconds() + self.inbox.turn_seconds()
            if turn > 0:
                turns = math.ceil((world.clock.now - began) / turn)
                self.inbox.skip(turns)
                rest = max(0.0, began + turns * turn - world.clock.now)
                yield from world.spend(0, "wait", rest)
            self.flow.awake(world.clock.now)
        yield from self._consume(self.held.pop(world.version))

    def _consume(self, made: Made) -> Play:
        """Update on a batch, unless it is too old and may be dropped."""
        world = self.world
        self.last_came = world.clock.now
        if world.version == 0:
            self.first_came = self.last_came
        if world.options.drops and made.rank != 0:
            accepted = world.options.accepts(world.version, made.versions)
            yield from world.spend(0, "send", world.latency(made.rank))
            self.generators[made.rank - world.trainers].verdicts.popleft().succeed(accepted)
            if not accepted:
                self._drop()
                return
            if self.dispenser is not None:
                self.dispenser.grant(made.rank)
        # The study's defect trains on whole buffers.
        partial = not world.options.study_partial_batches
        rows = made.rows if partial else world.job.batch_size
        yield from self.group.update(rows)
        world.records.append(
            BatchRecord(world.version, made.number, made.rank, made.versions, None, math.nan)
        )
        world.update_times.append(world.clock.now)
        world.waiting_batches.append(self.inbox.waiting() + len(self.held))
        world.version += 1

    def _drop(self) -> None:
        """Count a batch that was too old.

        Raises:
            SparringError: if so many are that training stands still.
        """
        world = self.world
        world.counters["batches_dropped"] += 1
        if world.counters["batches_dropped"] > _DROPS * (world.version + 1):
            raise SparringError(
                f"after {world.version} updates {_DROPS} batches were dropped for each: with "
                f"{world.generators} generators max_staleness {world.options.max_staleness} and "
                f"staleness_policy {world.options.staleness_policy!r} make no progress"
            )

    def _generate(self) -> Play:
        """Attack a minibatch of the trainer's own, looking for batches before each step."""
        world, options = self.world, self.world.options
        assert self.dispenser is not None
        bound, upcoming = options.max_staleness, self.dispenser.upcoming
        if upcoming is None or (
            options.in_order and bound is not None and world.version < upcoming - bound
        ):
            return False
        number = self.dispenser.take()
        assert number is not None
        rows = world.job.rows(number)
        while True:
            versions: list[tuple[int, int]] = []
            yield from world.compute(0, "generate", world.machine.prepare(rows))
            for step in range(world.job.steps):
                while (yield from self._consume_what_came()):
                    pass
                if not versions or world.version != versions[-1][1]:
                    versions.append((step, world.version))
                ascent = world.machine.look(rows) + world.machine.steps(rows, 1)
                yield from world.compute(0, "generate", ascent)
            world.batches[0] += 1
            if options.accepts(world.version, tuple(versions)):
                break
            self._drop()
        own = Made(number, 0, rows, tuple(versions), world.clock.event())
        if options.in_order and number != world.version:
            self.held[number] = own
        else:
            yield from self._consume(own)
        return True

    def _stop(self) -> Play:
        """Wait until the generators have taken their last weights, and end them."""
        world = self.world
        while any(self.flow.last_weights(rank) for rank in world.generator_ranks):
            yield from world.wait_bell(0, world.bell)
        yield from world.spend(0, "wait", 2 * world.latency(world.machine.processes - 1))
        world.stopped = True
        for bell in world.bells:
            bell.ring()
