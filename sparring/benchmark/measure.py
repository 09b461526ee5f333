"""Measuring: verify, then time in rounds, every competitor once a round in random order."""

from __future__ import annotations

import datetime
import platform
import random
import secrets
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import torch

from sparring.benchmark.machine import cores, cpu_model, load_average
from sparring.benchmark.plan import COMPETITORS, WARM_SECONDS, Configuration, Plan
from sparring.benchmark.table import SCHEMA_VERSION
from sparring.benchmark.verification import Judge, Strength, WrongAttackError
from sparring.benchmark.worker import AbsentError, Worker, WorkerError
from sparring.tables import Row, Table, Value

Start = Callable[[str, int], Worker]

#: After an answer, threads of a process may still spin in wait for more work.
_PAUSE_SECONDS = 0.01
#: Batches from this size on are not run once more before they are timed.
_LARGE_BATCH = 256


@dataclass
class _Entrant:
    """A verified competitor at one configuration."""

    name: str
    worker: Worker
    strength: Strength
    first_call_seconds: float
    expected_seconds: float


@dataclass
class Benchmark:
    """One task of one run of the benchmark.

    Attributes:
        plan: what is measured.
        start: gives a competitor's process.
        judge: checks what competitors find.
        table: where rows go, as soon as they are measured.
        folder: for adversaries on their way.
        tell: takes a line about the progress.
        clock: seconds; decides when a budget is spent, and nothing else.
        run: the run's name.
    """

    plan: Plan
    start: Start
    judge: Judge
    table: Table
    folder: Path
    tell: Callable[[str], None]
    clock: Callable[[], float] = time.monotonic
    run: str = field(default_factory=lambda: new_run())
    rows: list[Row] = field(default_factory=list)
    _told: set[tuple[str, str]] = field(default_factory=set)

    def measure(self) -> list[Row]:
        """Measure everything that is planned; the rows also stand in the table."""
        shuffled = random.Random(self.plan.seed)
        by_threads = {
            threads: self.plan.configurations(threads, shuffled) for threads in self.plan.threads
        }
        total, done = sum(map(len, by_threads.values())), 0
        for threads, configurations in by_threads.items():
            with closing(_Workers(self.start, threads)) as workers:
                for configuration in configurations:
                    done += 1
                    began = self.clock()
                    rounds = self._configuration(configuration, workers, shuffled)
                    self.tell(
                        f"[{done}/{total}] {configuration}: {rounds} "
                        f"round{'' if rounds == 1 else 's'} in {self.clock() - began:.1f} s"
                    )
        return self.rows

    def _configuration(
        self, configuration: Configuration, workers: _Workers, shuffled: random.Random
    ) -> int:
        """Verify and time all competitors; how many rounds there were."""
        entrants = []
        for name in self.plan.competitors:
            try:
                entrants.append(self._verified(name, configuration, workers.get(name)))
            except AbsentError as error:
                self._unmeasured(configuration, name, workers, "skipped", str(error))
            except WrongAttackError as error:
                self._unmeasured(configuration, name, workers, "failed", str(error))
            except WorkerError as error:
                self._unmeasured(configuration, name, workers, "failed", str(error))
                workers.discard(name)
        began, rounds = self.clock(), 0
        while entrants and self.plan.goes_on(configuration, rounds, self.clock() - began):
            shuffled.shuffle(entrants)
            for order, entrant in enumerate(list(entrants)):
                try:
                    self._repetition(configuration, entrant, rounds, order)
                except WorkerError as error:
                    self._unmeasured(
                        configuration, entrant.name, workers, "failed", str(error), rounds
                    )
                    workers.discard(entrant.name)
                    entrants.remove(entrant)
            rounds += 1
        return rounds

    def _verified(self, name: str, configuration: Configuration, worker: Worker) -> _Entrant:
        """The competitor, once what it finds has passed.

        Raises:
            WrongAttackError, WorkerError: if they have not, or there are none.
        """
        batch_size, steps = configuration.batch_size, configuration.steps
        kept = self.folder / "found.npz"
        found, first = [], None
        for start in range(0, self.judge.images_for(batch_size), batch_size):
            timing = worker.run(start, batch_size, steps, keep=kept)
            with np.load(kept) as arrays:
                found.append({name: torch.from_numpy(arrays[name]) for name in arrays.files})
            first = timing.preparation + timing.each if first is None else first
        strength = self.judge.judge(configuration.task, found, steps)
        assert first is not None
        if batch_size < _LARGE_BATCH:  # what was compiled or allocated at first, counts no more
            timing = worker.run(0, batch_size, steps)
        return _Entrant(name, worker, strength, first, timing.each)

    def _repetition(
        self, configuration: Configuration, entrant: _Entrant, round_: int, order: int
    ) -> None:
        time.sleep(_PAUSE_SECONDS)
        started = _now()
        timing = entrant.worker.run(
            0, configuration.batch_size, configuration.steps,
            calls=self.plan.calls(entrant.expected_seconds),
            warmups=int(entrant.expected_seconds < WARM_SECONDS),
        )  # fmt: skip
        entrant.expected_seconds = timing.each
        image_steps = configuration.batch_size * configuration.steps
        self._add({
            **self._common(configuration, entrant.name, entrant.worker), "round": round_,
            "order": order, "calls": timing.calls, "seconds": timing.each,
            "image_steps_per_second": image_steps / timing.each if image_steps else None,
            "status": "ok", "loss": entrant.strength.loss,
            "success_rate": entrant.strength.success_rate,
            "gradient_error": entrant.strength.gradient_error,
            "loss_after": entrant.strength.loss_after,
            "first_call_seconds": entrant.first_call_seconds, "started_at": _stamp(started),
        })  # fmt: skip

    def _unmeasured(
        self, configuration: Configuration, name: str, workers: _Workers, status: str,
        message: str, round_: int | None = None,
    ) -> None:  # fmt: skip
        """A row that tells why there is no time."""
        if (name, message) not in self._told:
            self._told.add((name, message))
            self.tell(f"{COMPETITORS[name]}: {status}: {message}")
        self._add({
            **self._common(configuration, name, workers.known(name)), "round": round_,
            "status": status, "message": message, "started_at": _stamp(_now()),
        })  # fmt: skip

    def _common(
        self, configuration: Configuration, name: str, worker: Worker | None
    ) -> dict[str, Value]:
        load = load_average()
        return {
            "schema_version": SCHEMA_VERSION, "run": self.run, "network": self.plan.network,
            "weights": self.plan.weights, "dataset": self.plan.dataset,
            "task": configuration.task, "competitor": name,
            "version": worker.version if worker else None,
            "batch_size": configuration.batch_size, "threads": configuration.threads,
            "steps": configuration.steps, "backend_used": worker.backend if worker else None,
            "seed": self.plan.seed, "cpu": cpu_model(), "cores": cores(),
            "torch_version": worker.torch if worker else None,
            "python_version": platform.python_version(),
            "load_average": None if load is None else round(load, 2),
        }  # fmt: skip

    def _add(self, row: Row) -> None:
        self.table.append([row])
        self.rows.append(row)


class _Workers:
    """The processes with one number of threads, each started when it is first wanted."""

    def __init__(self, start: Start, threads: int) -> None:
        self._start, self._threads = start, threads
        self._running: dict[str, Worker] = {}
        self._hopeless: dict[str, Exception] = {}

    def get(self, name: str) -> Worker:
        """A competitor's process.

        Raises:
            AbsentError, WorkerError: if there is none; it is not tried again.
        """
        if name in self._hopeless:
            raise self._hopeless[name]
        if name not in self._running:
            try:
                self._running[name] = self._start(name, self._threads)
            except (AbsentError, WorkerError) as error:
                self._hopeless[name] = error
                raise
        return self._running[name]

    def known(self, name: str) -> Worker | None:
        """A competitor's process if it runs."""
        return self._running.get(name)

    def discard(self, name: str) -> None:
        """End a process that failed; another will take its place."""
        if worker := self._running.pop(name, None):
            worker.close()

    def close(self) -> None:
        """End all processes."""
        for name in list(self._running):
            self.discard(name)


def new_run() -> str:
    """A name for a run that begins now."""
    return f"{_now():%Y%m%dT%H%M%SZ}-{secrets.token_hex(2)}"


def _now() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


def _stamp(moment: datetime.datetime) -> str:
    return moment.isoformat(timespec="milliseconds")
