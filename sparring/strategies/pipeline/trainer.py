"""The trainer: consumes batches, updates, and lets the generators have its weights."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from sparring.strategies.base import Run
from sparring.strategies.pipeline.inbox import CompletionInbox, Inbox, ProbeInbox
from sparring.strategies.pipeline.messages import Delivery, Tag
from sparring.strategies.pipeline.numbers import Dispenser
from sparring.strategies.pipeline.weights import MessageSender, WeightsSender
from sparring.strategies.pipeline.window import WindowSender, close_window, open_window
from sparring.strategies.waiting import Waiting

if TYPE_CHECKING:
    from mpi4py import MPI

    from sparring.strategies.pipeline.group import Group
    from sparring.strategies.pipeline.options import Pipeline


class Trainer:
    """Rank 0.

    Args:
        options: the strategy.
        run: of this rank, which has begun.
        comm: rank 0 and the generators.
        group: all trainers, this one among them.
        waiting: of this rank.
    """

    def __init__(
        self, options: Pipeline, run: Run, comm: MPI.Intracomm, group: Group, waiting: Waiting
    ) -> None:
        self.options, self.run, self.comm, self.group = options, run, comm, group
        self.log, self.waiting = run.log, waiting
        #: Trainers but this one: generators have their ranks behind them.
        self.others = run.comm.size - comm.size
        self.version = run.start
        #: Batches that came before their turn, by number (only where they are consumed in order).
        self.held: dict[int, Delivery] = {}
        unit = run.compute.epoch_length if options.send_unit == "epochs" else 1
        self.send_interval = options.send_interval * unit
        #: Number of the last batch that came from each generator.
        self.heard = dict.fromkeys(range(1, comm.size), -1)
        self.dispenser: Dispenser | None = None
        if options.assignment == "dynamic":
            # In order, a number that waits for its generator would hold up all others.
            ahead = 0 if options.in_order else 1
            self.dispenser = Dispenser(comm, run.start, run.updates, ahead)

    def train(self) -> None:
        """Train until the weights have the wanted version."""
        run, log = self.run, self.log
        window = open_window(self.comm, run.compute) if self.options.weights == "window" else None
        self.weights: WeightsSender = (
            WindowSender(window, run.compute, log, self.version)
            if window
            else MessageSender(
                self.comm, run.compute, log, version=self.version, credits=self.options.credits,
                every_turn=self.options.weight_sends == "every_turn",
            )
        )  # fmt: skip
        self.inbox = self._open_inbox()
        began = self.last_came = log.clock()
        while self.version < run.updates:
            first = self.version == run.start
            self._turn()
            if first and self.version > run.start:
                log.fill_seconds = self.first_came - began
        self._stop()
        log.drain_seconds = log.clock() - self.last_came
        if window:
            close_window(window)

    def _open_inbox(self) -> Inbox:
        comm, compute, options = self.comm, self.run.compute, self.options
        if options.receive == "completion":
            return CompletionInbox(comm, compute, self.log, all_rows=options.study_partial_batches)
        return ProbeInbox(
            comm, compute, self.log, packed=options.messages == "packed",
            max_probes=options.max_probes, all_rows=options.study_partial_batches,
        )  # fmt: skip

    def _turn(self) -> None:
        """One turn of the trainer's loop: consume what has come, else generate, else wait."""
        if self._consume_what_came():
            return
        if self.options.trainer_generates and self._generate():
            return
        with self.log.phase("wait"):
            self.waiting.until(self._look, self._awaited())

    def _awaited(self) -> str:
        """What the trainer waits for, and who has been silent longest, for a message."""
        silent = min(self.heard, key=lambda rank: self.heard[rank])
        last = self.heard[silent]
        told = f"after its batch {last}" if last >= 0 else "without a batch so far"
        rank = silent + self.others
        return f"a batch for update {self.version}: rank {rank} is furthest behind, {told}"

    def _look(self) -> bool:
        """Offer weights, and see whether a batch has come that can be consumed."""
        self.log.counters["turns"] += 1
        self._offer_weights()
        if self.version in self.held:
            return True
        delivery = self.inbox.poll()
        if delivery is None:
            return False
        self.heard[delivery.generator] = delivery.batch.number
        if self.dispenser is not None and not self.options.drops:
            self.dispenser.grant(delivery.generator)
        self.held[delivery.batch.number if self.options.in_order else self.version] = (
            # What waits for its turn must not be overwritten by what comes meanwhile.
            delivery.copied() if self.options.in_order else delivery
        )
        return self.version in self.held

    def _offer_weights(self) -> None:
        start = self.run.start
        due = start + (self.version - start) // self.send_interval * self.send_interval
        self.weights.offer(self.version, due)

    def _consume_what_came(self) -> bool:
        """Consume one batch if it is there; returns whether there was one."""
        if not self._look():
            return False
        self._consume(self.held.pop(self.version))
        return True

    def _consume(self, delivery: Delivery) -> None:
        """Update on a batch, unless it is too old and may be dropped."""
        log, batch = self.log, delivery.batch
        self.last_came = log.clock()
        if self.version == self.run.start:
            self.first_came = self.last_came
        own = delivery.generator == 0
        if self.options.drops and not own:
            accepted = self.options.accepts(self.version, delivery.versions)
            verdict = np.array([accepted], np.int64)
            with log.phase("send"):
                self.comm.Send(verdict, delivery.generator, Tag.VERDICT)
            if not accepted:
                log.counters["batches_dropped"] += 1
                return
            if self.dispenser is not None:
                # Not before: a generator that makes a batch again reserves no further one.
                self.dispenser.grant(delivery.generator)
        in_hand, log.batch = log.batch, batch.number
        generator = 0 if own else delivery.generator + self.others
        self.group.lead(delivery, generator, self.version)
        self.version += 1
        log.batch = in_hand

    def _generate(self) -> bool:
        """Attack a minibatch of the trainer's own; what comes meanwhile is consumed at once."""
        assert self.dispenser is not None
        bound = self.options.max_staleness
        upcoming = self.dispenser.upcoming
        if upcoming is None or (
            self.options.in_order and bound is not None and self.version < upcoming - bound
        ):
            return False
        number = self.dispenser.take()
        assert number is not None
        compute, log = self.run.compute, self.log
        while True:
            versions: list[tuple[int, int]] = []
            log.batch = number

            def on_step(step: int, versions: list[tuple[int, int]] = versions) -> None:
                while self._consume_what_came():
                    pass
                if not versions or self.version != versions[-1][1]:
                    versions.append((step, self.version))

            with log.phase("generate"):
                batch = compute.attack(number, slice(None), on_step)
                made = compute.loss(batch) if self.run.record_strength else None
            log.batches += 1
            if self.options.accepts(self.version, tuple(versions)):
                break
            log.counters["batches_dropped"] += 1
        self._hold_or_consume(Delivery(batch, 0, tuple(versions), made))
        return True

    def _hold_or_consume(self, own: Delivery) -> None:
        if self.options.in_order and own.batch.number != self.version:
            self.held[own.batch.number] = own.copied()
        else:
            self._consume(own)

    def _stop(self) -> None:
        """Tell every generator to end, once nothing is in flight to it."""
        comm = self.comm
        with self.log.phase("wait"):
            self.waiting.until(self.weights.drained, "the generators to take the last weights")
            if self.dispenser is not None:
                self.waiting.until(self.dispenser.drained, "the generators to take their grants")
            stops = [comm.Isend(np.empty(0, np.uint8), r, Tag.STOP) for r in range(1, comm.size)]
            for rank, stop in enumerate(stops, start=1):
                self.waiting.finish(stop, f"rank {rank + self.others} to end")
        self.inbox.close()
