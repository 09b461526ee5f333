"""The bar that a person sees on a terminal while a study runs (`harness.run.progress.Reporter`)."""

from __future__ import annotations

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from harness.run.progress import describe
from harness.tables.records import LaunchRecord
from harness.tables.statistics import Ratio, Summary


class Bar:
    """A progress bar whose text is round and point that run, and the last point's median."""

    def __init__(self) -> None:
        self._round = 0

    def begin(self, launches: int) -> None:
        """Draw the bar."""
        self._progress = Progress(
            TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(),
            TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
            TextColumn("{task.fields[told]}", markup=False),
            # Labels and messages are a study's own: their brackets are no markup.
            console=Console(stderr=True, markup=False, emoji=False),
        )  # fmt: skip
        self._progress.start()
        self._task = self._progress.add_task("measuring", total=launches, told="")

    def round(self, number: int) -> None:
        """Stand before the point that runs."""
        self._round = number

    def launching(self, label: str) -> None:
        """Show the point that runs."""
        head = f"round {self._round}: " if self._round else ""
        self._progress.update(self._task, description=f"{head}{label}")

    def beat(self, elapsed: float) -> None:
        """The bar's clock moves by itself."""

    def ended(
        self, label: str, record: LaunchRecord, summary: Summary | None, speedup: Ratio | None
    ) -> None:
        """Advance, and show the running median."""
        self._progress.update(self._task, advance=1, told=describe(summary, speedup))
        if record.status != "ok":
            self._progress.console.print(f"{label}: {record.status}: {record.message}")

    def more(self, launches: int) -> None:
        """Make the bar longer."""
        total = self._progress.tasks[0].total or 0
        self._progress.update(self._task, total=total + launches)

    def end(self) -> None:
        """Leave the bar as it is."""
        self._progress.stop()
