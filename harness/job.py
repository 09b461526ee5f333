"""The job of a batch scheduler that this process runs in, whichever scheduler that is.

A scheduler is a package of the harness, named in `SCHEDULERS` and imported when it is asked. Its
module ``job`` has ``current_job()`` and ``allocation()`` as here, and in ``SUBMITS`` the program
that takes jobs; its module ``queue`` tells of
other jobs (`harness.submission.scheduler`). Nothing else in the harness names one, besides the
command line, which offers its commands, and the launcher that belongs to it (srun).
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

#: Packages ``harness.<name>``, and what people call the scheduler.
SCHEDULERS = {"slurm": "Slurm"}


class Job(NamedTuple):
    """A job, or a task of a job array.

    Attributes:
        scheduler: a key of `SCHEDULERS`.
        number: the job's own number, which each task of an array has.
        array: the number that the array is known by, or None.
        tasks: how many tasks the array's indices reach (0 to ``tasks`` - 1).
        restarts: how often it was started again (requeue, preemption, a node's failure).
        facts: what else the scheduler tells of it, by the names of its variables.
    """

    scheduler: str
    number: str
    array: str | None
    tasks: int
    restarts: int
    facts: Mapping[str, str] = MappingProxyType({})

    @property
    def owner(self) -> str:
        """Name of the folder of launches that run in this job, below ``.running``."""
        return f"{owner_prefix(self.scheduler)}{self.number}"


class Allocation(NamedTuple):
    """What a scheduler lets us use.

    Attributes:
        nodes: how many nodes.
        cpus: hardware threads on this node; None if it does not tell.
        node: this node's name as the scheduler knows it; empty if it does not tell.
    """

    nodes: int = 1
    cpus: int | None = None
    node: str = ""


def owner_prefix(scheduler: str) -> str:
    """How the folders of running launches begin whose owner is a job of this scheduler."""
    return f"{scheduler}-"


def current_job() -> Job | None:
    """The job that we run in, or None outside of one.

    Raises:
        UserError: if a scheduler's variable holds what it never sets.
    """
    for name in SCHEDULERS:
        job: Job | None = part(name, "job").current_job()
        if job:
            return job
    return None


def allocation() -> Allocation:
    """What the scheduler lets us use; one node and no limit outside of an allocation.

    Raises:
        UserError: if a scheduler's variable holds what it never sets.
    """
    for name in SCHEDULERS:
        found: Allocation | None = part(name, "job").allocation()
        if found:
            return found
    return Allocation()


def part(scheduler: str, module: str) -> Any:
    """A module of a scheduler's package."""
    return importlib.import_module(f"harness.{scheduler}.{module}")
