"""How the tasks of a study's submissions stand: by the queue, else by the notes that they left."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.files import read_json, write_whole
from harness.submission.manifest import ADOPTED, Manifest, Task, folder_of, task_of
from harness.submission.notes import Notes, read_notes
from harness.submission.scheduler import JobState, query, title
from harness.tables.records import LaunchRecord

_JOBS = "jobs.json"
_SILENT = "it began and did not tell how it ended"


@dataclass(frozen=True)
class TaskState:
    """A task and how it stands.

    Attributes:
        task: the task.
        point_ids: ids of its points.
        job: its name in the scheduler, such as ``123_4``; empty if nobody knows.
        state: the scheduler's state in lower case; where only notes tell ``completed``, ``ended``,
            ``vanished`` or ``unknown``.
        reason: why it waits, or how it ended.
        alive: whether it waits or runs.
        start: when it began, or is expected to.
        log: where its output goes.
    """

    task: Task
    point_ids: tuple[str, ...]
    job: str
    state: str
    reason: str
    alive: bool
    start: str
    log: Path


@dataclass(frozen=True)
class Submission:
    """A submission, its tasks' states, and whether the scheduler told them."""

    manifest: Manifest
    folder: Path
    tasks: tuple[TaskState, ...]
    queue_answers: bool


def read_submissions(results: Path, manifests: Iterable[Manifest]) -> list[Submission]:
    """The states of all tasks of these submissions."""
    manifests = list(manifests)
    jobs = {m.submission: read_jobs(folder_of(results, m)) for m in manifests}
    queues = {
        scheduler: query(scheduler, [
            name for manifest in manifests if manifest.scheduler == scheduler
            for name in _names_of(manifest, jobs[manifest.submission])
        ])
        for scheduler in {manifest.scheduler for manifest in manifests}
    }  # fmt: skip
    found = []
    for manifest in manifests:
        folder, states = folder_of(results, manifest), queues[manifest.scheduler]
        notes = read_notes(folder)
        tasks = tuple(
            _state_of(manifest, folder, number, index, jobs[manifest.submission], states, notes)
            for number, array in enumerate(manifest.arrays)
            for index in range(len(array.tasks))
        )
        found.append(Submission(manifest, folder, tasks, states is not None))
    return found


def write_jobs(folder: Path, jobs: dict[str, str]) -> None:
    """Note the job numbers of a submission's arrays (``0`` ...) and of ``collect``."""
    write_whole(folder / _JOBS, json.dumps(jobs, indent=1) + "\n")


def read_jobs(folder: Path) -> dict[str, str]:
    """The job numbers of a submission; empty if none is noted."""
    try:
        jobs = read_json(folder / _JOBS)
        return {str(key): str(value) for key, value in jobs.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def in_flight(
    submissions: Iterable[Submission], records: Iterable[LaunchRecord]
) -> dict[str, int | None]:
    """What tasks that wait or run will still deliver: launches by point, None for all it needs."""
    delivered = {(record.submission, record.task, record.point) for record in records
                 if not record.interrupted}  # fmt: skip
    awaited: dict[str, int | None] = {}
    for submission in submissions:
        for state in submission.tasks:
            task = state.task
            for point in state.point_ids if state.alive else ():
                number = awaited.get(point, 0)
                if task.by == "points" or number is None:
                    awaited[point] = None
                elif (task.submission, task.name, point) not in delivered:
                    awaited[point] = number + 1
    return awaited


def _names_of(manifest: Manifest, jobs: dict[str, str]) -> Iterator[str]:
    """What the scheduler calls the tasks of a submission, as far as it was submitted."""
    for number, array in enumerate(manifest.arrays):
        if job := jobs.get(str(number)):
            yield from (f"{job}_{index}" for index in range(len(array.tasks)))


def _state_of(
    manifest: Manifest, folder: Path, number: int, index: int, jobs: dict[str, str],
    states: Mapping[str, JobState] | None, notes: dict[str, Notes],
) -> TaskState:  # fmt: skip
    task = task_of(folder / "manifest.json", manifest, number, index)
    array = jobs.get(str(number), "")
    job = f"{array}_{index}" if array else ""
    note = notes.get(task.name, Notes())
    told = (states or {}).get(job)
    if told:
        state, reason, alive = told.state.lower(), told.reason, told.alive
        if not alive:  # the scheduler's own reason is then why it waited last
            reason = "" if note.ended == "completed" else note.ended
            if state != "completed" and not note.ended:
                reason = _SILENT if note.job else "it never began"
    elif note.ended:
        state, reason, alive = "completed", "", False
        if note.ended != "completed":
            state, reason = "ended", note.ended
    elif states is None:
        state, reason, alive = "unknown", f"no {title(manifest.scheduler)} answers here", True
    elif note.job:
        state, reason, alive = "vanished", _SILENT, False
    else:
        reason = f"it never began, and {title(manifest.scheduler)} has forgotten it"
        state, alive = "unknown", False
    return TaskState(
        task=task,
        point_ids=tuple(manifest.points[point].id for point in task.points),
        job=job or note.job,
        state=state,
        reason=reason,
        alive=alive,
        start=told.start if told else "",
        log=_log(folder, manifest, job),
    )


def _log(folder: Path, manifest: Manifest, job: str) -> Path:
    """Where a task's output goes; the folder of all logs, where its job's number is not known."""
    if folder.name == f"{ADOPTED}{job.split('_')[0]}":
        return Path("jobs/logs") / f"{manifest.study}-{job}.log"  # as the ready scripts have it
    return folder / "logs" / f"{manifest.study}-{job}.log" if job else folder / "logs"
