"""What the harness asks of a scheduler about jobs: the seam behind which Slurm stands.

The module ``queue`` of a scheduler's package (`harness.job`) has ``query(jobs)``, which returns
what `query` here does.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, Protocol

from harness.job import SCHEDULERS, part

#: The limits of a job that say something about the point that it ran.
Limit = Literal["", "time", "memory"]


class JobState(Protocol):
    """A job or array task as its scheduler sees it."""

    @property
    def job(self) -> str:
        """Its name, such as ``123``, or ``123_4`` for task 4 of an array."""

    @property
    def state(self) -> str:
        """The scheduler's word for its state."""

    @property
    def reason(self) -> str:
        """Why it waits, or why it ended."""

    @property
    def nodes(self) -> str:
        """Where it runs or ran."""

    @property
    def start(self) -> str:
        """When it started or is expected to; empty if nobody knows."""

    @property
    def alive(self) -> bool:
        """Whether it may still write something."""

    @property
    def limit(self) -> Limit:
        """Which limit ended it, if one did."""


def query(scheduler: str, jobs: Iterable[str]) -> Mapping[str, JobState] | None:
    """The states of jobs, by number and by array task; None if no such scheduler answers here.

    Jobs that it has forgotten are left out.
    """
    found: Mapping[str, JobState] | None = part(scheduler, "queue").query(jobs)
    return found


def title(scheduler: str) -> str:
    """What people call it."""
    return SCHEDULERS.get(scheduler, scheduler)
