"""A generator: attacks minibatches with the newest weights that it has, and sends them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np

from sparring.compute.interface import Batch
from sparring.strategies.base import Run
from sparring.strategies.pipeline.messages import Tag, Versions
from sparring.strategies.pipeline.numbers import granted_numbers, static_numbers
from sparring.strategies.pipeline.outbox import Outbox
from sparring.strategies.pipeline.weights import MessageReceiver, WeightsReceiver
from sparring.strategies.pipeline.window import WindowReceiver, close_window, open_window
from sparring.strategies.waiting import Waiting

if TYPE_CHECKING:
    from mpi4py import MPI

    from sparring.strategies.pipeline.options import Pipeline


class TooOldError(Exception):
    """The weights at an attack's first step have become older than is allowed."""


class Generator:
    """Any rank behind the trainers'.

    Args:
        options: the strategy.
        run: of this rank, which has begun.
        comm: rank 0 and the generators.
        waiting: of this rank.
    """

    def __init__(self, options: Pipeline, run: Run, comm: MPI.Intracomm, waiting: Waiting) -> None:
        self.options, self.run, self.comm = options, run, comm
        self.log, self.waiting = run.log, waiting
        self.version = run.start
        self.outbox = Outbox(
            comm, run.compute, self.log, self.waiting,
            packed=options.messages == "packed",
            buffers=2 if options.send == "double_buffered" else 1,
        )  # fmt: skip

    def train(self) -> None:
        """Make minibatches until there are no more."""
        comm, compute, log = self.comm, self.run.compute, self.log
        window = open_window(comm, compute) if self.options.weights == "window" else None
        self.weights: WeightsReceiver = (
            WindowReceiver(window, compute, log, self.version)
            if window
            else MessageReceiver(comm, compute, log, self.version)
        )
        for number in self._numbers():
            self._deliver(number)
        self.outbox.flush()
        self._wait_for_stop()
        if window:
            close_window(window)

    def _numbers(self) -> Iterator[int]:
        run = self.run
        if self.options.assignment == "static":
            return static_numbers(self.comm.rank, self.comm.size - 1, run.start, run.updates)
        return granted_numbers(self.comm, self.waiting)

    def _deliver(self, number: int) -> None:
        """Make a minibatch until the trainer accepts it; that is once, unless it may drop."""
        self.log.batch = number
        self._wait_for_young_weights(number)
        accepted = False
        while not accepted:
            try:
                batch, versions, made_loss = self._attack(number)
            except TooOldError:
                self.log.counters["attacks_given_up"] += 1
                continue
            self.log.batches += 1
            self.outbox.send(batch, versions, made_loss)
            accepted = not self.options.drops or self._verdict()

    def _wait_for_young_weights(self, number: int) -> None:
        bound = self.options.max_staleness
        if bound is None or not self.options.in_order:
            return

        def young() -> bool:
            return self.version >= number - bound

        self._take_weights()
        if not young():
            self.log.counters["waits_for_weights"] += 1
            with self.log.phase("wait"):
                self._wait_until(young, f"weights of version {number - bound}")

    def _wait_until(self, condition: Callable[[], bool], what: str) -> None:
        """Take weights until the condition holds; newer ones are a sign of the trainer's life.

        Patience begins anew with them: a generator that has made its share may wait for long while
        others still make theirs.
        """
        while not condition():
            self.waiting.until(lambda: self._take_weights() or condition(), what)

    def _attack(self, number: int) -> tuple[Batch, Versions, float | None]:
        versions: list[tuple[int, int]] = []

        def on_step(step: int) -> None:
            self._take_weights()
            if not versions or self.version != versions[-1][1]:
                versions.append((step, self.version))
            if self.options.too_old(self.version, versions):
                raise TooOldError

        compute = self.run.compute
        with self.log.phase("generate"):
            try:
                batch = compute.attack(number, slice(None), on_step, self.options.receive_interval)
            except TooOldError as error:
                given_up: TooOldError | None = error
            else:
                given_up = None
                made_loss = compute.loss(batch) if self.run.record_strength else None
        if given_up is not None:
            raise given_up
        return batch, tuple(versions), made_loss

    def _take_weights(self) -> bool:
        """Take the newest weights that have come; whether any have."""
        version = self.weights.take()
        if version is not None:
            self.version = version
        return version is not None

    def _verdict(self) -> bool:
        """Whether the trainer took the batch or found it too old."""
        accepted = np.empty(1, np.int64)
        with self.log.phase("wait"):
            request = self.comm.Irecv(accepted, 0, Tag.VERDICT)
            self.waiting.finish(request, f"the trainer's verdict on batch {self.log.batch}")
        return bool(accepted[0])

    def _wait_for_stop(self) -> None:
        """Take what weights are still sent until the trainer, which waits for it, says stop."""
        comm = self.comm

        def stopped() -> bool:
            return bool(comm.Iprobe(0, Tag.STOP))

        with self.log.phase("wait"):
            self._wait_until(stopped, "the trainer to end")
            comm.Recv(np.empty(0, np.uint8), 0, Tag.STOP)
