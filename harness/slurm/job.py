"""The Slurm job that this process runs in (sbatch(1), "OUTPUT ENVIRONMENT VARIABLES")."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass

from harness.errors import UserError


@dataclass(frozen=True)
class Job:
    """A job, or a task of a job array.

    Attributes:
        number: the job's own number, which each task of an array has.
        array: the number that the array is known by, or None.
        tasks: how many tasks the array's indices reach (0 to ``tasks`` - 1).
        restarts: how often Slurm has started it again (requeue, preemption, a node's failure).
    """

    number: str
    array: str | None
    tasks: int
    restarts: int

    @property
    def owner(self) -> str:
        """Name of the folder of launches that run in this job, below ``.running``."""
        return f"{OWNER}{self.number}"


#: How the folders of running launches begin whose owner is a Slurm job.
OWNER = "slurm-"


def current_job() -> Job | None:
    """The job that we run in, or None outside of one."""
    number = os.environ.get("SLURM_JOB_ID")
    if not number:
        return None
    return Job(
        number=number,
        array=os.environ.get("SLURM_ARRAY_JOB_ID") or None,
        tasks=(told("SLURM_ARRAY_TASK_MAX") or 0) + 1,
        restarts=told("SLURM_RESTART_COUNT") or 0,
    )


def told(variable: str) -> int | None:
    """The number in one of Slurm's variables, the first of a list such as 2(x2); None if empty.

    Raises:
        UserError: if it holds something else.
    """
    text = os.environ.get(variable, "").strip()
    number = re.match(r"[0-9]+", text)
    if text and not number:
        raise UserError(f"{variable}={text}: expected a number, as Slurm sets it")
    return int(number[0]) if number else None
