"""Run what a study lacks: launch by launch, in random order, each leaving a file."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from filelock import FileLock, Timeout

from harness import records
from harness.collect import Collected, collect, write_points
from harness.environment import environment_id, fingerprint, provenance
from harness.errors import UserError
from harness.launcher import Launcher, find_launcher
from harness.loading import search_path
from harness.machine import machine_cores
from harness.points import Point, expand, varying_parameters
from harness.preflight import check_points
from harness.process import Outcome, kill_marked, last_words
from harness.process import run as run_process
from harness.progress import Reporter
from harness.records import LaunchRecord
from harness.schedule import PointState, launches_missing, states_of
from harness.study import Study
from harness.timing import now
from harness.workload import WorkloadCode, inspect_workload


class Terminated(KeyboardInterrupt):
    """SIGTERM: a scheduler's grace before the end, used to write what is finished."""


@dataclass
class Session:
    """Everything that is fixed while a study is measured.

    Raises, when it is opened:
        UserError: if the study, its workload or the launcher cannot be used.
    """

    study: Study
    results: Path
    points: list[Point] = field(init=False)
    code: WorkloadCode = field(init=False)
    launcher: Launcher = field(init=False)
    fingerprint: dict[str, Any] = field(init=False)
    environment: str = field(init=False)

    def __post_init__(self) -> None:
        self.results = self.results.resolve()
        self.points = expand(self.study)
        self.code = inspect_workload(self.study)
        self.launcher = find_launcher()
        self.fingerprint = fingerprint(self.code, self.launcher)
        self.environment = environment_id(self.fingerprint)

    @property
    def folder(self) -> Path:
        """Where the launch files are."""
        return records.launches_folder(self.results, self.study.name)

    def states(self) -> dict[str, PointState]:
        """What is done so far under the present environment and code."""
        states = states_of(self.points, records.read_records(self.folder), self.environment)
        for state in states.values():
            state.stop = records.read_stop(
                self.folder, self.environment, state.point.id, self.study.measure.budget_seconds
            )
        return states

    def collect(self) -> Collected:
        """Bring the tables up to date."""
        collected = collect(self.results, self.study.name)
        states = self.states()
        write_points(self.results, self.study, states.values(), self.environment)
        return collected


def run(session: Session, reporter: Reporter, *, index: int | None = None, retry: bool = False
        ) -> int:  # fmt: skip
    """Run every launch that is missing, then collect.

    Args:
        session: the study, opened.
        reporter: told of what happens.
        index: only the point with this index.
        retry: launch points again that failed.

    Returns:
        how many launches were run.

    Raises:
        UserError: if there is no such point, another run measures on this host, or a table of
            the study on disk is not one.
        KeyboardInterrupt: after collecting what was finished.
    """
    if index is not None and not 0 <= index < len(session.points):
        raise UserError(
            f"{session.study.source.path}: --index {index}: there is no such point; expected 0 to "
            f"{len(session.points) - 1}"
        )
    session.folder.mkdir(parents=True, exist_ok=True)
    with _terminable(), _alone_on_host(session):
        launches = _Run(session, reporter, index, retry)
        launches.check()
        session.collect()  # a table that cannot be extended is told of before anything is launched
        launches.clean_up()
        try:
            return launches.everything()
        finally:
            session.collect()


@contextlib.contextmanager
def _terminable() -> Iterator[None]:
    """Turn SIGTERM into an exception, so that finished launches reach the tables."""

    def terminate(number: int, frame: FrameType | None) -> None:
        raise Terminated

    before = signal.signal(signal.SIGTERM, terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextlib.contextmanager
def _alone_on_host(session: Session) -> Iterator[None]:
    """Two runs at once on one host would time each other; Slurm keeps its own tasks apart."""
    if session.launcher.kind == "srun":
        yield
        return
    lock = FileLock(session.results / "launches" / f".measuring-{socket.gethostname()}.lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise UserError(
            f"{session.results}: another run measures on this host; expected one at a time, "
            "since two would disturb each other's timings"
        ) from None
    try:
        yield
    finally:
        lock.release()


def log_of(results: Path, study: str, launch: str) -> Path:
    """Where the output of a launch goes; kept if the launch does not end well."""
    return results / "logs" / study / f"{launch}.log"


class _Run:
    """One session's launches: rounds over the points that want one, each in random order."""

    def __init__(self, session: Session, reporter: Reporter, index: int | None, retry: bool):
        self.session, self.reporter, self.retry = session, reporter, retry
        self.measure = session.study.measure
        self.identity = records.new_identity()
        self.started = time.monotonic()
        self.order = 0
        self.varying = varying_parameters(session.points)
        self.states = session.states()
        chosen = session.points if index is None else [session.points[index]]
        self.chosen = [self.states[point.id] for point in chosen]
        self.failed_now: set[str] = set()
        self.running = session.folder / ".running" / socket.gethostname()

    def check(self) -> None:
        """Ask the workload whether it can run what is missing.

        Raises:
            UserError: if it cannot; nothing is launched, recorded or written then.
        """
        wanting = [state.point for state in self.chosen if self._wants_launch(state)]
        check_points(self.session.study, wanting)

    def clean_up(self) -> None:
        """Remove what launches of a run on this host left that was killed: folders, processes.

        We hold the host's lock, so none of them is alive; under Slurm there is no lock.
        """
        if self.session.launcher.kind == "srun":
            return
        launches = self.session.results / "launches"
        stale = [
            folder for running in launches.glob("*/.running")
            for folder in (running / socket.gethostname()).glob("*")
        ]  # fmt: skip
        if stale:
            kill_marked({folder.name for folder in stale})
        for folder in stale:
            study = folder.parents[2].name
            log_of(self.session.results, study, folder.name).unlink(missing_ok=True)
            shutil.rmtree(folder, ignore_errors=True)

    def everything(self) -> int:
        """Skip what this machine cannot hold, launch what is missing, then what precision asks."""
        wanting = [state for state in self.chosen if self._wants_launch(state)]
        self._skip_what_does_not_fit()
        missing = sum(launches_missing(state, self.measure) for state in wanting)
        if wanting:
            records.write_session(self.session.folder, self._provenance())
            self.reporter.begin(missing)
            try:
                self._rounds()
            finally:
                self.reporter.end()
        return self.order

    def _rounds(self) -> None:
        while wanting := [state for state in self.chosen if self._wants_launch(state)]:
            random.shuffle(wanting)
            extra = [s for s in wanting if not launches_missing(s, self.measure)]
            self.reporter.more(len(extra))
            for state in wanting:
                if self._wants_launch(state):
                    self._launch(state)
            self.session.collect()

    def _may_launch(self, state: PointState) -> bool:
        point = state.point
        if point.cores > machine_cores() and not self.measure.oversubscribe:
            return False
        return point.id not in self.failed_now and (self.retry or not state.failures)

    def _wants_launch(self, state: PointState) -> bool:
        if not self._may_launch(state) or state.stopped_by(self.measure):
            return False
        budget = self.measure.budget_seconds
        spent = time.monotonic() - self.started
        if not launches_missing(state, self.measure) and budget is not None and spent > budget:
            state.stop = "budget"
            records.write_stop(
                self.session.folder, self.session.environment, state.point.id, budget
            )
            return False
        return True

    def _skip_what_does_not_fit(self) -> None:
        for state in self.chosen:
            point = state.point
            fits = point.cores <= machine_cores()
            if fits or self.measure.oversubscribe or state.skipped or state.launch_seconds:
                continue
            record = self._record(
                point, records.new_identity(), now(), "skipped",
                f"needs {point.cores} cores and this machine has {machine_cores()}; "
                "--oversubscribe runs it all the same",
            )  # fmt: skip
            records.write_record(self.session.folder, record)
            state.add(record)

    def _launch(self, state: PointState) -> None:
        point, launch, started_at = state.point, records.new_identity(), now()
        label = point.label(self.varying)
        self.reporter.launching(label)
        running = self.running / f"{point.id}-{launch}"
        running.mkdir(parents=True)
        log = log_of(self.session.results, self.session.study.name, running.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        output = running / "repetitions.json"
        try:
            outcome = self._start(point, launch, running, output, log)
            finished = json.loads(output.read_text("utf-8")) if output.is_file() else []
            status, message = self._verdict(outcome, output, log, finished)
        except BaseException:
            log.unlink(missing_ok=True)  # interrupted: no row will name it
            raise
        finally:
            shutil.rmtree(running, ignore_errors=True)
        record = self._record(point, launch, started_at, status, message, finished)
        records.write_record(self.session.folder, record)
        self.order += 1
        if status == "ok":
            log.unlink()
        else:
            self.failed_now.add(point.id)
        state.add(record)
        self.reporter.ended(label, record, state.summary)

    def _start(self, point: Point, launch: str, running: Path, output: Path, log: Path) -> Outcome:
        study = self.session.study
        spec = {
            "workload": study.workload,
            "parameters": point.parameters,
            "warmups": self.measure.warmups,
            "repetitions": self.measure.repetitions,
            "oversubscribed": point.source == "oversubscribed",
            "search_path": search_path(study.folder),
            "output": str(output),
        }
        spec_file = running / "spec.json"
        spec_file.write_text(json.dumps(spec), encoding="utf-8")
        program = [sys.executable, "-m", "harness.worker", str(spec_file)]
        launcher = self.session.launcher
        return run_process(
            launcher.command(point.processes, point.threads_per_process, program),
            launcher.variables(point.processes, point.threads_per_process),
            mark=running.name,
            log=log,
            limit_seconds=self.measure.time_limit_seconds,
            heartbeat=self.reporter.beat,
        )

    def _verdict(
        self, outcome: Outcome, output: Path, log: Path, finished: list[Any]
    ) -> tuple[str, str]:
        """Status and message of a launch; a message names the log that tells the rest."""
        where = f"log: {log.relative_to(self.session.results)}"
        if outcome.timed_out:
            limit = self.measure.time_limit_seconds
            return "timeout", f"killed at the time limit of {limit:g} s; {where}"
        expected = self.measure.warmups + self.measure.repetitions
        if outcome.exit_code == 0 and len(finished) == expected:
            return "ok", ""
        told = sorted(output.parent.glob("*.error"))
        reason = told[0].read_text(encoding="utf-8") if told else last_words(log)
        shown = reason if len(reason) <= 500 else f"{reason[:500]} ..."
        return "failed", f"exit code {outcome.exit_code}: {shown}; {where}"

    def _record(
        self, point: Point, launch: str, started_at: str, status: str, message: str,
        finished: list[dict[str, Any]] | None = None,
    ) -> LaunchRecord:  # fmt: skip
        return LaunchRecord(
            study=self.session.study.name,
            point=point.id,
            launch=launch,
            order=self.order,
            source=point.source,
            workload=self.session.study.workload,
            workload_version=self.session.code.version,
            environment=self.session.environment,
            parameters=point.parameters,
            status=status,
            message=message,
            started_at=started_at,
            repetitions=finished or [],
        )

    def _provenance(self) -> dict[str, Any]:
        return {
            "session": self.identity,
            "environment": self.session.environment,
            "fingerprint": self.session.fingerprint,
            "started_at": now(),
            "provenance": provenance(),
        }
