"""Notes that a task leaves about itself: they tell how it stands when its job is forgotten."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from harness.files import read_json, write_whole
from harness.job import Job
from harness.launch.interruption import Terminated
from harness.launch.timing import now
from harness.machine import node_name
from harness.submission.manifest import Task


@dataclass(frozen=True)
class Notes:
    """What the notes of a task tell.

    Attributes:
        job: number of the job that ran it last; empty if it never began.
        ended: how it ended, or empty if it did not tell.
    """

    job: str = ""
    ended: str = ""


@contextlib.contextmanager
def noting(submission: Path, task: Task, job: Job | None) -> Iterator[None]:
    """Note the beginning of a task and its end, each in a file that nobody else writes."""
    name = f"{task.name}.{job.number if job else 'local'}-{job.restarts if job else 0}"
    facts = {"task": task.name, "job": job.number if job else "", "host": node_name()}
    write_whole(submission / "tasks" / f"{name}.begin.json", _text({**facts, "at": now()}))
    how = "broken off"
    try:
        yield
        how = "completed"
    except Terminated as error:
        how = error.reason
        raise
    except Exception as error:
        how = f"{type(error).__name__}: {error}"
        raise
    finally:
        told = {**facts, "at": now(), "ended": how}
        write_whole(submission / "tasks" / f"{name}.end.json", _text(told))


def read_notes(submission: Path) -> dict[str, Notes]:
    """The latest notes of each task, by its name; those that cannot be read are left out."""
    found: dict[str, tuple[str, Notes]] = {}
    for path in sorted((submission / "tasks").glob("*.json")):
        try:
            told = read_json(path)
            task, at = str(told["task"]), str(told["at"])
            notes = Notes(str(told["job"]), str(told.get("ended", "")))
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            continue
        if task not in found or found[task][0] <= at:
            found[task] = at, notes
    return {task: notes for task, (_, notes) in found.items()}


def _text(content: dict[str, str]) -> str:
    return json.dumps(content, indent=1) + "\n"
