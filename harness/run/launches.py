"""The launches of a run: rounds over the points that want one, each in random order."""

from __future__ import annotations

import itertools
import random
import socket
import time
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from harness.errors import UserError
from harness.job import current_job
from harness.launch.preflight import check_points
from harness.launch.recovery import RUNNING
from harness.launch.segments import lacking_room
from harness.launch.timing import now
from harness.machine import machine_cores, node_count
from harness.run.environment import provenance
from harness.run.launch import Company, Launch
from harness.run.progress import Reporter
from harness.run.schedule import PointState, launches_missing, states_of
from harness.run.session import Session
from harness.study.points import Point, varying_parameters
from harness.study.values import Measure
from harness.submission.manifest import Task
from harness.tables import records
from harness.tables.records import LaunchRecord

#: A collection between rounds comes no sooner than so many times what the last one took: each reads
#: every launch file of the study, and a run of many short launches would mostly do that.
_COLLECTIONS_APART = 100


@dataclass(frozen=True)
class Ran:
    """What a run did.

    Attributes:
        launches: how many ended.
        states: how the points stand now.
        measure: under which they stand so.
        asked: the points that were to be measured, by id.
    """

    launches: int
    states: list[PointState]
    measure: Measure
    asked: frozenset[str]

    @property
    def measured_nothing(self) -> bool:
        """Whether each point that was to be measured is one that this machine cannot hold."""
        asked = [state for state in self.states if state.point.id in self.asked]
        return all(state.state(self.measure) == "skipped" for state in asked)


class Launches:
    """One session's launches: which points want one, and in which order they get it."""

    def __init__(
        self, session: Session, reporter: Reporter, *, index: int | None = None,
        retry: bool = False, task: Task | None = None,
    ) -> None:  # fmt: skip
        self.session, self.reporter, self.retry, self.task = session, reporter, retry, task
        self.job = current_job()
        self.measure = session.study.measure
        self.identity = records.new_identity()
        self.started = time.monotonic()
        self.next_collection = 0.0
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
        owner = self.job.owner if self.job else socket.gethostname()
        self.running = session.folder / RUNNING / owner

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
        measure = self.measure
        return states_of(
            points, counted, self.session.environment, measure.baseline, measure.throughput
        )

    def check(self) -> None:
        """Ask the workload whether it can run what is missing, and whether MPI has room for it.

        Meanwhile what explains the numbers is found out.

        Raises:
            UserError: if not; nothing is launched, recorded or written then.
        """
        wanting = [state.point for state in self.chosen if self._wants_launch(state)]
        check_points(
            self.session.study, wanting, self.session.results, meanwhile=lambda: self._explained
        )
        launcher = self.session.launcher
        if launcher.flavour == "mpich" and node_count() == 1:  # elsewhere nobody can look
            most = max((point.processes for point in wanting), default=0)
            if reason := lacking_room(most):
                raise UserError(reason)

    def everything(self) -> None:
        """Skip what this machine cannot hold, launch what is missing, then what precision asks."""
        wanting = [state for state in self.chosen if self._wants_launch(state)]
        self._skip_what_does_not_fit()
        missing = sum(launches_missing(state, self.measure) for state in wanting)
        if wanting:
            self.note_session()
            self.reporter.begin(missing)
            try:
                self._rounds()
            finally:
                self.reporter.end()

    def note_session(self) -> None:
        """Note under what is measured; before the first launch."""
        records.write_session(self.session.folder, self._provenance())

    def summary(self) -> Ran:
        """What was run, and how its points stand."""
        states = list(self.states.values() if self.task else self.session.states().values())
        asked = frozenset(state.point.id for state in self.chosen)
        return Ran(self.order, states, self.measure, asked)

    def _rounds(self) -> None:
        for number in itertools.count():
            wanting = [state for state in self.chosen if self._wants_launch(state)]
            if not wanting:
                return
            self.reporter.round(number + 1)
            # What they are compared with is measured beside them: pairs share the host's mood.
            asked = {state.point.id for state in wanting}
            beside = {state.baseline.point.id for state in wanting if state.baseline} - asked
            companions = [
                state for state in self.chosen
                if state.point.id in beside and self._may_launch(state)
            ]  # fmt: skip
            order = [*wanting, *companions]
            random.shuffle(order)
            extra = [s for s in order if not launches_missing(s, self.measure)]
            self.reporter.more(len(extra))
            for state in order:
                if state.point.id in beside or self._wants_launch(state):
                    self.launch(state, self._round(number))
            if self.task is None and time.monotonic() >= self.next_collection:
                self.collect()

    def collect(self) -> None:
        """Bring the tables up to date, and note when that is worth doing again."""
        began = time.monotonic()
        self.session.collect()
        ended = time.monotonic()
        self.next_collection = ended + _COLLECTIONS_APART * (ended - began)

    def _round(self, number: int) -> str:
        """The name of a round; a task that launches every point once is one, also after a requeue.

        A task that measures its points to the end has rounds of its own.
        """
        if self.task and self.task.by == "replicates":
            return f"{self.task.submission}.{self.task.name}"
        return f"{self.identity}.{number}"

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

    def launch(self, state: PointState, name: str) -> None:
        """Launch a point once, as part of the round of this name."""
        self.count(state, self.begin(state, name).run())

    def begin(self, state: PointState, name: str, company: Company | None = None) -> Launch:
        """A launch of a point that is about to begin; `count` what becomes of it."""
        point = state.point
        self.reporter.launching(point.label(self.varying))
        return Launch(
            self.session, self.measure, point, replace(self._record(point), round=name),
            self.running,
            submitted=self.task is not None, heartbeat=self.reporter.beat, company=company,
        )  # fmt: skip

    def count(self, state: PointState, record: LaunchRecord) -> None:
        """Count a launch that has ended."""
        self.order += 1
        if record.status != "ok":
            self.failed_now.add(state.point.id)
        state.add(record)
        label = state.point.label(self.varying)
        self.reporter.ended(label, record, state.summary, state.speedup)

    def _record(self, point: Point) -> LaunchRecord:
        """A new launch of a point, which failed unless it is told otherwise."""
        workload, version = self.session.workload_of(point)
        return LaunchRecord(
            study=self.session.study.name,
            point=point.id,
            launch=records.new_identity(),
            order=self.order,
            source=point.source,
            workload=workload,
            workload_version=version,
            environment=self.session.environment,
            parameters=point.parameters,
            status="failed",
            message="",
            started_at=now(),
            submission=self.task.submission if self.task else "",
            task=self.task.name if self.task else "",
        )

    @cached_property
    def _explained(self) -> dict[str, Any]:
        return provenance()

    def _provenance(self) -> dict[str, Any]:
        return {
            "session": self.identity,
            "environment": self.session.environment,
            "fingerprint": self.session.fingerprint,
            "started_at": now(),
            "provenance": self._explained,
        }


def lacking(point: Point, oversubscribe: bool) -> str:
    """What this machine lacks for a point, in a sentence; empty if it can run it."""
    if point.nodes > node_count():
        return f"needs {point.nodes} nodes and this run has {node_count()}; submit asks for them"
    if point.cores > machine_cores() and not (oversubscribe or point.emulates):
        return (
            f"needs {point.cores} cores and this machine has {machine_cores()}; "
            "--oversubscribe runs it all the same"
        )
    return ""
