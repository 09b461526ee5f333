"""The Slurm job that this process runs in (sbatch(1), "OUTPUT ENVIRONMENT VARIABLES")."""

from __future__ import annotations

import os
import re

from harness.errors import UserError
from harness.job import Allocation, Job

#: The program that takes jobs.
SUBMITS = "sbatch"

#: What is kept of a job with the rows that it measured.
_FACTS = ("SLURM_CLUSTER_NAME", "SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID",
          "SLURM_JOB_NAME", "SLURM_JOB_PARTITION", "SLURM_JOB_ACCOUNT", "SLURM_JOB_QOS",
          "SLURM_JOB_NODELIST", "SLURM_JOB_NUM_NODES", "SLURM_CPUS_ON_NODE", "SLURM_NTASKS",
          "SLURM_CPUS_PER_TASK", "SLURM_RESTART_COUNT")  # fmt: skip


def current_job() -> Job | None:
    """The job that we run in, or None outside of one."""
    number = os.environ.get("SLURM_JOB_ID")
    if not number:
        return None
    return Job(
        scheduler="slurm",
        number=number,
        array=os.environ.get("SLURM_ARRAY_JOB_ID") or None,
        tasks=(_told("SLURM_ARRAY_TASK_MAX") or 0) + 1,
        restarts=_told("SLURM_RESTART_COUNT") or 0,
        facts={name: os.environ[name] for name in _FACTS if name in os.environ},
    )


def allocation() -> Allocation | None:
    """What Slurm lets us use, or None where it tells nothing."""
    nodes, cpus = _told("SLURM_JOB_NUM_NODES"), _told("SLURM_CPUS_ON_NODE")
    node = os.environ.get("SLURMD_NODENAME", "")
    if nodes is None and cpus is None and not node:
        return None
    return Allocation(nodes or 1, cpus, node)


def _told(variable: str) -> int | None:
    """The number in one of Slurm's variables, the first of a list such as 2(x2); None if empty.

    Raises:
        UserError: if it holds something else.
    """
    text = os.environ.get(variable, "").strip()
    number = re.match(r"[0-9]+", text)
    if text and not number:
        raise UserError(f"{variable}={text}: expected a number, as Slurm sets it")
    return int(number[0]) if number else None
