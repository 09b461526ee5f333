"""What is still to be measured: the state of every point, and when a point is done."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from statistics import median

from harness.study.points import Point
from harness.study.values import Measure
from harness.tables.records import LaunchRecord
from harness.tables.statistics import Summary, summarize


@dataclass
class PointState:
    """A point and what its launches under the present environment and code gave.

    Attributes:
        point: the point.
        launch_seconds: the median repetition of each launch that went well.
        failures: launches that failed or timed out; those interrupted from outside are none.
        skipped: whether it was recorded as skipped.
        stop: why it was stopped early, if a record says so.
    """

    point: Point
    launch_seconds: list[float] = field(default_factory=list)
    failures: list[LaunchRecord] = field(default_factory=list)
    skipped: bool = False
    stop: str | None = None
    last_source: str = ""

    def add(self, record: LaunchRecord) -> None:
        """Count one launch."""
        self.last_source = record.source
        if record.seconds:
            self.launch_seconds.append(median(record.seconds))
        elif record.status == "skipped":
            self.skipped = True
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

    def stopped_by(self, measure: Measure) -> str | None:
        """Why no further launch is needed: ``launches``, ``precision`` or ``budget``; else None."""
        done = len(self.launch_seconds)
        if done < measure.launches:
            return None
        if measure.precision is None:
            return "launches"
        summary = self.summary
        width = summary.relative_half_width if summary else None
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


def states_of(
    points: Iterable[Point], records: Iterable[LaunchRecord], environment: str
) -> dict[str, PointState]:
    """The state of each point, by id; launches under another environment or code do not count."""
    states = {point.id: PointState(point) for point in points}
    for record in records:
        if record.environment == environment and record.point in states:
            states[record.point].add(record)
    return states


def launches_missing(state: PointState, measure: Measure) -> int:
    """Launches that the point needs before its precision is even asked for."""
    return max(0, measure.launches - len(state.launch_seconds))
