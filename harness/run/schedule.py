"""What is still to be measured: the state of every point, and when a point is done."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from harness.noise.kinds import Kind
from harness.noise.marks import of_point
from harness.study.points import Point
from harness.study.values import Measure, Scalar
from harness.tables.records import LaunchRecord
from harness.tables.statistics import Ratio, Summary, in_rounds, summarize, summarize_ratios


@dataclass(eq=False)
class PointState:
    """A point and what its launches under the present environment and code gave.

    Attributes:
        point: the point.
        launch_seconds: the median repetition of each launch that went well.
        failures: launches that failed or timed out; those interrupted from outside are none.
        skipped: why it was recorded as skipped; else empty.
        stop: why it was stopped early, if a record says so.
        marked: how many launches have which mark, and the hosts that they ran on.
        rounds: those of ``launch_seconds`` that were measured in a round, by its name; where points
            are compared by a rate, what a unit of work costs (its inverse).
        baseline: the point that this one is compared with, if the study names one.
        dependents: the points that are compared with this one.
        throughput: the metric that points are compared by; empty for their seconds.
        rates: its median in each launch that went well.
    """

    point: Point
    launch_seconds: list[float] = field(default_factory=list)
    failures: list[LaunchRecord] = field(default_factory=list)
    skipped: str = ""
    stop: str | None = None
    marked: Counter[str] = field(default_factory=Counter)
    hosts: set[str] = field(default_factory=set)
    rounds: dict[str, float] = field(default_factory=dict)
    baseline: PointState | None = field(default=None, repr=False)
    dependents: list[PointState] = field(default_factory=list, repr=False)
    last_source: str = ""
    throughput: str = ""
    rates: list[float] = field(default_factory=list)

    def add(self, record: LaunchRecord) -> None:
        """Count one launch."""
        self.last_source = record.source
        if record.seconds:
            self.launch_seconds.append(median(record.seconds))
            self.marked.update(str(record.host.get("marks") or "").split())
            self.hosts.update(_hosts_of(record))
            cost = self.launch_seconds[-1]
            if self.throughput and (rates := record.rates(self.throughput)):
                self.rates.append(median(rates))
                cost = 1 / self.rates[-1]
            if record.round and (not self.throughput or rates):
                self.rounds[record.round] = cost
        elif record.status == "skipped":
            self.skipped = record.message or "no reason was recorded"
        elif not record.interrupted:
            self.failures.append(record)

    @property
    def source(self) -> str:
        """How its latest launch came to be, which another machine cannot tell; else its own."""
        return self.last_source or self.point.source

    @property
    def summary(self) -> Summary | None:
        """Median over launches with its interval, in seconds, or None without launches."""
        return summarize(self.launch_seconds) if self.launch_seconds else None

    @property
    def speedup(self) -> Ratio | None:
        """The baseline's time (or cost) over this point's, from rounds that have both, or None."""
        if self.baseline is None:
            return None
        ratios = in_rounds(self.baseline.rounds, self.rounds)
        return summarize_ratios(ratios) if ratios else None

    @property
    def relative_half_width(self) -> float | None:
        """What ``precision`` is asked of; of the median, where launches are of no rounds."""
        told = self.speedup or self.summary
        return told.relative_half_width if told else None

    @property
    def kinds(self) -> list[Kind]:
        """What its launches look like together (`harness.noise.marks`)."""
        return of_point(self.launch_seconds, self.hosts)

    def stopped_by(self, measure: Measure) -> str | None:
        """Why no further launch is needed: ``launches``, ``precision`` or ``budget``; else None."""
        done = len(self.launch_seconds)
        if done < measure.launches:
            return None
        if measure.precision is None:
            return "launches"
        if compared := [s for s in self.dependents if s.rounds and not s.failures]:
            # Launched with each of them, as long as one wants a launch.
            reasons = {state.stopped_by(measure) for state in compared}
            return self.stop if None in reasons else min(filter(None, reasons), default=self.stop)
        width = self.relative_half_width
        if width is not None and width <= measure.precision:
            return "precision"
        if done >= (measure.max_launches or measure.launches):
            return "launches"
        return self.stop

    def state(self, measure: Measure) -> str:
        """``done``, ``failed``, ``skipped``, ``partial`` or ``missing``."""
        if self.stopped_by(measure):
            return "done"
        if self.failures:
            return "failed"
        if self.launch_seconds:
            return "partial"
        return "skipped" if self.skipped else "missing"


def _hosts_of(record: LaunchRecord) -> set[str]:
    ranks = [rank for repetition in record.repetitions for rank in repetition["ranks"] or []]
    return {str(rank["host"]) for rank in ranks if rank.get("host")}


def states_of(
    points: Iterable[Point],
    records: Iterable[LaunchRecord],
    environment: str,
    baseline: Mapping[str, Scalar] | None = None,
    throughput: str = "",
) -> dict[str, PointState]:
    """The state of each point, by id; launches under another environment or code do not count.

    Args:
        points: the study's points.
        records: launches, also of other points.
        environment: the present one.
        baseline: what points are compared with (`harness.study.values.Measure`).
        throughput: the metric that they are compared by (likewise).
    """
    states = {point.id: PointState(point, throughput=throughput) for point in points}
    _compare(list(states.values()), baseline or {})
    for record in records:
        if record.environment == environment and record.point in states:
            states[record.point].add(record)
    return states


def launches_missing(state: PointState, measure: Measure) -> int:
    """Launches that the point needs before its precision is even asked for."""
    return max(0, measure.launches - len(state.launch_seconds))


def _compare(states: Sequence[PointState], baseline: Mapping[str, Scalar]) -> None:
    """Let each point know what it is compared with: nothing, where several or none would serve."""

    def values(state: PointState) -> dict[str, Scalar | bool]:
        return {**state.point.parameters, "emulated": state.point.emulates}

    references = [
        state for state in states
        if baseline and all(values(state).get(name) == value for name, value in baseline.items())
    ]  # fmt: skip
    names = dict.fromkeys(name for state in references for name in values(state))
    told_apart = [
        name for name in names if len({repr(values(state).get(name)) for state in references}) > 1
    ]

    def key(state: PointState) -> tuple[str, ...]:
        return tuple(repr(values(state).get(name)) for name in ("emulated", *told_apart))

    serving: dict[tuple[str, ...], list[PointState]] = {}
    for state in references:
        serving.setdefault(key(state), []).append(state)
    compared = {state.point.id for state in references}
    for state in states:
        alike = serving.get(key(state), [])
        if state.point.id not in compared and len(alike) == 1:
            state.baseline = alike[0]
            alike[0].dependents.append(state)
