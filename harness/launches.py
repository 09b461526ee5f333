"""The launches of a run: rounds over the points that want one, each leaving a file."""

from __future__ import annotations

import json
import random
import shutil
import socket
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from harness import records
from harness.environment import provenance
from harness.interruption import Terminated, TimeLimit, undisturbed
from harness.loading import search_path
from harness.machine import machine_cores, node_count
from harness.points import Point, varying_parameters
from harness.preflight import check_points
from harness.process import Outcome, last_words
from harness.process import run as run_process
from harness.progress import Reporter
from harness.records import LaunchRecord
from harness.recovery import RUNNING, Verdict, begin, finished_repetitions, log_of
from harness.schedule import PointState, launches_missing, states_of
from harness.session import Session
from harness.slurm.job import current_job
from harness.slurm.manifest import Task
from harness.study import Measure
from harness.timing import now

#: How much later than its ranks a task may hear of Slurm's signal.
_SIGNAL_SECONDS = 2.0


@dataclass(frozen=True)
class Ran:
    """What a run did: how many launches ended, and how the points stand under its measure."""

    launches: int
    states: list[PointState]
    measure: Measure


class Launches:
    """One session's launches: rounds over the points that want one, each in random order."""

    def __init__(
        self, session: Session, reporter: Reporter, *, index: int | None = None,
        retry: bool = False, task: Task | None = None,
    ) -> None:  # fmt: skip
        self.session, self.reporter, self.retry, self.task = session, reporter, retry, task
        self.job = current_job()
        self.measure = session.study.measure
        self.identity = records.new_identity()
        self.started = time.monotonic()
        self.order = 0
        self.varying = varying_parameters(session.points)
        if task:
            self.measure = task.measure(self.measure)
            self.states = self._states_of(task)
            chosen = [session.points[number] for number in task.points]
        else:
            self.states = session.states()
            chosen = session.points if index is None else [session.points[index]]
        self.chosen = [self.states[point.id] for point in chosen]
        self.failed_now: set[str] = set()
        self.running = (
            session.folder / RUNNING / (self.job.owner if self.job else socket.gethostname())
        )

    def _states_of(self, task: Task) -> dict[str, PointState]:
        """What counts for a task: its own launches, also those before a requeue.

        Where a task measures its points to the end, launches of before count too, but not their
        failures, if to launch them again is what it was made for.
        """
        points = [self.session.points[number] for number in task.points]
        found = records.read_records(self.session.folder, [point.id for point in points])

        def own(record: LaunchRecord) -> bool:
            return (record.submission, record.task) == (task.submission, task.name)

        counted = [
            record for record in found
            if own(record) or (task.by == "points" and (record.status == "ok" or not task.again))
        ]  # fmt: skip
        return states_of(points, counted, self.session.environment)

    def check(self) -> None:
        """Ask the workload whether it can run what is missing.

        Raises:
            UserError: if it cannot; nothing is launched, recorded or written then.
        """
        wanting = [state.point for state in self.chosen if self._wants_launch(state)]
        check_points(self.session.study, wanting)

    def everything(self) -> None:
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

    def summary(self) -> Ran:
        """What was run, and how its points stand."""
        states = list(self.states.values() if self.task else self.session.states().values())
        return Ran(self.order, states, self.measure)

    def _rounds(self) -> None:
        while wanting := [state for state in self.chosen if self._wants_launch(state)]:
            random.shuffle(wanting)
            extra = [s for s in wanting if not launches_missing(s, self.measure)]
            self.reporter.more(len(extra))
            for state in wanting:
                if self._wants_launch(state):
                    self._launch(state)
            if self.task is None:
                self.session.collect()

    def _may_launch(self, state: PointState) -> bool:
        point = state.point
        if lacking(point, self.measure.oversubscribe):
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
            reason = lacking(state.point, self.measure.oversubscribe)
            if not reason or state.skipped or state.launch_seconds:
                continue
            record = replace(self._record(state.point), status="skipped", message=reason)
            records.write_record(self.session.folder, record)
            state.add(record)

    def _launch(self, state: PointState) -> None:
        point, record = state.point, self._record(state.point)
        label = point.label(self.varying)
        self.reporter.launching(label)
        running = self.running / f"{point.id}-{record.launch}"
        running.mkdir(parents=True)
        begin(running, record)
        log = log_of(self.session.results, self.session.study.name, running.name)
        log.parent.mkdir(parents=True, exist_ok=True)
        outcome: Outcome | None = None
        try:
            outcome = self._start(point, running, log)
            if self.task and not self._went_well(outcome, running):
                # Slurm signals the ranks and us at once, and their end may be seen first.
                time.sleep(_SIGNAL_SECONDS)
            with undisturbed():
                record = self._keep(record, self._verdict(outcome, running, log), running)
        except BaseException as error:
            with undisturbed():
                if outcome and self._went_well(outcome, running):  # done when the signal came
                    self._keep(record, Verdict("ok"), running)
                elif self.task and isinstance(error, Terminated):
                    where = f"log: {log.relative_to(self.session.results)}"
                    interrupted = not isinstance(error, TimeLimit)
                    verdict = Verdict(error.status, f"{error.reason}; {where}", interrupted)
                    self._keep(record, verdict, running)
                else:
                    log.unlink(missing_ok=True)  # interrupted: no row will name it
                shutil.rmtree(running, ignore_errors=True)
            raise
        self.order += 1
        if record.status == "ok":
            log.unlink(missing_ok=True)
        else:
            self.failed_now.add(point.id)
        state.add(record)
        self.reporter.ended(label, record, state.summary)

    def _keep(self, record: LaunchRecord, verdict: Verdict, running: Path) -> LaunchRecord:
        """Write the file of a launch that has ended, with the repetitions that it finished."""
        record = replace(
            record, status=verdict.status, message=verdict.message,
            interrupted=verdict.interrupted, repetitions=finished_repetitions(running),
        )  # fmt: skip
        records.write_record(self.session.folder, record)
        shutil.rmtree(running, ignore_errors=True)
        return record

    def _start(self, point: Point, running: Path, log: Path) -> Outcome:
        study = self.session.study
        spec = {
            "workload": study.workload,
            "parameters": point.parameters,
            "warmups": self.measure.warmups,
            "repetitions": self.measure.repetitions,
            "oversubscribed": point.source == "oversubscribed",
            "search_path": search_path(study.folder),
            "output": str(running / "repetitions.json"),
        }
        spec_file = running / "spec.json"
        spec_file.write_text(json.dumps(spec), encoding="utf-8")
        program = [sys.executable, "-m", "harness.worker", str(spec_file)]
        launcher = self.session.launcher
        return run_process(
            launcher.command(point.processes, point.threads_per_process, program, point.nodes),
            launcher.variables(point.processes, point.threads_per_process),
            mark=running.name,
            log=log,
            limit_seconds=self.measure.time_limit_seconds,
            heartbeat=self.reporter.beat,
            grace_seconds=launcher.grace_seconds,
        )

    def _went_well(self, outcome: Outcome, running: Path) -> bool:
        """Whether every repetition was finished; srun ends with 0 even if a node has failed."""
        expected = self.measure.warmups + self.measure.repetitions
        return outcome.exit_code == 0 and len(finished_repetitions(running)) == expected

    def _verdict(self, outcome: Outcome, running: Path, log: Path) -> Verdict:
        """Status and message of a launch; a message names the log that tells the rest."""
        where = f"log: {log.relative_to(self.session.results)}"
        if outcome.timed_out:
            limit = self.measure.time_limit_seconds
            return Verdict("timeout", f"killed at the time limit of {limit:g} s; {where}")
        if self._went_well(outcome, running):
            return Verdict("ok")
        told = sorted(running.glob("*.error"))
        reason = told[0].read_text(encoding="utf-8") if told else last_words(log)
        shown = reason if len(reason) <= 500 else f"{reason[:500]} ..."
        return Verdict("failed", f"exit code {outcome.exit_code}: {shown}; {where}")

    def _record(self, point: Point) -> LaunchRecord:
        """A new launch of a point, which failed unless it is told otherwise."""
        return LaunchRecord(
            study=self.session.study.name,
            point=point.id,
            launch=records.new_identity(),
            order=self.order,
            source=point.source,
            workload=self.session.study.workload,
            workload_version=self.session.code.version,
            environment=self.session.environment,
            parameters=point.parameters,
            status="failed",
            message="",
            started_at=now(),
            submission=self.task.submission if self.task else "",
            task=self.task.name if self.task else "",
        )

    def _provenance(self) -> dict[str, Any]:
        return {
            "session": self.identity,
            "environment": self.session.environment,
            "fingerprint": self.session.fingerprint,
            "started_at": now(),
            "provenance": provenance(),
        }


def lacking(point: Point, oversubscribe: bool) -> str:
    """What this machine lacks for a point, in a sentence; empty if it can run it."""
    if point.nodes > node_count():
        return f"needs {point.nodes} nodes and this run has {node_count()}; submit asks for them"
    if point.cores > machine_cores() and not oversubscribe:
        return (
            f"needs {point.cores} cores and this machine has {machine_cores()}; "
            "--oversubscribe runs it all the same"
        )
    return ""
