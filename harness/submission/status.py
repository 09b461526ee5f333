"""What `status` tells of submissions: what waits and runs, what ended badly, and its logs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import click

from harness.submission.manifest import read_manifests
from harness.submission.scheduler import title
from harness.submission.submissions import Submission, TaskState, in_flight, read_submissions
from harness.tables import records


@dataclass(frozen=True)
class Queue:
    """The submissions of a study.

    Attributes:
        submissions: the last one, and those before it of which tasks still wait or run.
        by_point: for each point's id, what waits and runs for it.
        awaited: launches that tasks will deliver; None if some measure to a precision.
    """

    submissions: Sequence[Submission]
    by_point: dict[str, str]
    awaited: int | None


def queue_of(results: Path, study: str, launches: Path) -> Queue | None:
    """How the submissions of a study stand, given its launch files; None if it has none."""
    manifests = read_manifests(results, study)
    if not manifests:
        return None
    found = read_submissions(results, manifests)
    shown = [s for s in found[:-1] if any(task.alive for task in s.tasks)] + found[-1:]
    by_point: dict[str, Counter[str]] = {}
    for submission in shown:
        for task in submission.tasks:
            for point in task.point_ids if task.alive else ():
                by_point.setdefault(point, Counter())[task.state] += 1
    awaited = in_flight(shown, records.read_records(launches)).values()
    numbers = [number for number in awaited if number is not None]
    return Queue(
        shown,
        {point: _told(counts) for point, counts in by_point.items()},
        sum(numbers) if len(numbers) == len(awaited) else None,
    )


def print_submissions(queue: Queue) -> None:
    """The submissions, what is awaited of them, and the tasks that ended otherwise than well."""
    for submission in queue.submissions:
        tasks, manifest = submission.tasks, submission.manifest
        counts = Counter(task.state for task in tasks)
        click.echo(
            f"submission {manifest.submission}: by {manifest.by}, {len(tasks)} tasks: "
            f"{_told(counts)}"
        )
        if not submission.queue_answers:
            scheduler = title(manifest.scheduler)
            click.echo(f"no {scheduler} answers here; states are from the tasks' own notes")
        if waiting := [task for task in tasks if task.alive and task.state == "pending"]:
            click.echo(f"  waiting: {len(waiting)} tasks ({_why(waiting)})")
        for alike in _ended_badly(tasks):
            click.echo(f"  {_end(alike[0])}")
            if alike[1:]:
                names = ", ".join(task.task.name for task in alike[1:])
                click.echo(f"    and {len(alike) - 1} more: {names}")
    alive = sum(task.alive for submission in queue.submissions for task in submission.tasks)
    if alive:
        number = "" if queue.awaited is None else f"{queue.awaited} launches of "
        click.echo(f"awaited: {number}{alive} tasks")


def _ended_badly(tasks: Sequence[TaskState]) -> list[list[TaskState]]:
    """Tasks that need a word, those that ended alike together."""
    groups: dict[tuple[str, str], list[TaskState]] = {}
    for task in tasks:
        # A task that ran all of its points and fails for one of them: the point's row tells why.
        well = task.state == "completed" or (task.state == "failed" and not task.reason)
        if not task.alive and not well:
            groups.setdefault((task.state, task.reason), []).append(task)
    return list(groups.values())


def _end(task: TaskState) -> str:
    """How a task ended, and where its log is."""
    job = f" (job {task.job})" if task.job else ""
    reason = f": {task.reason}" if task.reason else ""
    return f"{task.state}: task {task.task.name}{job}{reason}; log: {task.log}"


def _why(waiting: Sequence[TaskState]) -> str:
    reasons = ", ".join(sorted({task.reason or "no reason told" for task in waiting}))
    starts = sorted(task.start for task in waiting if task.start)
    return f"{reasons}; the first is expected to start at {starts[0]}" if starts else reasons


def _told(counts: Counter[str]) -> str:
    return ", ".join(f"{number} {name}" for name, number in sorted(counts.items()))
