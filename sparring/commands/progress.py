"""What a person sees while training runs: a bar on a terminal, and nothing in a log."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from sparring.strategies.telemetry import BatchRecord

#: Weight of the newest loss in the running one.
_NEWEST = 0.1


@contextmanager
def training(updates: int, shown: bool) -> Iterator[Callable[[BatchRecord], None] | None]:
    """A bar of updates done, the running loss and the time that is left.

    Args:
        updates: the number of the run's last update.
        shown: whether this process is to show one, if its stderr is a terminal.

    Yields:
        what to call after every update, or None where nothing is shown.
    """
    if not (shown and sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    with Progress(
        TextColumn("training"), BarColumn(), MofNCompleteColumn(), TextColumn("updates"),
        TimeElapsedColumn(), TextColumn("left"), TimeRemainingColumn(),
        TextColumn("{task.fields[told]}"), console=Console(stderr=True),
    ) as bar:  # fmt: skip
        task, running = bar.add_task("training", total=updates, told=""), 0.0

        def progress(record: BatchRecord) -> None:
            nonlocal running
            first = not bar.tasks[0].fields["told"]
            running = record.loss if first else running + _NEWEST * (record.loss - running)
            bar.update(task, completed=record.update + 1, told=f"loss {running:.4f}")

        yield progress
