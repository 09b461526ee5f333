"""What a person sees while a study runs: a bar on a terminal, plain lines in a log.

Both tell the point, the round, the running median and speed-up, and about how long it will take.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import Protocol

import click

from harness.tables.records import LaunchRecord
from harness.tables.statistics import Ratio, Summary

#: Launches after which a guess of the time that is left is one.
_ENOUGH = 3


class Reporter(Protocol):
    """What the runner tells while it works."""

    def begin(self, launches: int) -> None:
        """The session begins; it needs at least this many launches."""

    def round(self, number: int) -> None:
        """A round over the points begins, the first is 1."""

    def launching(self, label: str) -> None:
        """A launch of the point with this label begins."""

    def beat(self, elapsed: float) -> None:
        """The launch runs for this many seconds."""

    def ended(
        self, label: str, record: LaunchRecord, summary: Summary | None, speedup: Ratio | None
    ) -> None:
        """A launch ended; summary and speed-up are of its point so far."""

    def more(self, launches: int) -> None:
        """This many further launches are needed, for the sake of precision."""

    def end(self) -> None:
        """The session is over."""


def reporter() -> Reporter:
    """A bar on a terminal, lines elsewhere."""
    if not sys.stderr.isatty():
        return Unfailing(Lines())
    from harness.run.bar import Bar  # which a log does not wait for

    return Unfailing(Bar())


class Unfailing:
    """Another reporter, until its output fails: a full disk or a closed pipe costs no measurement.

    Args:
        reporter: tells as long as it can.
    """

    def __init__(self, reporter: Reporter) -> None:
        self._reporter: Reporter | None = reporter

    def begin(self, launches: int) -> None:
        """Pass it on."""
        self._tell(lambda reporter: reporter.begin(launches))

    def round(self, number: int) -> None:
        """Pass it on."""
        self._tell(lambda reporter: reporter.round(number))

    def launching(self, label: str) -> None:
        """Pass it on."""
        self._tell(lambda reporter: reporter.launching(label))

    def beat(self, elapsed: float) -> None:
        """Pass it on."""
        self._tell(lambda reporter: reporter.beat(elapsed))

    def ended(
        self, label: str, record: LaunchRecord, summary: Summary | None, speedup: Ratio | None
    ) -> None:
        """Pass it on."""
        self._tell(lambda reporter: reporter.ended(label, record, summary, speedup))

    def more(self, launches: int) -> None:
        """Pass it on."""
        self._tell(lambda reporter: reporter.more(launches))

    def end(self) -> None:
        """Pass it on."""
        self._tell(lambda reporter: reporter.end())

    def _tell(self, call: Callable[[Reporter], None]) -> None:
        if self._reporter is not None:
            try:
                call(self._reporter)
            except (OSError, ValueError):  # ValueError: the stream has been closed
                self._reporter = None


def describe(summary: Summary | None, speedup: Ratio | None = None) -> str:
    """``median 9.81 s [9.62, 10.10], n = 6; speed-up 1.93``; without an interval it says so."""
    if summary is None:
        return "no launch has ended well"
    told = f"median {summary.median:.4g} s"
    if summary.low is None or summary.high is None:
        told += f", n = {summary.n}: too small for an interval"
    else:
        told += f" [{summary.low:.4g}, {summary.high:.4g}], n = {summary.n}"
    return told if speedup is None else f"{told}; speed-up {speedup.value:.3g}"


def span(seconds: float) -> str:
    """``40 s``, ``12 min`` or ``3.5 h``."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


class Lines:
    """One line a launch, for logs.

    Args:
        clock: tells the time, in seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._round = clock, 0

    def begin(self, launches: int) -> None:
        """Tell how many launches there will be."""
        self._total, self._done, self._began = launches, 0, self._clock()
        click.echo(f"{launches} launches to run", err=True)

    def round(self, number: int) -> None:
        """Stand in the lines of its launches."""
        self._round = number

    def launching(self, label: str) -> None:
        """Say nothing: the line comes when the launch has ended."""

    def beat(self, elapsed: float) -> None:
        """Say nothing."""

    def ended(
        self, label: str, record: LaunchRecord, summary: Summary | None, speedup: Ratio | None
    ) -> None:
        """Write the line of a launch."""
        self._done += 1
        told = f"{record.seconds[-1]:.4g} s" if record.status == "ok" else record.message
        click.echo(
            f"[{self._place()}] {label}: {record.status} {told}; {describe(summary, speedup)}",
            err=True,
        )

    def _place(self) -> str:
        """How far it is: launches, the round, and how long it will take at the pace so far."""
        place, left = f"{self._done}/{self._total}", self._total - self._done
        if self._round:
            place += f", round {self._round}"
        if left > 0 and self._done >= _ENOUGH:
            pace = (self._clock() - self._began) / self._done
            place += f", about {span(pace * left)} left"
        return place

    def more(self, launches: int) -> None:
        """Count further launches."""
        self._total += launches

    def end(self) -> None:
        """Nothing to tidy up."""
