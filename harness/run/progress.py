"""What a person sees while a study runs: a bar with the running median, or plain lines in a log."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Protocol

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from harness.tables.records import LaunchRecord
from harness.tables.statistics import Summary


class Reporter(Protocol):
    """What the runner tells while it works."""

    def begin(self, launches: int) -> None:
        """The session begins; it needs at least this many launches."""

    def launching(self, label: str) -> None:
        """A launch of the point with this label begins."""

    def beat(self, elapsed: float) -> None:
        """The launch runs for this many seconds."""

    def ended(self, label: str, record: LaunchRecord, summary: Summary | None) -> None:
        """A launch ended; the summary is of its point so far."""

    def more(self, launches: int) -> None:
        """This many further launches are needed, for the sake of precision."""

    def end(self) -> None:
        """The session is over."""


def reporter() -> Reporter:
    """A bar on a terminal, lines elsewhere."""
    return Unfailing(Bar() if sys.stderr.isatty() else Lines())


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

    def launching(self, label: str) -> None:
        """Pass it on."""
        self._tell(lambda reporter: reporter.launching(label))

    def beat(self, elapsed: float) -> None:
        """Pass it on."""
        self._tell(lambda reporter: reporter.beat(elapsed))

    def ended(self, label: str, record: LaunchRecord, summary: Summary | None) -> None:
        """Pass it on."""
        self._tell(lambda reporter: reporter.ended(label, record, summary))

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


def describe(summary: Summary | None) -> str:
    """``median 9.81 s [9.62, 10.10], n = 6``; without an interval it says so."""
    if summary is None:
        return "no launch has ended well"
    if summary.low is None or summary.high is None:
        return f"median {summary.median:.4g} s, n = {summary.n}: too small for an interval"
    return f"median {summary.median:.4g} s [{summary.low:.4g}, {summary.high:.4g}], n = {summary.n}"


class Lines:
    """One line a launch, for logs."""

    def begin(self, launches: int) -> None:
        """Tell how many launches there will be."""
        self._total, self._done = launches, 0
        click.echo(f"{launches} launches to run", err=True)

    def launching(self, label: str) -> None:
        """Say nothing: the line comes when the launch has ended."""

    def beat(self, elapsed: float) -> None:
        """Say nothing."""

    def ended(self, label: str, record: LaunchRecord, summary: Summary | None) -> None:
        """Write the line of a launch."""
        self._done += 1
        told = f"{record.seconds[-1]:.4g} s" if record.status == "ok" else record.message
        click.echo(
            f"[{self._done}/{self._total}] {label}: {record.status} {told}; {describe(summary)}",
            err=True,
        )

    def more(self, launches: int) -> None:
        """Count further launches."""
        self._total += launches

    def end(self) -> None:
        """Nothing to tidy up."""


class Bar:
    """A progress bar whose text is the point that runs, and the last point's running median."""

    def begin(self, launches: int) -> None:
        """Draw the bar."""
        self._progress = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), TextColumn("{task.fields[told]}", markup=False),
            # Labels and messages are a study's own: their brackets are no markup.
            console=Console(stderr=True, markup=False, emoji=False),
        )  # fmt: skip
        self._progress.start()
        self._task = self._progress.add_task("measuring", total=launches, told="")

    def launching(self, label: str) -> None:
        """Show the point that runs."""
        self._progress.update(self._task, description=label)

    def beat(self, elapsed: float) -> None:
        """The bar's clock moves by itself."""

    def ended(self, label: str, record: LaunchRecord, summary: Summary | None) -> None:
        """Advance, and show the running median."""
        self._progress.update(self._task, advance=1, told=describe(summary))
        if record.status != "ok":
            self._progress.console.print(f"{label}: {record.status}: {record.message}")

    def more(self, launches: int) -> None:
        """Make the bar longer."""
        total = self._progress.tasks[0].total or 0
        self._progress.update(self._task, total=total + launches)

    def end(self) -> None:
        """Leave the bar as it is."""
        self._progress.stop()
